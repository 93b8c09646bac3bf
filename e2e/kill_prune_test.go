package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// oldBackups are there before each prune, of which it keeps one.
const oldBackups = 16

// TestKilledPrune kills prunes. What is to be kept stays, what is listed has
// its data, and the next prune finishes the work.
func TestKilledPrune(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 10)
	template := filepath.Join(t.TempDir(), "template")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store="+template)...)
	multiply(t, filepath.Dir(only(t, template, "manifest.json")))
	server := startS3(t)
	server.MakeBucket(t, "prunes")
	for _, kind := range []struct {
		name string
		full func(t *testing.T, n int) place // a store with all backups
	}{
		{"in a directory", func(t *testing.T, _ int) place {
			dir := filepath.Join(t.TempDir(), "store")
			must(t, "cp", "-r", template, dir)
			return dirPlace(dir)
		}},
		{"in s3", func(t *testing.T, n int) place {
			prefix := fmt.Sprintf("store-%d", n)
			upload(t, server, "prunes", prefix, template)
			return s3Place(server, "prunes", prefix)
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			k := newKiller(t, 3)
			prune := func(p place) []string {
				return []string{"snapshot", "prune", "--keep-last=1", "--apply", "--store=" + p.url}
			}
			first := kind.full(t, 0)
			all := listed(t, first.url)
			k.undisturbed(prune(first))
			for n := 1; k.kills < prunesKilled; n++ {
				p := kind.full(t, n)
				k.killPrune(p, prune(p), all[len(all)-1])
				if n%10 == 0 {
					verifyAll(t, p.url, listed(t, p.url))
					p.sweep(t)
				}
			}
			k.report()
		})
	}
}

func (k *killer) killPrune(p place, prune []string, newest string) {
	k.t.Helper()
	killed := k.killed(prune)
	objects := p.objects(k.t)
	now := listed(k.t, p.url)
	if killed {
		k.phases[removed(objects, len(now))]++
	}
	if !slices.Contains(now, newest) {
		k.t.Fatalf("the newest backup is gone, left are %v", now)
	}
	for _, id := range now {
		if !slices.ContainsFunc(objects, func(name string) bool { return isData(name) && strings.Contains(name, id) }) {
			k.t.Fatalf("backup %s is listed without its data", id)
		}
	}
	must(k.t, tool("etcdha"), prune...)
	if now := listed(k.t, p.url); len(now) != 1 || now[0] != newest {
		k.t.Fatalf("the prune after a killed one leaves %v", now)
	}
}

// removed names the phase that a prune was killed in.
func removed(objects []string, listed int) string {
	data := 0
	for _, name := range objects {
		if isData(name) {
			data++
		}
	}
	switch {
	case data == oldBackups && listed == oldBackups:
		return "before it removed"
	case data > listed:
		return "between manifest and data"
	case listed == 1:
		return "after the last removal"
	}
	return "between two removals"
}

// multiply makes a backup one of many, a day apart and all before it.
func multiply(t *testing.T, dir string) {
	t.Helper()
	id := filepath.Base(dir)
	manifest, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	for day := 1; day < oldBackups; day++ {
		at := time.Date(2020, 1, day, 12, 0, 0, 0, time.UTC)
		copyID := at.Format("20060102T150405Z") + id[len("20060102T150405Z"):]
		to := filepath.Join(filepath.Dir(dir), copyID)
		must(t, "cp", "-r", dir, to)
		changed := bytes.ReplaceAll(manifest, []byte(id), []byte(copyID))
		head, tail, _ := bytes.Cut(changed, []byte(`"started": "`))
		_, tail, _ = bytes.Cut(tail, []byte(`"`))
		changed = fmt.Appendf(nil, `%s"started": "%s"%s`, head, at.Format(time.RFC3339), tail)
		if err := os.WriteFile(filepath.Join(to, "manifest.json"), resummed(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// upload puts the files below a directory into a bucket, by the plain SDK.
func upload(t *testing.T, server *s3test.Server, bucket, prefix, dir string) {
	t.Helper()
	client := server.Client()
	for _, name := range dirPlace(dir).objects(t) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		key := prefix + "/" + name
		if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)}); err != nil {
			t.Fatal(err)
		}
	}
}

// sweep makes what is left of killed runs old, where that can be done, and
// lets prune remove it. In a bucket nobody can: what is left there has to be
// what a prune will find when it is.
func (p place) sweep(t *testing.T) {
	t.Helper()
	onDisk := !strings.Contains(p.url, "://")
	if onDisk {
		longAgo := time.Now().Add(-48 * time.Hour)
		for _, name := range p.objects(t) {
			if err := os.Chtimes(filepath.Join(p.url, name), longAgo, longAgo); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t, tool("etcdha"), "snapshot", "prune", "--keep-last=1000", "--apply", "--store="+p.url)
	objects := p.objects(t)
	for _, name := range objects {
		manifest := filepath.Join(snapshotOf(strings.TrimPrefix(name, unfinished)), "manifest.json")
		switch {
		case onDisk && (isUnfinished(name) || !slices.Contains(objects, manifest)):
			t.Errorf("%s is left after prune --apply", name)
		case !backedUp.MatchString(strings.TrimPrefix(name, unfinished)):
			t.Errorf("%s is where no prune will look", name)
		}
	}
}

// backedUp matches the keys that backups have.
var backedUp = regexp.MustCompile(`^default/[0-9a-f]+-[0-9a-f]{8}/snapshots/\d{8}T\d{6}Z-r\d+-[0-9a-f]{4}/(reports/)?[a-zA-Z0-9.-]+$`)

// snapshotOf is the prefix of the backup that an object belongs to.
func snapshotOf(name string) string {
	parts := strings.SplitN(name, "/", 5)
	return strings.Join(parts[:min(4, len(parts))], "/")
}
