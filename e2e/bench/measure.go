package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a command took. Memory is 0 where the system does not tell.
type usage struct {
	wall time.Duration
	anon int64 // peak anonymous memory in bytes: heap and stacks
	rss  int64 // peak resident memory in bytes: also the mapped parts of files
}

// then adds what ran after u: one after the other takes the sum of the times,
// but only the larger memory.
func (u usage) then(v usage) usage {
	return usage{wall: u.wall + v.wall, anon: max(u.anon, v.anon), rss: max(u.rss, v.rss)}
}

// measure runs a command to its end. Its output is shown only in the error.
func measure(ctx context.Context, argv, env []string) (usage, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the programs that make has built
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, env
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return usage{}, fmt.Errorf("run %s: %w", argv[0], err)
	}
	done, peak := make(chan struct{}), make(chan usage)
	go func() { peak <- watchMemory(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	wall := time.Since(start)
	close(done)
	u := <-peak
	if err != nil {
		return u, fmt.Errorf("run %s: %w\n%s", strings.Join(argv, " "), err, out.Bytes())
	}
	u.wall = wall
	if u.rss == 0 {
		u.rss = maxRSS(cmd.ProcessState)
	}
	return u, nil
}

// sampleInterval is short beside the time in which a Go program can fill much
// memory, and long beside the microseconds of a sample.
const sampleInterval = 10 * time.Millisecond

// watchMemory samples the memory of a process until done. The file stays open,
// so that it can never be that of another process with the same number.
func watchMemory(pid int, done <-chan struct{}) usage {
	var peak usage
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		<-done // not Linux, or gone already
		return peak
	}
	defer status.Close()
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	buf := make([]byte, 8<<10)
	for {
		if n, err := status.ReadAt(buf, 0); err == nil || err == io.EOF {
			peak.anon = max(peak.anon, kilobytes(buf[:n], "RssAnon:"))
			peak.rss = max(peak.rss, kilobytes(buf[:n], "VmHWM:"))
		}
		select {
		case <-done:
			return peak
		case <-tick.C:
		}
	}
}

// kilobytes returns a field of a file in /proc that has lines of the form
// "Name:   123 kB", in bytes; 0 if it has none.
func kilobytes(data []byte, name string) int64 {
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// maxRSS is the peak that the system itself kept for a process without a /proc:
// ru_maxrss in bytes. Linux counts it in KiB, and is not asked: there it starts
// at the peak of the process that forked, which is this one, so a small program
// would be charged for the filling of the member. VmHWM starts at exec.
func maxRSS(s *os.ProcessState) int64 {
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		return r.Maxrss
	}
	return 0
}

// environment keeps what is set in ours from changing what a command does, and
// puts temporary files on the disk that everything is measured on.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
}

// copyFile copies byte by byte: a copy that shares blocks with the original is
// not in memory as the original is.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(filepath.Clean(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	buf := make([]byte, 1<<20)
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return dst.Close()
}
