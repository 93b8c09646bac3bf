package apiserver

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Copies of several files lie beside each other, newest first, whatever the clock does.
func TestCopies(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "copies")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	c, other := copies{dir: dir, file: "/etc/kubernetes/manifests/kube-apiserver.yaml"}, copies{dir: dir, file: "/etc/kubernetes/manifests/kube-apiserver"}
	long := copies{dir: dir, file: "/" + strings.Repeat("directory/", 40) + "kube-apiserver.yaml"}
	keep := func(c copies, text string, at time.Time, want string) {
		t.Helper()
		name, err := c.keep([]byte(text), at)
		if err != nil || !strings.HasSuffix(name, want) {
			t.Fatalf("kept as %s, %v; want %s", name, err, want)
		}
		if data, err := c.read(name); string(data) != text || err != nil {
			t.Errorf("it holds %q, %v", data, err)
		}
	}
	keep(c, "1", at, "%2Fetc%2Fkubernetes%2Fmanifests%2Fkube-apiserver.yaml.20260301T110000.000000000Z")
	keep(c, "1", at.Add(time.Hour), "T110000.000000000Z") // it is there
	keep(c, "2", at, "T110000.000000001Z")
	keep(c, "3", at.Add(-time.Hour), "T110000.000000002Z")
	keep(c, "1", at.Add(time.Hour), "T120000.000000000Z")
	keep(other, "x", at, "kube-apiserver.20260301T110000.000000000Z")
	keep(long, "y", at, "directory%2Fkube-apiserver.yaml.20260301T110000.000000000Z")
	if names, err := c.list(); err != nil || len(names) != 4 || !strings.HasSuffix(names[0], "T120000.000000000Z") || !strings.HasSuffix(names[3], "T110000.000000000Z") {
		t.Errorf("%q, %v", names, err)
	}
	for _, c := range []copies{other, long} {
		if names, err := c.list(); err != nil || len(names) != 1 {
			t.Errorf("%s: %q, %v", c.file, names, err)
		}
	}
	if name := filepath.Base(long.journal()); len(name) > 255 {
		t.Errorf("the name of the record has %d bytes", len(name))
	}
}

// A record that cannot be read is for people to judge.
func TestARecordThatCannotBeRead(t *testing.T) {
	c := copies{dir: t.TempDir(), file: "/etc/kubernetes/manifests/kube-apiserver.yaml"}
	if _, ok, err := c.record(); ok || err != nil {
		t.Errorf("none: %v, %v", ok, err)
	}
	want := record{File: c.file, Copy: "copy", Stage: stagePrepared, From: three, To: five, Processes: []identity{{4711, 99}}}
	if err := c.write(want); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := c.record(); !ok || err != nil || !slices.Equal(got.To, five) || !slices.Equal(got.Processes, want.Processes) {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	for _, text := range []string{"{", `{"file": "/another"}`} {
		if err := os.WriteFile(c.journal(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := c.record(); ok || err == nil || !strings.Contains(err.Error(), c.journal()) {
			t.Errorf("%s: %v, %v", text, ok, err)
		}
	}
}
