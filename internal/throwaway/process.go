package throwaway

import (
	"os"
	"os/exec"
)

// process is a child that ends with this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// start runs args with output to log and, beside what any process needs, env in
// its environment. See startTied for what ties the child to this process.
func start(args, env []string, log *os.File) (*process, error) {
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // the caller's own etcd
	cmd.Stdout, cmd.Stderr = log, log
	// etcd takes every flag from the environment too, and what is in ours may
	// be secret.
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, env...)
	wait, err := startTied(cmd)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		<-wait
		close(p.done)
	}()
	return p, nil
}

// exited tells whether the child does not run. A nil process never started.
func (p *process) exited() bool {
	if p == nil {
		return true
	}
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the child and waits until it is gone. A nil process never started.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // fails if it has ended already
	<-p.done
}
