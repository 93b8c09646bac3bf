package apiserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// lastGrace is how long a process may live on that is going to end all the same:
// kubelet looks at its files every 20 s at the latest, and gives a process 30 s.
const lastGrace = time.Minute

// goal is what an apiserver has to come to.
type goal struct {
	servers []string
	// old are the processes from before the change: they have to be gone.
	old []identity
	// staying is from when on an old process with these servers will do: the change
	// was taken back, and perhaps nobody has noticed it. Zero: never.
	staying time.Time
}

// goal is that of the recorded change.
func (c *change) goal() goal { return goal{servers: c.record.To, old: c.record.Processes} }

// await waits until a process has come to the goal.
func (c *change) await(ctx context.Context, g goal, timeout time.Duration) error {
	c.Reporter.Doing("wait for kube-apiserver with " + strings.Join(g.servers, ","))
	began := c.Now()
	for {
		p, why := c.settled(ctx, g)
		took := c.Now().Sub(began)
		switch {
		case why == "":
			c.Reporter.Done(ready(took, p))
			return nil
		case ctx.Err() != nil:
			// Whether it is ready could not be asked any more.
			if p, why := c.settled(context.WithoutCancel(ctx), g); why == "" {
				c.Reporter.Done(ready(took, p))
				return nil
			}
			return fmt.Errorf("wait for kube-apiserver: %w", ctx.Err())
		case took >= timeout:
			return fail.WithHint(fmt.Errorf("kube-apiserver is not ready after %s: %s", timeout, why), "its log says why; --timeout allows more time")
		}
		c.Reporter.Waiting(why)
		_ = c.Sleep(ctx, pause) // it fails when ctx ends
	}
}

func ready(took time.Duration, p Process) string {
	return fmt.Sprintf("ready after %s, process %d", took.Round(time.Second), p.PID)
}

// settled returns the process that has come to the goal, or what is missing.
func (c *change) settled(ctx context.Context, g goal) (Process, string) {
	p, why := c.only(ctx, g)
	if why != "" {
		return p, why
	}
	if err := c.Prober.Ready(ctx, c.Own); err != nil {
		return p, err.Error()
	}
	// It was this process that answered if it is still there, alone.
	if again, why := c.only(ctx, g); why != "" || again.identity() != p.identity() {
		return p, fmt.Sprintf("process %d has ended", p.PID)
	}
	return p, ""
}

// only returns the one process of the apiserver, if it is as it should be.
func (c *change) only(ctx context.Context, g goal) (Process, string) {
	processes, err := c.processes(ctx)
	if err != nil {
		return Process{}, err.Error()
	}
	for _, p := range processes {
		old := slices.Contains(g.old, p.identity())
		switch left := g.staying.Sub(c.Now()); {
		case !slices.Equal(serversOf(p), g.servers):
			return p, fmt.Sprintf("process %d still runs with another list", p.PID)
		case old && g.staying.IsZero():
			return p, fmt.Sprintf("process %d from before the change still runs", p.PID)
		case old && left > 0:
			return p, fmt.Sprintf("process %d may be about to end: that shows within %s", p.PID, left.Round(time.Second))
		}
	}
	switch len(processes) {
	case 0:
		return Process{}, "no process of kube-apiserver runs with this list yet"
	case 1:
		return processes[0], ""
	}
	return processes[0], fmt.Sprintf("%d processes run with this list", len(processes))
}

// processes are those of the file's apiserver.
func (c *change) processes(ctx context.Context) ([]Process, error) {
	all, err := c.Host.APIServers(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for kube-apiserver's process: %w", err)
	}
	return slices.DeleteFunc(all, func(p Process) bool { return !runs(p, c.file) }), nil
}

// runs tells whether a process is the apiserver of a file.
func runs(p Process, f *etcdservers.File) bool {
	is := &etcdservers.File{Args: p.Args}
	for _, flag := range telling {
		want, _ := f.Value(flag)
		has, _ := is.Value(flag)
		if want != has && !strings.ContainsAny(want, "$%") { // what only kubelet or systemd knows
			return false
		}
	}
	return true
}

// telling are the flags by which two apiservers of one host differ.
var telling = []string{"--secure-port", "--bind-address", "--advertise-address"}

// serversOf is the list that a process was started with.
func serversOf(p Process) []string {
	value, _ := (&etcdservers.File{Args: p.Args}).Value(etcdservers.FlagName)
	return etcdservers.Split(value)
}

// identity names a process for good, as long as the host runs.
type identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

func (p Process) identity() identity { return identity{p.PID, p.Start} }

func identities(processes []Process) []identity {
	all := make([]identity, len(processes))
	for i, p := range processes {
		all[i] = p.identity()
	}
	return all
}
