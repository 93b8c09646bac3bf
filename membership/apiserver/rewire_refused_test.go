package apiserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// What is refused leaves everything as it was, and takes no lock.
func TestRefusedBeforeAnythingIsDone(t *testing.T) {
	for name, c := range map[string]struct {
		trouble   func(n *node, s *Site)
		want      string
		hint      string
		otherKind bool
	}{
		"a new server refuses the certificate": {func(n *node, _ *Site) { n.BadCert = five[3:4] },
			"a new server cannot serve the apiserver: https://10.0.0.4:2379: the server refuses this client certificate", "", false},
		"a new server is a learner": {func(n *node, _ *Site) { n.Learners = five[4:] },
			"a new server cannot serve the apiserver: https://10.0.0.5:2379 is a learner", "", false},
		"a new server is of another cluster": {func(n *node, _ *Site) { n.Clusters[five[4]] = 0xc2 },
			"the new servers are of different clusters: https://10.0.0.5:2379 is of c2, others of c1", "", false},
		"no other apiserver is ready": {func(n *node, _ *Site) { n.DownOther = true },
			"no other apiserver is ready: 192.0.2.11:6443: connection refused", "bring another one back", false},
		"the process is not to be seen": {func(_ *node, s *Site) { s.Host = noProcesses{} },
			"no process with the flags of", "hostPID", false},
		"it does not say whether it is ready": {func(n *node, s *Site) {
			n.DownOther = true
			s.Prober = probes(func(string) error { return errNotAllowed })
		}, "tell whether this apiserver is ready: it does not tell us", "", false},
		"copies among the manifests": {func(n *node, s *Site) { s.Copies = filepath.Join(n.manifests(), "copies") },
			"kubelet would run a copy", "", false},
		"a link leads among the manifests": {func(n *node, s *Site) {
			s.Copies = filepath.Join(n.Dir, "link", "copies")
			if err := os.Symlink(n.manifests(), filepath.Dir(s.Copies)); err != nil {
				n.t.Fatal(err)
			}
		}, "kubelet would run a copy", "", false},
		"the file has two names": {func(n *node, _ *Site) {
			if err := os.Link(n.path(), filepath.Join(n.Dir, "second")); err != nil {
				n.t.Fatal(err)
			}
		}, "2 names (hard links)", "a file of its own", false},
		"somebody has changed the file": {func(n *node, _ *Site) {
			f, err := os.OpenFile(n.path(), os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("# a comment\n")
				_ = f.Close()
			}
			if err != nil {
				n.t.Fatal(err)
			}
		}, "has changed since it was read", "look at it again", true},
		"the lock is lost at once": {func(n *node, _ *Site) {
			n.point = func(n *node, point string) {
				if point == "held" {
					n.Locked = ""
				}
			}
		}, "the lock is lost", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, three)
			s, f := n.site(), n.file()
			c.trouble(n, s)
			before, err := os.ReadFile(n.path())
			if err != nil {
				t.Fatal(err)
			}
			err = s.Rewire(t.Context(), f, five)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(fail.Hint(err), c.hint) || errors.Is(err, fail.ErrUnsafe) == c.otherKind {
				t.Errorf("%v (hint: %s)", err, fail.Hint(err))
			}
			if after, err := os.ReadFile(n.path()); string(after) != string(before) || err != nil {
				t.Errorf("the file has changed: %v\n%s", err, after)
			}
			if n.Restarts != 0 || n.Locked != "" {
				t.Errorf("%d restarts, locked by %q", n.Restarts, n.Locked)
			}
			n.wantNothingLeft()
		})
	}
}

func TestAnotherClusterIsRefused(t *testing.T) {
	n := newNode(t, three)
	n.Clusters["https://10.0.9.1:2379"] = 0xc2
	err := n.site().Rewire(t.Context(), n.file(), []string{"https://10.0.9.1:2379"})
	if !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), "of another cluster, c2") || !strings.Contains(fail.Hint(err), "--offline") {
		t.Errorf("%v (hint: %s)", err, fail.Hint(err))
	}
	for _, s := range three { // none of which answers any more, after a loss
		delete(n.Clusters, s)
	}
	for _, s := range five[3:] {
		delete(n.Clusters, s)
	}
	if err := n.site().Rewire(t.Context(), n.file(), []string{"https://10.0.9.1:2379"}); err != nil {
		t.Errorf("when the old ones are dead: %v", err)
	}
}

// A server that stays may be down: the client goes around it. At least one answers.
func TestAServerThatStaysMayBeDown(t *testing.T) {
	n := newNode(t, three)
	delete(n.Clusters, three[1])
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Fatal(err)
	}
	n.wantServing(five)
	clear(n.Clusters)
	if err := n.site().Rewire(t.Context(), n.file(), three); !errors.Is(err, fail.ErrUnsafe) || !strings.Contains(err.Error(), "none of the servers answers: https://10.0.0.1:2379: connection refused") {
		t.Errorf("none is up: %v", err)
	}
	n.wantServing(five)
}

// The last apiserver is not restarted, unless it does not serve anyway.
func TestTheOnlyApiserverThatIsNotReady(t *testing.T) {
	n := newNode(t, three)
	n.DownOther = true
	n.Running[0].Ready = n.Clock.Add(time.Hour)
	if err := n.site().Rewire(t.Context(), n.file(), five); err != nil {
		t.Error(err)
	}
	n.wantServing(five)

	single := newNode(t, three)
	s := single.site()
	s.Others = nil
	if err := s.Rewire(t.Context(), single.file(), five); err != nil {
		t.Errorf("a control plane of one: %v", err)
	}
	single.wantServing(five)
}

// While the lock was waited for, a server can have gone, and the file can have changed.
func TestEverythingIsLookedAtAgainUnderTheLock(t *testing.T) {
	for want, change := range map[string]func(n *node){
		"https://10.0.0.5:2379 is a learner": func(n *node) { n.Learners = five[4:] },
		"has changed since it was read":      func(n *node) { n.rewrite(five[:4]) },
	} {
		n := newNode(t, three)
		n.point = func(n *node, point string) {
			if point == "locked" {
				change(n)
			}
		}
		if err := n.site().Rewire(t.Context(), n.file(), five); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
		n.wantNothingLeft()
		if n.Restarts != 0 || n.Locked != "" {
			t.Errorf("%d restarts, locked by %q", n.Restarts, n.Locked)
		}
	}
}
