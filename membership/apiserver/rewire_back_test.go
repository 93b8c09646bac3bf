package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// An apiserver that does not get ready has its old file back, and serves again.
func TestNeverReady(t *testing.T) {
	n := newNode(t, three)
	n.Broken = five[4:]
	err := n.site().Rewire(t.Context(), n.file(), five)
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver is not ready after 3m0s: 127.0.0.1:6443 is not ready: etcd failed; the old file is back in place, and kube-apiserver is ready with it") ||
		!strings.Contains(fail.Hint(err), "--timeout") {
		t.Errorf("%v (hint: %s)", err, fail.Hint(err))
	}
	n.wantFile(three)
	n.wantServing(three)
	n.wantNothingLeft()
	if n.Locked != "" {
		t.Error("the lock is kept")
	}
	if want := "put the old file back"; !slices.Contains(n.stages, want) {
		t.Errorf("stages %q", n.stages)
	}
}

// The old file comes back; if its apiserver does not, that is said as well.
func TestNeverReadyAgain(t *testing.T) {
	n := newNode(t, three)
	n.Broken = five[2:]
	err := n.site().Rewire(t.Context(), n.file(), five)
	if err == nil || strings.Count(err.Error(), "etcd failed") != 2 || !strings.Contains(err.Error(), "the old file is in place, but kube-apiserver is not ready after 4m0s") {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantNothingLeft() // nothing is left to be done with the file
}

// Ctrl-C takes the change back, wherever it comes, unless the new process is ready.
// An old process that nobody has told to end yet may still be about to: it is
// watched for as long as that takes.
func TestBrokenOff(t *testing.T) {
	for after := time.Second; after < 90*time.Second; after += 3 * time.Second {
		n := newNode(t, three)
		began := n.Clock
		ctx, cancel := context.WithCancel(t.Context())
		n.point = func(n *node, point string) {
			if point == "sleep" && n.Clock.Sub(began) >= after {
				cancel()
			}
			if point == "doing put the old file back" && n.lockCtx.Err() != nil {
				t.Error("the lock has ended with the command")
			}
		}
		s := n.site()
		err := s.Rewire(ctx, n.file(), five)
		cancel()
		want := three
		if err == nil {
			want = five
		} else if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the old file is back in place, and kube-apiserver is ready with it") {
			t.Errorf("after %s: %v", after, err)
		}
		n.wantFile(want)
		n.wantServing(want)
		n.wantNothingLeft()
		n.point = nil
		restarts := n.Restarts
		n.pass(2 * time.Minute)
		n.wantServing(want)
		if n.Restarts != restarts || n.Locked != "" {
			t.Errorf("after %s: it was said to be over, and then there were %d restarts", after, n.Restarts-restarts)
		}
	}
}

// Who waits for the lock can be broken off.
func TestBrokenOffBeforeTheLock(t *testing.T) {
	n := newNode(t, three)
	n.Locked, n.LockedAt = "somebody else", n.Clock.Add(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n.point = func(n *node, point string) {
		if point == "lock waits" && n.Clock.Minute() > 10 {
			cancel()
		}
	}
	if err := n.site().Rewire(ctx, n.file(), five); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "lock the apiservers: ") {
		t.Error(err)
	}
	wantStages(t, n.waits, "locked by somebody else")
	n.wantFile(three)
	n.wantNothingLeft()
}

// A process that was ready and has ended since is not the end.
func TestReadyAndGone(t *testing.T) {
	n := newNode(t, three)
	crashed := 0
	n.point = func(n *node, point string) {
		if point == "ready" && crashed == 0 && n.answers() == nil && slices.Equal(serversOf(n.Running[0].Process), five) {
			crashed = n.Running[0].PID
		} else if point == "processes" && crashed == n.Running[0].PID {
			n.Running = nil
			n.start(n.Seen)
		}
	}
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Fatal(err)
	}
	n.wantServing(five)
	if crashed == 0 || !slices.Contains(n.waits, fmt.Sprintf("process %d has ended", crashed)) {
		t.Errorf("process %d ended, and the waits were %q", crashed, n.waits)
	}
}

// A process that had the new list before the file did is not the new process.
func TestAnOldProcessWithTheNewList(t *testing.T) {
	n := newNode(t, three)
	n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
	n.Seen, n.Running = strings.Join(five, ","), nil
	n.start(n.Seen)
	n.pass(time.Minute)
	old := n.Running[0].PID
	s := n.site()
	s.Restart = func(context.Context) error { // which it says is done before it is
		n.Running[0].Ends = n.Clock.Add(15 * time.Second)
		return nil
	}
	if err := s.Rewire(t.Context(), n.file(), five); err != nil {
		t.Fatal(err)
	}
	n.wantServing(five)
	if n.Running[0].PID == old || !slices.Contains(n.waits, fmt.Sprintf("process %d from before the change still runs", old)) {
		t.Errorf("process %d runs, waits %q", n.Running[0].PID, n.waits)
	}
}

// A unit is restarted by a command. If that fails, the old file is back.
func TestRestartByACommand(t *testing.T) {
	n := newNode(t, three)
	n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
	restarted := errors.New("exit status 1")
	s := n.site()
	s.Restart = func(context.Context) error {
		if restarted != nil {
			return restarted
		}
		n.Running, n.Seen = nil, n.manifest()
		n.start(n.Seen)
		return nil
	}
	err := s.Rewire(t.Context(), n.file(), five)
	if !errors.Is(err, restarted) || !strings.Contains(err.Error(), "restart kube-apiserver: exit status 1; the old file is back") {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantServing(three)
	restarted = nil
	n.Broken = five[4:]
	if err := s.Rewire(t.Context(), n.file(), five); err == nil || !strings.Contains(err.Error(), "the old file is back") {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantServing(three)
	n.Broken = nil
	if err := s.Rewire(t.Context(), n.file(), five); err != nil {
		t.Error(err)
	}
	n.wantFile(five)
	n.wantServing(five)
}

// A list with a comma too many is the same list to the apiserver.
func TestAListWithACommaTooMany(t *testing.T) {
	n := newNode(t, three)
	n.rewrite(append(slices.Clone(three), ""))
	n.pass(2 * time.Minute)
	before := n.file().Data()
	n.Broken = five[4:]
	if err := n.site().Rewire(t.Context(), n.file(), five); err == nil || !strings.Contains(err.Error(), "the old file is back in place, and kube-apiserver is ready with it") {
		t.Error(err)
	}
	if now := n.file().Data(); string(now) != string(before) {
		t.Errorf("the file is\n%s", now)
	}
}

// Flags whose values only kubelet or systemd knows say nothing about a process.
func TestWhichProcessRunsAFile(t *testing.T) {
	p := Process{Args: []string{"kube-apiserver", "--advertise-address=192.0.2.10", "--secure-port=6443"}}
	for address, want := range map[string]bool{
		"192.0.2.10": true, "192.0.2.11": false, "$(HOST_IP)": true, "${HOST_IP}": true, "$HOST_IP": true, "%i": true,
	} {
		f := &etcdservers.File{Args: []string{"kube-apiserver", "--advertise-address=" + address, "--secure-port=6443"}}
		if got := runs(p, f); got != want {
			t.Errorf("%s: %t", address, got)
		}
	}
}
