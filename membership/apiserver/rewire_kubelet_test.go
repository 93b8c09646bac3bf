package apiserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

func (n *node) sleep(ctx context.Context, d time.Duration) error {
	n.reach("sleep")
	n.pass(d)
	return ctx.Err()
}

// pass lets time pass, in which kubelet and the processes act.
func (n *node) pass(d time.Duration) {
	for end := n.Clock.Add(d); n.Clock.Before(end); {
		n.Clock = n.Clock.Add(time.Second)
		n.kubelet()
		if n.answers() != nil {
			n.Downtime++
		}
		if n.busy != nil && (len(n.Running) != 1 || !n.Running[0].Ends.IsZero() || n.Clock.Before(n.Running[0].Ready)) {
			n.busy[n.Clock.Unix()] = true
		}
	}
}

// kubelet looks at the files now and then, ends the old process, and starts a new
// one when that has ended.
func (n *node) kubelet() {
	if n.Clock.Sub(n.LookedAt) >= noticeTime {
		n.LookedAt = n.Clock
		n.Seen = n.manifest()
	}
	n.Running = slices.DeleteFunc(n.Running, func(p simulated) bool { return !p.Ends.IsZero() && !n.Clock.Before(p.Ends) })
	for i := range n.Running {
		if p := &n.Running[i]; p.Ends.IsZero() && !slices.Contains(p.Args, "--etcd-servers="+n.Seen) {
			p.Ends = n.Clock.Add(terminateTime)
		}
	}
	if len(n.Running) == 0 {
		n.start(n.Seen)
	}
}

func (n *node) start(list string) {
	n.Restarts++
	n.NextPID++
	args := []string{"kube-apiserver", "--advertise-address=192.0.2.10", "--secure-port=6443", "--etcd-servers=" + list}
	p := simulated{Process: Process{PID: n.NextPID, Start: uint64(n.Clock.Unix()), Args: args}, Ready: n.Clock.Add(startTime)}
	for _, s := range n.Broken {
		if strings.Contains(list, s) {
			p.Ready = n.Clock.Add(1000 * time.Hour)
		}
	}
	n.Running = append(n.Running, p)
}

// manifest is the list in the one manifest that there is: kubelet would run all
// files whose names do not start with a dot.
func (n *node) manifest() string {
	entries, err := os.ReadDir(n.manifests())
	if err != nil {
		n.t.Fatal(err)
	}
	var lists []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(n.manifests(), e.Name()))
		if err != nil {
			n.t.Fatal(err)
		}
		_, after, ok := strings.Cut(string(data), "--etcd-servers=")
		list, _, whole := strings.Cut(after, " # the members\n")
		if !ok || !whole || !strings.HasSuffix(string(data), "name: kube-apiserver\n") {
			n.t.Fatalf("%s is not whole:\n%s", e.Name(), data)
		}
		lists = append(lists, list)
	}
	if len(lists) != 1 {
		n.t.Fatalf("kubelet sees %d manifests", len(lists))
	}
	return lists[0]
}

// answers is nil if some process answers that it is ready: an old one does as
// long as it lives.
func (n *node) answers() error {
	for _, p := range n.Running {
		if !n.Clock.Before(p.Ready) {
			return nil
		}
	}
	return fail.As(ErrNotReady, errors.New("127.0.0.1:6443 is not ready: etcd failed"))
}
