package apiserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// left is a node whose change from three to five was interrupted in a stage; the
// file has the list.
func left(t *testing.T, s stage, list []string) *node {
	t.Helper()
	n := newNode(t, three)
	kept, err := copies{dir: n.copies(), file: n.path()}.keep([]byte(n.content(three)), n.Clock)
	if err != nil {
		t.Fatal(err)
	}
	note(t, n, record{File: n.path(), Copy: kept, Spare: spareName(n.path()), Stage: s, From: three, To: five,
		Old: sum([]byte(n.content(three))), New: sum([]byte(n.content(five))), Processes: identities([]Process{n.Running[0].Process})})
	place(t, n.path(), n.content(list))
	return n
}

// A record may be old. Where the apiserver is ready with the new list, that stays,
// although it was about to be taken back: members of the old one may be gone.
func TestResumeKeepsTheNewListThatServes(t *testing.T) {
	n := left(t, stageRestoring, five)
	n.pass(5 * time.Minute)
	restarts := n.Restarts
	if before, interrupted, err := n.site().Interrupted(n.file()); err != nil || !interrupted || !slices.Equal(before, three) {
		t.Errorf("interrupted: %t, %v, before it %q", interrupted, err, before)
	}
	if err := n.site().Resume(t.Context(), n.file()); err != nil {
		t.Error(err)
	}
	n.wantFile(five)
	n.wantServing(five)
	n.wantNothingLeft()
	if _, interrupted, err := n.site().Interrupted(n.file()); err != nil || interrupted || n.Restarts != restarts {
		t.Errorf("interrupted: %t, %v; %d restarts", interrupted, err, n.Restarts-restarts)
	}
}

// A list of which nobody answers is not put back, nor is the apiserver restarted
// with it. The record ends, so that another list can be tried.
func TestResumeDoesNotGoBackToTheDead(t *testing.T) {
	for name, c := range map[string]struct {
		stage stage
		list  []string
	}{"the new list never served": {stagePrepared, five}, "taken back, almost": {stageRestoring, five}, "taken back": {stageRestoring, three}} {
		t.Run(name, func(t *testing.T) {
			n := left(t, c.stage, c.list)
			n.Broken = five[4:]
			n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
			n.Running[0].Args[3] = "--etcd-servers=" + strings.Join(five, ",")
			n.Running[0].Ready = n.Clock.Add(1000 * time.Hour)
			for _, server := range three {
				delete(n.Clusters, server)
			}
			s := n.site()
			restarts := 0
			s.Restart = func(context.Context) error { restarts++; return nil }
			err := s.Resume(t.Context(), n.file())
			if err == nil || !strings.Contains(err.Error(), "none of the servers from before answers: https://10.0.0.1:2379: connection refused") || fail.Hint(err) == "" {
				t.Errorf("%v (hint: %s)", err, fail.Hint(err))
			}
			n.wantFile(c.list)
			n.wantNothingLeft()
			if restarts > 0 {
				t.Errorf("%d restarts", restarts)
			}
		})
	}
}

// crashing is an apiserver that ends again and again while it has a list.
type crashing struct {
	*node
	list []string
}

func (c crashing) Ready(ctx context.Context, address string) error {
	if address == "127.0.0.1:6443" && slices.Equal(serversOf(c.Running[0].Process), c.list) {
		c.pass(time.Second)
		return errors.New("connection reset by peer")
	}
	return c.node.Ready(ctx, address)
}

// An apiserver whose new servers are all gone tells nobody how it is. It gets the old
// ones again.
func TestResumeGoesBackFromServersThatAreGone(t *testing.T) {
	n := left(t, stagePrepared, five)
	n.pass(5 * time.Minute)
	s := n.site()
	s.Prober = crashing{n, five}
	if err := s.Resume(t.Context(), n.file()); err != nil {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantServing(three)
	n.wantNothingLeft()
}

// What was left waits, with its record, until another apiserver is ready.
func TestResumeDoesNotRestartTheLastOne(t *testing.T) {
	for name, c := range map[string]struct {
		stage stage
		list  []string
	}{"not restarted yet": {stagePrepared, five}, "taken back, almost": {stageRestoring, five}, "taken back": {stageRestoring, three}} {
		t.Run(name, func(t *testing.T) {
			n := left(t, c.stage, c.list)
			n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
			n.DownOther = true
			s := n.site()
			s.Restart = func(context.Context) error {
				n.Running, n.Seen = nil, n.manifest()
				n.start(n.Seen)
				return nil
			}
			downtime := n.Downtime
			if err := s.Resume(t.Context(), n.file()); !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), "no other apiserver is ready") {
				t.Errorf("%v", err)
			}
			if _, interrupted, err := s.Interrupted(n.file()); !interrupted || err != nil || n.Downtime != downtime {
				t.Errorf("interrupted: %t, %v; down for %d s", interrupted, err, n.Downtime-downtime)
			}
			n.DownOther = false
			if err := s.Resume(t.Context(), n.file()); err != nil {
				t.Error(err)
			}
			n.wantNothingLeft()
			n.wantServing(n.file().Servers)
		})
	}
}

// systemd has a restart queued when the wait for it is broken off: the old process
// has the old list, and the new one would have the new. It is told again.
func TestAQueuedRestartIsTakenBack(t *testing.T) {
	n := newNode(t, three)
	n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
	ctx, cancel := context.WithCancel(t.Context())
	s := n.site()
	calls := 0
	s.Restart = func(ctx context.Context) error {
		calls++
		n.Seen = n.manifest()
		for i := range n.Running {
			n.Running[i].Ends = n.Clock.Add(15 * time.Second)
		}
		if calls == 1 {
			cancel()
		}
		return ctx.Err()
	}
	if err := s.Rewire(ctx, n.file(), five); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the old file is back") {
		t.Error(err)
	}
	n.wantFile(three)
	n.pass(time.Minute)
	n.wantServing(three)
	if calls != 2 {
		t.Errorf("%d restarts were asked for; waits %q", calls, slices.Compact(n.waits))
	}
}

// The disk was too full to note that the change is taken back: what runs tells.
func TestTakenBackWithoutANote(t *testing.T) {
	n := left(t, stagePrepared, three)
	n.LookedAt = n.Clock.Add(1000 * time.Hour) // no kubelet
	n.Running[0].Args[3] = "--etcd-servers=" + strings.Join(five, ",")
	s := n.site()
	s.Restart = func(context.Context) error {
		n.Running, n.Seen = nil, n.manifest()
		n.start(n.Seen)
		return nil
	}
	if err := s.Resume(t.Context(), n.file()); err != nil {
		t.Error(err)
	}
	n.wantServing(three)
	n.wantNothingLeft()
}
