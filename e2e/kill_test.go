package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// place is a store as it looks from outside etcdha.
type place struct {
	url     string
	objects func(t *testing.T) []string // keys; of temporary files and uploads as well
}

// unfinished begins the name of a multipart upload among the objects.
const unfinished = "upload of "

func dirPlace(dir string) place {
	return place{url: dir, objects: func(t *testing.T) []string {
		t.Helper()
		var names []string
		err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				name, err = filepath.Rel(dir, name)
				names = append(names, name)
			}
			if os.IsNotExist(err) {
				return nil // not made yet
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}}
}

func s3Place(server *s3test.Server, bucket, prefix string) place {
	return place{url: server.URL(bucket, prefix).String(), objects: func(t *testing.T) []string {
		t.Helper()
		var names []string
		for _, object := range server.Objects(t, bucket) {
			if name, ok := strings.CutPrefix(*object.Key, prefix+"/"); ok {
				names = append(names, name)
			}
		}
		for _, key := range server.Uploads(t, bucket) {
			if name, ok := strings.CutPrefix(key, prefix+"/"); ok {
				names = append(names, unfinished+name)
			}
		}
		return names
	}}
}

// isManifest, isData and isUnfinished tell what an object is by its name.
func isManifest(name string) bool { return path.Base(name) == "manifest.json" }
func isData(name string) bool     { return path.Base(name) == "db.zst" && !isUnfinished(name) }
func isUnfinished(name string) bool {
	return strings.HasPrefix(name, unfinished) || path.Base(name)[0] == '.'
}

// killer runs the binary and kills it at moments that are spread evenly over
// the time that an undisturbed run takes.
type killer struct {
	t       *testing.T
	rnd     *rand.Rand
	signal  os.Signal     // what kills
	tmp     string        // TMPDIR of the killed
	whole   time.Duration // how long an undisturbed run takes
	kills   int
	moments []float64 // of the next kills, as parts of whole
	phases  map[string]int
}

func newKiller(t *testing.T, seed uint64) *killer {
	return &killer{t: t, signal: os.Kill, rnd: rand.New(rand.NewPCG(seed, 7)), tmp: t.TempDir(), phases: make(map[string]int)}
}

func (k *killer) command(args []string) *exec.Cmd {
	cmd := exec.Command(tool("etcdha"), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+k.tmp)
	return cmd
}

// undisturbed has to succeed, and measures how long it takes.
func (k *killer) undisturbed(args []string) {
	k.t.Helper()
	start := time.Now()
	if out, err := k.command(args).CombinedOutput(); err != nil {
		k.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	k.whole = time.Since(start)
}

// killed runs the binary and kills it, unless it was quicker: killed is false
// then, and it must have succeeded.
func (k *killer) killed(args []string) bool {
	k.t.Helper()
	if len(k.moments) == 0 {
		const strata = 20
		for _, i := range k.rnd.Perm(strata) {
			k.moments = append(k.moments, (float64(i)+k.rnd.Float64())/strata)
		}
	}
	moment := k.moments[0]
	k.moments = k.moments[1:]
	cmd := k.command(args)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	timer := time.AfterFunc(time.Duration(moment*float64(k.whole)), func() { _ = cmd.Process.Signal(k.signal) })
	defer timer.Stop()
	err := cmd.Wait()
	if err == nil {
		return false
	}
	if code := cmd.ProcessState.ExitCode(); code != -1 && (k.signal == os.Kill || code != 130) {
		k.t.Fatalf("%v failed by itself: %v\n%s", args, err, out.String())
	}
	k.kills++
	return true
}

// report tells where the kills have hit, and that nothing is left in TMPDIR.
func (k *killer) report() {
	k.t.Helper()
	var hits []string
	for _, phase := range slices.Sorted(maps.Keys(k.phases)) {
		hits = append(hits, fmt.Sprintf("%d %s", k.phases[phase], phase))
	}
	k.t.Logf("%d kills within %v %s", k.kills, k.whole.Round(time.Millisecond), strings.Join(hits, ", "))
	left, err := os.ReadDir(k.tmp)
	if err != nil || len(left) > 0 {
		k.t.Errorf("%d files are left in the temporary directory: %v", len(left), err)
	}
}

// listed are the ids of the backups of a store.
func listed(t *testing.T, url string) []string {
	t.Helper()
	if !strings.Contains(url, "://") {
		if _, err := os.Stat(url); os.IsNotExist(err) {
			return nil // killed before it was made
		}
	}
	stdout, stderr, code := etcdha(t, "snapshot", "list", "--store="+url, "-w=json")
	if code != 0 || strings.Contains(stderr, "not readable") {
		t.Fatalf("list: exit %d\n%s", code, stderr)
	}
	var rows []struct{ ID string }
	unmarshal(t, stdout, &rows)
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids
}

// verifyAll verifies backups of a store down to their records.
func verifyAll(t *testing.T, url string, ids []string) {
	t.Helper()
	for _, id := range ids {
		if out := must(t, tool("etcdha"), "snapshot", "verify", id, "--store="+url, "--endpoints=127.0.0.1:1"); !strings.Contains(out, "ok    records") {
			t.Fatalf("verify %s:\n%s", id, out)
		}
	}
}

// wholeOnly holds the listing of a store against the objects in it: no backup
// is missing, and each that is new is proven.
func wholeOnly(t *testing.T, url string, before []string) (now []string) {
	t.Helper()
	now = listed(t, url)
	for _, id := range before {
		if !slices.Contains(now, id) {
			t.Fatalf("backup %s is gone", id)
		}
	}
	verifyAll(t, url, slices.DeleteFunc(slices.Clone(now), func(id string) bool { return slices.Contains(before, id) }))
	return now
}

// added names the phase that a save or copy was killed in by what it has left.
func added(before, after []string) string {
	is := func(kind func(string) bool) bool {
		return slices.ContainsFunc(after, func(name string) bool { return kind(name) && !slices.Contains(before, name) })
	}
	switch {
	case is(isManifest):
		return "after a commit"
	case is(isData):
		return "between data and manifest"
	case is(isUnfinished):
		return "while it wrote"
	}
	return "before it wrote"
}
