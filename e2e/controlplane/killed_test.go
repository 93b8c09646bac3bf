//go:build linux

package controlplane

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A rewiring is killed at one moment after the other: before and after each change
// that it makes in a directory, and at each of its stages. Each time the file is the
// old one or the new one, whole, an apiserver serves, and the same command, given
// again, comes to its end.
func TestKilled(t *testing.T) {
	s := external(t, 3, 3)
	h := s.cps[0]
	w := s.write()
	w.flows(t)
	three := h.read(manifest)
	with := func(members ...*host) string {
		return strings.Replace(three, strings.Join(clientURLs(s.etcds...), ","), strings.Join(clientURLs(members...), ","), 1)
	}
	whole := []string{three, with(s.etcds[:2]...), with(s.etcds[2])}
	seen := h.contents(t, manifest)
	rewire := func(members []*host) []string {
		return []string{tool("etcdha"), "apiserver", "rewire", "--etcd-servers=" + strings.Join(clientURLs(members...), ","), "--yes"}
	}

	// An undisturbed run tells how many changes there are.
	lists := [][]*host{s.etcds, s.etcds[:2]}
	changes := h.changes(t, manifests, copiesDir)
	h.must(rewire(lists[1])...)
	n := changes.stop()
	t.Logf("an undisturbed run makes %d changes in %s and %s", n, manifests, copiesDir)
	if n < 4 {
		t.Errorf("%d changes: at least a copy and the file are made, and renamed", n)
	}
	for i, m := range h.moments(t, n) {
		t.Logf("killed %s: %s", m.what, m.kill(rewire(lists[i%2])))
		w.flows(t)
		h.must(rewire(lists[i%2])...)
		if want := clientURLs(lists[i%2]...); !slices.Equal(h.running(), want) || !slices.Equal(h.written(), want) || !s.ready(h) {
			t.Fatalf("killed %s: the apiserver has %v, the file has %v, expected %v, and it is ready: %v", m.what, h.running(), h.written(), want, s.ready(h))
		}
	}
	s.newServersAreGone(t, h, rewire)
	// What an agent finds, it ends. The list that was under way is the members'.
	h.must(rewire(s.etcds[:2])...)
	h.killWhen(t, rewire(s.etcds), func(c *command) bool { return strings.Contains(c.stderr(), "waiting: process") })
	s.follow(h)
	s.eventuallyServe(t, s.etcds...)

	for content := range seen() {
		if !slices.Contains(whole, content) {
			t.Errorf("there was a moment at which the file was\n%s", content)
		}
	}
	eventually(t, "only manifests are left, once the agent has seen it through", func() bool { return !slices.ContainsFunc(h.list(manifests), isHidden) })
	w.stop(t)
	s.oneEach(t)
}

// newServersAreGone kills a rewiring when the new list is in place, and then its only server.
// Whoever comes next goes back by the servers from before.
func (s *site) newServersAreGone(t *testing.T, h *host, rewire func([]*host) []string) {
	t.Helper()
	e3 := s.etcds[2]
	pod := e3.read(etcdManifest)
	h.must(rewire(s.etcds[:2])...)
	h.killWhen(t, rewire(s.etcds[2:]), func(c *command) bool { return strings.Contains(c.stderr(), "waiting: process") })
	healthy := func() bool {
		return e3.run(append([]string{tool("etcd37/etcdctl"), "endpoint", "health"}, etcdFlags(e3)...)...).code == 0
	}
	check(t, os.Remove(e3.path(etcdManifest)))
	eventually(t, "e3 is gone", func() bool { return !healthy() })
	r := h.run(tool("etcdha"), "apiserver", "rewire", "--from-members", "--topology=external", "--timeout=1m", "--yes")
	if want := clientURLs(s.etcds[:2]...); !slices.Equal(h.running(), want) || !slices.Equal(h.written(), want) || !s.ready(h) {
		t.Errorf("the apiserver has %v, the file has %v, and it is ready: %t\n%v", h.running(), h.written(), s.ready(h), r)
	}
	e3.write(etcdManifest, pod)
	eventually(t, "e3 serves again", healthy)
}

func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

const copiesDir = "/var/lib/etcdha/apiserver"

// moment is one at which a command is killed.
type moment struct {
	what string
	// kill runs a command and kills it then; it returns what was last said.
	kill func(args []string) string
}

// moments are those after each of so many changes, and at each stage.
func (h *host) moments(t *testing.T, changes int) []moment {
	var all []moment
	for n := range changes {
		all = append(all, moment{fmt.Sprintf("after change %d", n+1), func(args []string) string {
			c := h.changes(t, manifests, copiesDir)
			defer c.stop()
			return h.killWhen(t, args, func(*command) bool { return c.count() > n })
		}})
	}
	for _, word := range []string{"ask the servers", "locked", "waiting: process", "not ready", "ready after"} {
		all = append(all, moment{"when it says " + word, func(args []string) string {
			return h.killWhen(t, args, func(c *command) bool { return strings.Contains(c.stderr(), word) })
		}})
	}
	return all
}

// killWhen runs a command, and kills it when something has come.
func (h *host) killWhen(t *testing.T, args []string, comes func(*command) bool) string {
	t.Helper()
	c := h.start(args...)
	for deadline := time.Now().Add(patience); !comes(c) && !c.ended(); { // no pause: moments are short
		if time.Now().After(deadline) {
			t.Fatalf("the moment did not come: %s", c.stderr())
		}
	}
	c.signal(unix.SIGKILL)
	r := c.wait()
	if r.code > 0 {
		t.Error(r)
	}
	return lastLine(r.stderr)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// contents gathers what a file of the host ever is, until the returned function is called.
func (h *host) contents(t *testing.T, name string) func() map[string]bool {
	t.Helper()
	seen := make(map[string]bool)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			data, err := os.ReadFile(h.path(name))
			if err != nil {
				seen[err.Error()] = true
			} else {
				seen[string(data)] = true
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() map[string]bool {
		close(stop)
		<-done
		return seen
	}
}

// changes counts what happens in directories of a host.
type changes struct {
	file *os.File
	done chan struct{}
	mu   sync.Mutex
	n    int
}

// changes begins to count. Names made, written, renamed and removed are changes.
func (h *host) changes(t *testing.T, dirs ...string) *changes {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	check(t, err)
	c := &changes{file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{})}
	for _, dir := range dirs {
		check(t, os.MkdirAll(h.path(dir), 0o700))
		_, err := unix.InotifyAddWatch(fd, h.path(dir), unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_DELETE)
		check(t, err)
	}
	go func() {
		defer close(c.done)
		buf := make([]byte, 4096)
		for {
			n, err := c.file.Read(buf)
			if err != nil { // closed by stop
				return
			}
			c.add(buf[:n])
		}
	}()
	return c
}

func (c *changes) add(buf []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		c.n++
		buf = buf[unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(buf[12:])):] // the name follows
	}
}

func (c *changes) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// stop ends the counting, and returns the count.
func (c *changes) stop() int {
	_ = c.file.Close()
	<-c.done
	return c.count()
}
