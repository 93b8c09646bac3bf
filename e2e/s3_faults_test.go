package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// faulty are the settings of a store behind a bad line: little patience, so
// that the tests have as much of it as they need.
var faulty = []string{"timeout=2s", "retries=3"}

// patience bounds a run whose every request goes wrong.
const patience = 90 * time.Second

// faultBench is what the runs behind a bad line have in common.
type faultBench struct {
	cluster   *cluster
	server    *s3test.Server
	old, both string // directories with a small backup, and with a large one beside it
}

// operation is a command whose requests are broken.
type operation struct {
	name     string
	before   func(b *faultBench) string // the directory that the bucket begins as
	args     func(b *faultBench, url, dir string) []string
	requests int                      // at least, when nothing is wrong
	broken   func(*http.Request) bool // the requests that make the work
	writes   bool
	once     bool // nothing lasts
}

var operations = []operation{
	{
		name: "save", writes: true,
		before: func(b *faultBench) string { return b.old },
		args: func(b *faultBench, url, _ string) []string {
			return with(b.cluster.flags(), "snapshot", "save", "--store="+url)
		},
		broken: writing, requests: 12,
	},
	{
		name: "copy to s3", writes: true,
		before: func(b *faultBench) string { return b.old },
		args: func(b *faultBench, url, _ string) []string {
			return []string{"snapshot", "copy", "--all", "--store=" + b.both, "--to=" + url}
		},
		broken: writing, requests: 12,
	},
	{
		name:   "copy from s3",
		before: func(b *faultBench) string { return b.both },
		args: func(_ *faultBench, url, dir string) []string {
			return []string{"snapshot", "copy", "--all", "--store=" + url, "--to=" + dir}
		},
		broken: reading, requests: 8, once: true, // for good it would be as with verify
	},
	{
		name:   "verify",
		before: func(b *faultBench) string { return b.both },
		args: func(_ *faultBench, url, _ string) []string {
			return []string{"snapshot", "verify", "@2099-01-01T00:00:00Z", "--store=" + url}
		},
		broken: reading, requests: 8,
	},
}

// reading matches what reads objects.
var reading = s3test.Matching(http.MethodGet, "GetObject")

// writing matches what puts objects. What cleans up after it stays intact: over
// a line that is dead for good nobody can.
func writing(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodPost }

// TestS3Faults breaks one request of each operation, and then all of a kind, in
// every way. A command goes on, or says that it did not, and in no case is
// there half a backup, a forgotten upload, or harm to what was there.
func TestS3Faults(t *testing.T) {
	b := newFaultBench(t)
	for _, op := range operations {
		for i, kind := range s3test.Kinds {
			for _, lasting := range []bool{false, true} {
				if lasting && op.once {
					continue
				}
				name := fmt.Sprintf("%s, %s, %s", op.name, kind, map[bool]string{true: "always", false: "once"}[lasting])
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					fault := s3test.Fault{Kind: kind, Nth: 1 + i*7%op.requests} // another one for each kind
					if lasting {
						fault = s3test.Fault{Kind: kind, Times: -1, Match: op.broken}
					}
					if kind == s3test.CorruptAnswer {
						fault.Nth, fault.Match = 2, reading // a listing has no checksum: there it is TLS alone that tells
					}
					b.try(t, op, fault)
				})
			}
		}
	}
}

func newFaultBench(t *testing.T) *faultBench {
	t.Helper()
	b := &faultBench{cluster: startCluster(t, "37", 1), server: startS3(t), old: t.TempDir(), both: t.TempDir()}
	b.server.MakeBucket(t, "faults")
	b.cluster.fillPlain(t, 10)
	must(t, tool("etcdha"), with(b.cluster.flags(), "snapshot", "save", "--store="+b.old, "--store="+b.both)...)
	b.cluster.fillPlain(t, 4500) // two parts of an upload
	must(t, tool("etcdha"), with(b.cluster.flags(), "snapshot", "save", "--store="+b.both)...)
	return b
}

func (b *faultBench) try(t *testing.T, op operation, fault s3test.Fault) {
	proxy := b.server.NewProxy(t)
	prefix := strings.Map(func(r rune) rune {
		if r < 'a' || r > 'z' {
			return '-'
		}
		return r
	}, strings.ToLower(t.Name()))
	direct := s3Place(b.server, "faults", prefix)
	upload(t, b.server, "faults", prefix, op.before(b))
	dir := filepath.Join(t.TempDir(), "dir")
	older := listed(t, direct.url)

	proxy.Plan(fault)
	start := time.Now()
	stdout, stderr, code := etcdha(t, op.args(b, proxy.URL("faults", prefix, faulty...).String(), dir)...)
	if took := time.Since(start); took > patience {
		t.Errorf("it took %v", took)
	}
	t.Logf("exit %d after %d requests in %v: %s", code, len(proxy.Requests()), time.Since(start).Round(time.Millisecond), stderr)

	changed := fault.Kind == s3test.CorruptRequest || fault.Kind == s3test.CorruptAnswer
	if n := len(proxy.Requests()); n < fault.Nth {
		t.Errorf("there were %d requests, and the fault was to be in request %d", n, fault.Nth)
	}
	checkOutcome(t, fault, changed, code, stderr)
	if strings.Contains(stdout+stderr, b.server.SecretKey) {
		t.Error("the secret key is printed")
	}
	if uploads := slices.DeleteFunc(direct.objects(t), func(name string) bool { return !isUnfinished(name) }); len(uploads) > 0 {
		t.Errorf("left behind: %v", uploads)
	}
	now := wholeOnly(t, direct.url, older)
	verifyAll(t, direct.url, older)
	// What was read back with another byte is in doubt, however whole it is.
	if added := len(now) > len(older); op.writes && (code == 0 && !added || code != 0 && added && !changed) {
		t.Errorf("exit %d, and %d backups became %d", code, len(older), len(now))
	}
	if op.name == "copy from s3" {
		if there := wholeOnly(t, dir, nil); code == 0 && !slices.Equal(there, older) {
			t.Errorf("copied are %v of %v", there, older)
		}
	}
}

// checkOutcome says how a command may end: a single fault is repaired, unless
// it has changed bytes, a slow server is none, and what lasts is a store that is
// not available.
func checkOutcome(t *testing.T, fault s3test.Fault, changed bool, code int, stderr string) {
	t.Helper()
	var allowed []int
	switch {
	case changed:
		allowed = []int{0, 10, 12}
	case fault.Times == 0, fault.Kind == s3test.SlowAnswer, fault.Kind == s3test.LateRequest:
		allowed = []int{0}
	case fault.Kind == s3test.ResetAfter, fault.Kind == s3test.ResetAnswer, fault.Kind == s3test.StallAnswer:
		allowed = []int{0, 12} // the server has acted, and a look at the object tells
	default:
		allowed = []int{12}
	}
	if !slices.Contains(allowed, code) {
		t.Errorf("exit %d, expected one of %v:\n%s", code, allowed, stderr)
	}
	if code != 0 && !strings.Contains(stderr, "etcdha: ") {
		t.Errorf("exit %d without a word:\n%s", code, stderr)
	}
}
