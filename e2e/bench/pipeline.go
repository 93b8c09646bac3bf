package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// pipeline is commands that run at the same time, each with the output of the
// one before it as its input.
type pipeline [][]string

// running is a pipeline that was started.
type running struct {
	cmds []*exec.Cmd
	said []*bytes.Buffer // by each command, but for what went to the next one
}

// start starts all commands or none.
func (p pipeline) start(ctx context.Context, env []string) (*running, error) {
	r := new(running)
	var input *os.File
	for i, argv := range p {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the programs that make has built or asked for
		said := new(bytes.Buffer)
		cmd.Stdout, cmd.Stderr, cmd.Env = said, said, env
		var err error
		if input, err = connect(cmd, input, i == len(p)-1); err != nil {
			r.kill()
			return nil, fmt.Errorf("run %s: %w", argv[0], err)
		}
		r.cmds, r.said = append(r.cmds, cmd), append(r.said, said)
	}
	return r, nil
}

// connect starts a command that reads input, and returns what the next one is
// to read. This process keeps no end of a pipe that its commands have: one that
// ends early must end those before it.
func connect(cmd *exec.Cmd, input *os.File, last bool) (output *os.File, err error) {
	if input != nil {
		cmd.Stdin = input
		defer input.Close()
	}
	if last {
		return nil, cmd.Start()
	}
	output, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		_ = output.Close() // nobody has written to it
		return nil, err
	}
	return output, nil
}

// wait returns the errors of all commands: one that fails takes others along,
// and which was the first cannot be told.
func (r *running) wait() error {
	var errs []error
	for i, cmd := range r.cmds {
		if err := cmd.Wait(); err != nil {
			errs = append(errs, fmt.Errorf("run %s: %w\n%s", strings.Join(cmd.Args, " "), err, r.said[i]))
		}
	}
	return errors.Join(errs...)
}

func (r *running) kill() {
	for _, cmd := range r.cmds {
		_ = cmd.Process.Kill() // fails if it has ended already
		_ = cmd.Wait()
	}
}

func (r *running) output() string { return r.said[len(r.said)-1].String() }

func (r *running) pids() []int {
	var pids []int
	for _, cmd := range r.cmds {
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// maxRSS is the peaks that the system itself kept for processes without a /proc:
// ru_maxrss in bytes. Linux counts it in KiB, and is not asked: there it starts
// at the peak of the process that forked, which is this one, so a small program
// would be charged for the filling of the member. VmHWM starts at exec.
func (r *running) maxRSS() int64 {
	var sum int64
	for _, cmd := range r.cmds {
		if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			sum += u.Maxrss
		}
	}
	return sum
}
