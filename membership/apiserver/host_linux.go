package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// NewHost returns the host that this process runs on. In a container it needs the
// host's processes and network.
func NewHost() Host { return procHost{"/proc"} }

// procHost reads proc(5).
type procHost struct{ root string }

// Addresses implements [Host].
func (procHost) Addresses() ([]string, error) { return addresses() }

// APIServers implements [Host].
func (h procHost) APIServers(ctx context.Context) ([]Process, error) {
	entries, err := os.ReadDir(h.root)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch p, err := h.process(pid); {
		case gone(err):
		case err != nil:
			return nil, fmt.Errorf("look at process %d: %w", pid, err)
		case isAPIServer(p.Args):
			all = append(all, p)
		}
	}
	return all, nil
}

// gone tells whether a process has ended while it was looked at.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// process reads a command line between two looks at the start time: the process
// may have ended, and another one may have its number. A zombie has no command line.
func (h procHost) process(pid int) (Process, error) {
	dir := filepath.Join(h.root, strconv.Itoa(pid))
	start, err := startOf(dir)
	if err != nil {
		return Process{}, err
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return Process{}, err
	}
	if again, err := startOf(dir); err != nil || again != start {
		return Process{}, errors.Join(err, fs.ErrNotExist)
	}
	return Process{PID: pid, Start: start, Args: words(line)}, nil
}

// words splits a command line, in which a NUL ends each word.
func words(line []byte) []string {
	var all []string
	for word := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
		all = append(all, string(word))
	}
	return all
}

// startField is that of the start time in /proc/PID/stat, see proc_pid_stat(5),
// counted from the third field: the second, the command's name in parentheses,
// can hold anything.
const startField = 22 - 3

func startOf(dir string) (uint64, error) {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startField {
		return 0, fmt.Errorf("%s/stat has %d fields after the name", dir, len(fields))
	}
	return strconv.ParseUint(string(fields[startField]), 10, 64)
}
