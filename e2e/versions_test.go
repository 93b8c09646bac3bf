package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestEveryVersion takes a backup of a cluster of each etcd version while
// writes go on, with authentication on, and proves it in every way there is.
func TestEveryVersion(t *testing.T) {
	for _, version := range versions {
		t.Run("etcd"+version, func(t *testing.T) {
			c := startCluster(t, version, 3)
			c.fill(t)
			c.enableAuth(t)
			store := filepath.Join(t.TempDir(), "backups")
			stop := c.writeInBackground(t)
			out := must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store", store)...)
			stop()
			for _, want := range []string{"ok    stored bytes", "ok    digest", "ok    structure", "ok    records", "ok    live", "a follower"} {
				if !strings.Contains(out, want) {
					t.Errorf("save does not say %q:\n%s", want, out)
				}
			}
			c.provenByMembers(t, store)
			c.sameStatusAsEtcdutl(t, store)
			c.rehearsedOnItsVersion(t, store)
			c.sameFileAsEtcdctl(t)
			c.compactedAway(t, store)
		})
	}
}

func (c *cluster) provenByMembers(t *testing.T, store string) {
	t.Helper()
	out := must(t, tool("etcdha"), with(c.flags(), "snapshot", "verify", "latest", "--live=all", "--store", store)...)
	if n := strings.Count(out, "ok    live"); n != 3 {
		t.Errorf("%d members agree, expected 3:\n%s", n, out)
	}
	// And once more without us: what the member says of that revision.
	var m struct {
		HashKV struct {
			Hash                      uint32
			Revision, CompactRevision int64
		}
	}
	readJSON(t, only(t, store, "manifest.json"), &m)
	resp, err := pb.NewMaintenanceClient(c.client.ActiveConnection()).HashKV(t.Context(), &pb.HashKVRequest{Revision: m.HashKV.Revision})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Hash != m.HashKV.Hash || resp.CompactRevision != m.HashKV.CompactRevision {
		t.Errorf("HashKV is %d at compact revision %d, the manifest says %d at %d", resp.Hash, resp.CompactRevision, m.HashKV.Hash, m.HashKV.CompactRevision)
	}
}

// sameStatusAsEtcdutl compares field by field with the newest etcdutl, whose
// way of counting keys is the right one.
func (c *cluster) sameStatusAsEtcdutl(t *testing.T, store string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plain.db")
	must(t, tool("etcdha"), "snapshot", "get", "latest", file, "--store", store)
	var ours, theirs map[string]any
	unmarshal(t, must(t, tool("etcdha"), "snapshot", "status", file, "-w", "json"), &ours)
	unmarshal(t, must(t, tool("etcd37/etcdutl"), "snapshot", "status", file, "-w", "json"), &theirs)
	if len(theirs) != 5 {
		t.Errorf("etcdutl prints %d fields, expected 5: %v", len(theirs), theirs)
	}
	for field, want := range theirs {
		if ours[field] != want {
			t.Errorf("status: %s is %v, etcdutl says %v", field, ours[field], want)
		}
	}
	for _, form := range []string{"simple", "table"} {
		stock := must(t, tool("etcd37/etcdutl"), "snapshot", "status", file, "-w", form)
		if got := must(t, tool("etcdha"), "snapshot", "status", file, "-w", form); !strings.HasPrefix(got, stock) {
			t.Errorf("status in the form %s does not begin as etcdutl's:\n%s\n%s", form, got, stock)
		}
	}
	text := must(t, tool("etcdha"), "snapshot", "status", file)
	for _, want := range []string{`authentication +on`, `leases +2`, `member +m1 [0-9a-f]+ https`, `encrypted \(aescbc:v1:key1\)`, `JSON`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("status does not match %q:\n%s", want, text)
		}
	}
	if yaml := must(t, tool("etcdha"), "snapshot", "status", file, "-w", "yaml"); !strings.Contains(yaml, "\nauth: true\n") && !strings.HasPrefix(yaml, "auth: true\n") {
		t.Errorf("status in yaml:\n%s", yaml)
	}
}

func (c *cluster) rehearsedOnItsVersion(t *testing.T, store string) {
	t.Helper()
	out := must(t, tool("etcdha"), "restore", "rehearse", "latest", "--kubernetes", "--store", store, "--etcd", tool("etcd"+c.version+"/etcd"))
	for _, want := range []string{"ok    boot            all 3", "on all 3", "ok    keys", "ok    write", "ok    bumped content", "ok    bumped write"} {
		if !strings.Contains(out, want) {
			t.Errorf("rehearsal does not say %q:\n%s", want, out)
		}
	}
}

// sameFileAsEtcdctl compares the files of both once the cluster is quiet. etcd
// moves its root page for every snapshot that it sends, so that two files of
// etcdctl differ too; content, size and form are the same.
func (c *cluster) sameFileAsEtcdctl(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	flags := with(c.flags()[1:], "--endpoints="+c.Members[0].ClientURL)
	eventually(t, "the file is what etcdctl writes", func() bool {
		ours, stock := filepath.Join(dir, "ours.db"), filepath.Join(dir, "stock.db")
		must(t, tool("etcdha"), with(flags, "snapshot", "save", ours)...)
		must(t, tool("etcd"+c.version+"/etcdctl"), with(flags, "snapshot", "save", stock)...)
		status := func(file string) string {
			return must(t, tool("etcd37/etcdutl"), "snapshot", "status", file, "-w", "json")
		}
		return status(ours) == status(stock) && len(read(t, ours)) == len(read(t, stock))
	})
}

// compactedAway compacts past the backup: then the members cannot be asked any
// more, which is neither pass nor fail.
func (c *cluster) compactedAway(t *testing.T, store string) {
	t.Helper()
	resp, err := c.client.Put(t.Context(), "/last", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	out := must(t, tool("etcdha"), with(c.flags(), "snapshot", "verify", "latest", "--live", "--store", store)...)
	if !strings.Contains(out, "n/a   live") || !strings.Contains(out, "is compacted away on") {
		t.Errorf("verify of a compacted revision:\n%s", out)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	unmarshal(t, string(read(t, file)), v)
}

func unmarshal(t *testing.T, data string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
}

// only returns the only file of that name in a store.
func only(t *testing.T, store, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(store, "*/*/snapshots/*", name))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files %s in the store: %v", len(files), name, err)
	}
	return files[0]
}
