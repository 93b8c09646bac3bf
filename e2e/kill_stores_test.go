package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// How often each is killed, for each kind of store.
const (
	savesKilled  = 45
	copiesKilled = 45
	prunesKilled = 60
)

// TestKilledSave kills saves. Older backups stay and verify, the new one is
// whole or invisible, and the next save works.
func TestKilledSave(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 4500) // two parts of an upload
	server := startS3(t)
	server.MakeBucket(t, "saves")
	file := filepath.Join(t.TempDir(), "snapshot.db")
	for _, p := range []struct {
		place
		name string
		more []string
	}{
		{dirPlace(t.TempDir()), "into a directory and a FILE", []string{file}},
		{s3Place(server, "saves", "kept/here"), "into s3", nil},
	} {
		t.Run(p.name, func(t *testing.T) {
			k := newKiller(t, 1)
			save := with(with(c.flags(), "snapshot", "save", "--store="+p.url), p.more...)
			k.undisturbed(save)
			k.undisturbed(save)
			older := listed(t, p.url)
			for round := 1; k.kills < savesKilled; round++ {
				before := p.objects(t)
				if k.killed(save) {
					k.phases[added(before, p.objects(t))]++
				}
				older = wholeOnly(t, p.url, older)
				for _, file := range p.more { // the one before, or the new one
					must(t, tool("etcdha"), "snapshot", "verify", file)
				}
				if round%20 == 0 {
					verifyAll(t, p.url, older[:2])
					k.undisturbed(save)
				}
			}
			k.undisturbed(save)
			older = wholeOnly(t, p.url, older)
			verifyAll(t, p.url, older)
			p.sweep(t)
			if now := listed(t, p.url); !slices.Equal(now, older) {
				t.Errorf("%d backups were there, prune --apply has left %d", len(older), len(now))
			}
			k.report()
		})
	}
}

// TestKilledCopy kills copies again and again on their way into the same store,
// until one comes through. What is listed there meanwhile is whole.
func TestKilledCopy(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 4500)
	server := startS3(t)
	server.MakeBucket(t, "copies")
	dir, bucket := dirPlace(t.TempDir()), s3Place(server, "copies", "source")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store="+dir.url, "--store="+bucket.url)...)
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store="+dir.url, "--store="+bucket.url)...)
	for _, way := range []struct {
		name string
		from place
		to   func(n int) place
	}{
		{"from a directory to s3", dir, func(n int) place { return s3Place(server, "copies", fmt.Sprintf("target-%d", n)) }},
		{"from s3 to a directory", bucket, func(int) place { return dirPlace(filepath.Join(t.TempDir(), "target")) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			k := newKiller(t, 2)
			source := way.from.objects(t)
			ids := listed(t, way.from.url)
			copyTo := func(p place) []string {
				return []string{"snapshot", "copy", "--all", "--store=" + way.from.url, "--to=" + p.url}
			}
			k.undisturbed(copyTo(way.to(0)))
			for chain := 1; k.kills < copiesKilled; chain++ {
				p := way.to(chain)
				var there []string
				for range 1 + k.rnd.IntN(4) {
					before := p.objects(t)
					if !k.killed(copyTo(p)) {
						break
					}
					k.phases[added(before, p.objects(t))]++
					there = wholeOnly(t, p.url, there)
				}
				must(t, tool("etcdha"), copyTo(p)...)
				if now := wholeOnly(t, p.url, there); !slices.Equal(now, ids) {
					t.Fatalf("copied are %v of %v", now, ids)
				}
				p.sweep(t)
			}
			if now := way.from.objects(t); !slices.Equal(now, source) {
				t.Errorf("the source is changed:\n%s", strings.Join(now, "\n"))
			}
			k.report()
		})
	}
}

// TestInterruptedSave asks saves to end, as Ctrl-C does. They end soon and leave
// neither parts of an upload nor temporary files.
func TestInterruptedSave(t *testing.T) {
	c := startCluster(t, "37", 1)
	c.fillPlain(t, 4500)
	server := startS3(t)
	server.MakeBucket(t, "interrupted")
	places := []place{dirPlace(filepath.Join(t.TempDir(), "store")), s3Place(server, "interrupted", "x")}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	save := with(c.flags(), "snapshot", "save", file, "--store="+places[0].url, "--store="+places[1].url)
	k := newKiller(t, 4)
	k.undisturbed(save)
	k.signal = os.Interrupt
	older := make([][]string, len(places))
	for k.kills < 20 {
		k.killed(save)
		for i, p := range places {
			if left := slices.DeleteFunc(p.objects(t), func(name string) bool { return !isUnfinished(name) }); len(left) > 0 {
				t.Fatalf("left behind: %v", left)
			}
			older[i] = wholeOnly(t, p.url, older[i])
		}
		if beside, err := os.ReadDir(filepath.Dir(file)); err != nil || len(beside) != 1 {
			t.Fatalf("beside FILE: %v, %v", beside, err)
		}
	}
	k.report()
}
