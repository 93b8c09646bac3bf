//go:build linux

package controlplane

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What goes wrong on the way leaves the old list, whole and serving.
func TestFailures(t *testing.T) {
	s := newSite(t, 3)
	s.cps[0].must("mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", manifests) // for the full disk
	s.startEtcds(s.etcds...)
	s.startAPIServers(externalEtcd(clientURLs(s.etcds[:2]...)))
	w := s.write()
	w.flows(t)
	for _, c := range []struct {
		what string
		test func(*failing, *testing.T)
	}{
		{"a new server refuses the client certificate", (*failing).refused},
		{"the disk of the manifests is full", (*failing).fullManifests},
		{"the disk of the copies is full", (*failing).fullCopies},
		{"the apiserver never gets ready", (*failing).neverReady},
		{"two nodes start at once", (*failing).twoAtOnce},
	} {
		t.Run(c.what, func(t *testing.T) {
			in := s.in(t)
			c.test(&failing{site: in, h: in.cps[0]}, t)
		})
	}
	w.stop(t)
	s.oneEach(t)
	s.neverBothRestarting(t)
}

// failing is a host on which a rewiring fails.
type failing struct {
	*site
	h *host
}

func (f *failing) rewire(members ...*host) result {
	return f.h.run(tool("etcdha"), "apiserver", "rewire", "--etcd-servers="+strings.Join(clientURLs(members...), ","), "--yes")
}

// fails makes sure that a rewiring fails, says why, and changes nothing.
func (f *failing) fails(t *testing.T, why string, members ...*host) {
	t.Helper()
	before, starts, names := f.h.read(manifest), f.h.starts(), f.h.list(manifests)
	r := f.rewire(members...)
	if r.code == 0 || !strings.Contains(r.stderr, why) {
		t.Errorf("expected a failure that says %q: %v", why, r)
	}
	if after := f.h.read(manifest); after != before {
		t.Errorf("the manifest is now\n%s", after)
	}
	if got := f.h.list(manifests); !slices.Equal(got, names) {
		t.Errorf("the directory has %q, and had %q", got, names)
	}
	if n := f.h.starts(); n != starts || !f.ready(f.h) {
		t.Errorf("the apiserver was started %d times more, and is ready: %v", n-starts, f.ready(f.h))
	}
}

// list are the names in a directory of the host.
func (h *host) list(dir string) []string {
	h.t.Helper()
	entries, err := os.ReadDir(h.path(dir))
	check(h.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (f *failing) refused(t *testing.T) {
	e3 := f.etcds[2]
	right := e3.read(etcdManifest)
	own := "--trusted-ca-file=" + pki + "/etcd/ca.crt"
	e3.write(etcdManifest, strings.Replace(right, " "+own, " "+strings.Replace(own, "/etcd/ca.crt", "/front-proxy-ca.crt", 1), 1))
	refuses := []string{tool("etcd37/etcdctl"), "endpoint", "health"}
	eventually(t, "e3 refuses", func() bool {
		r := e3.run(append(refuses, etcdFlags(e3)...)...)
		return r.code != 0 && strings.Contains(r.stderr, "certificate")
	})
	f.fails(t, e3.clientURL(), f.etcds...)
	e3.write(etcdManifest, right)
	eventually(t, "e3 serves again", func() bool { return e3.run(append(refuses, etcdFlags(e3)...)...).code == 0 })
}

func (f *failing) fullManifests(t *testing.T) {
	f.h.fill(manifests)
	f.fails(t, "no space left on device", f.etcds...)
	f.h.free(manifests)
}

func (f *failing) fullCopies(t *testing.T) {
	const copies = "/var/lib/etcdha/apiserver"
	check(t, os.MkdirAll(f.h.path(copies), 0o700))
	f.h.must("mount", "-t", "tmpfs", "-o", "size=4k,mode=0700", "tmpfs", copies)
	f.h.fill(copies)
	f.fails(t, "no space left on device", f.etcds...)
	f.h.must("umount", copies)
}

const filler = ".filler"

// fill leaves no room in a file system of the host.
func (h *host) fill(dir string) {
	h.t.Helper()
	file, err := os.Create(h.path(filepath.Join(dir, filler)))
	check(h.t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 512))
	}
	if !strings.Contains(err.Error(), "no space left") {
		h.t.Fatal(err)
	}
}

func (h *host) free(dir string) {
	h.t.Helper()
	check(h.t, os.Remove(h.path(filepath.Join(dir, filler))))
}

// neverReady: the only server of the new list answers when it is tried, and ends
// once the file is written.
func (f *failing) neverReady(t *testing.T) {
	e3 := f.etcds[2]
	before, starts := f.h.read(manifest), f.h.starts()
	c := f.h.start(tool("etcdha"), "apiserver", "rewire", "--etcd-servers="+e3.clientURL(), "--yes", "--timeout=25s")
	eventually(t, "the file is written", func() bool { return f.h.read(manifest) != before })
	etcd := e3.read(etcdManifest)
	check(t, os.Remove(e3.path(etcdManifest)))
	r := c.wait()
	if r.code == 0 {
		t.Errorf("expected a failure: %v", r)
	}
	if after := f.h.read(manifest); after != before {
		t.Errorf("the manifest is now\n%s", after)
	}
	if !f.ready(f.h) || !slices.Equal(f.h.running(), clientURLs(f.etcds[:2]...)) || f.h.starts() < starts+2 {
		t.Errorf("it is ready: %v, with %v, and was started %d times more", f.ready(f.h), f.h.running(), f.h.starts()-starts)
	}
	e3.write(etcdManifest, etcd)
	flags := append([]string{tool("etcd37/etcdctl"), "endpoint", "health"}, etcdFlags(e3)...)
	eventually(t, "e3 serves again", func() bool { return e3.run(flags...).code == 0 })
}

// twoAtOnce: both nodes are told the same moment.
func (f *failing) twoAtOnce(t *testing.T) {
	var both []*command
	for _, h := range f.cps {
		both = append(both, h.start(tool("etcdha"), "apiserver", "rewire", "--from-members", "--yes"))
	}
	for _, c := range both {
		c.waitDone()
	}
	f.eventuallyServe(t, f.etcds...)
}
