package s3_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// probed returns what a store has found out of itself.
func probed(t *testing.T, s storage.Store) map[string]storage.Finding {
	t.Helper()
	found := make(map[string]storage.Finding)
	for _, f := range s.(storage.Prober).Probe(t.Context(), "check/own") {
		if _, twice := found[f.Name]; twice || f.Detail == "" && f.Err == nil {
			t.Errorf("finding %+v", f)
		}
		found[f.Name] = f
	}
	if is, want := slices.Sorted(maps.Keys(found)), []string{"abort", "checksums", "clock", "encryption", "multipart", "object lock"}; !slices.Equal(is, want) {
		t.Errorf("found %q, want %q", is, want)
	}
	return found
}

// finds fails unless a finding is what somebody asked for, and has the
// complaint, or none if that is "".
func finds(t *testing.T, f storage.Finding, asked bool, complaint string) {
	t.Helper()
	is := ""
	if f.Err != nil {
		is = f.Err.Error()
	}
	if f.Asked != asked || (is == "") != (complaint == "") || !strings.Contains(is, complaint) {
		t.Errorf("%s: %+v; want the complaint %q, asked for: %v", f.Name, f, complaint, asked)
	}
}

// The server does all that every server has to, and is honest about the rest.
func TestProbeOfASoundServer(t *testing.T) {
	server := startServer(t)
	prefix := newPrefix()
	s := open(t, server.URL(bucket, prefix))
	found := probed(t, s)
	for name, detail := range map[string]string{
		"checksums": "a corrupted upload is refused",
		"abort":     "nothing is left",
		"multipart": "an upload in parts replaces no object, and a corrupted one is refused",
		"clock":     "within",
	} {
		finds(t, found[name], true, "")
		if !strings.HasPrefix(found[name].Detail, detail) {
			t.Errorf("%s: %q, want %q", name, found[name].Detail, detail)
		}
	}
	finds(t, found["encryption"], false, "not asked for")
	finds(t, found["object lock"], false, "not asked for")
	if uploads := leaked(t, server, prefix); len(uploads) > 0 {
		t.Errorf("uploads are left of %q", uploads)
	}
	for _, key := range list(t, s) {
		if strings.Contains(key, "multipart") || strings.Contains(key, "checksums") {
			t.Errorf("%s is left", key)
		}
	}
}

// A server without checksums is not asked for any.
func TestProbeWithoutChecksums(t *testing.T) {
	server := startServer(t)
	found := probed(t, open(t, server.URL(bucket, newPrefix(), "checksum=none")))
	finds(t, found["multipart"], true, "")
	if is := found["multipart"].Detail; is != "an upload in parts replaces no object" {
		t.Errorf("multipart: %q", is)
	}
	finds(t, found["checksums"], false, "")
}

// One wish that the server ignores spoils one finding.
func TestProbeOfAServerThatIgnoresEncryption(t *testing.T) {
	server := startServer(t)
	found := probed(t, open(t, server.URL(bucket, newPrefix(), "sse=AES256")))
	finds(t, found["encryption"], true, "asked for sse=AES256 and keeps the object unencrypted")
	for _, name := range []string{"checksums", "abort", "multipart", "clock"} {
		finds(t, found[name], true, "")
	}
	finds(t, found["object lock"], false, "not asked for")
}

func TestProbeOfObjectLock(t *testing.T) {
	server := startServer(t)
	server.MakeLockBucket(t, "locked")
	settings := []string{"lock-mode=GOVERNANCE", "lock-for=1h"}
	s := open(t, server.URL("locked", newPrefix(), settings...))
	found := probed(t, s)
	for _, name := range []string{"object lock", "multipart", "checksums", "abort", "clock"} {
		finds(t, found[name], true, "")
	}
	if is := found["object lock"].Detail; !strings.HasPrefix(is, "GOVERNANCE until 2") {
		t.Errorf("object lock: %q", is)
	}
	for _, key := range list(t, s) { // what is locked stays, and only that
		if locked := strings.HasSuffix(key, "/object-lock"); locked != (lock(t, s, key) != "") {
			t.Errorf("%s is left, locked: %q", key, lock(t, s, key))
		}
	}
	found = probed(t, open(t, server.URL(bucket, newPrefix(), settings...)))
	finds(t, found["object lock"], true, "does not lock the object")
	finds(t, found["multipart"], true, "")
}

func TestProbeOfTheClock(t *testing.T) {
	server := startServer(t)
	for ahead, complaint := range map[time.Duration]string{
		0: "", time.Minute: "", -time.Minute: "", time.Hour: " apart", -time.Hour: " apart", 6 * time.Minute: " apart",
	} {
		u := server.URL(bucket, newPrefix())
		finds(t, probed(t, openAt(t, u, time.Now().Add(ahead)))["clock"], true, complaint)
	}
}

// A server that takes what it has to refuse is found out: here one says of each
// refused request that it was done.
func TestProbeOfAServerThatRefusesNothing(t *testing.T) {
	server := startServer(t)
	for _, c := range []struct {
		name, check, complaint string
		takes                  func(*http.Request) bool
	}{
		{"a small object with a wrong checksum", "checksums", "takes bytes that do not fit their checksum", func(r *http.Request) bool {
			return create.match(r) && strings.HasSuffix(r.URL.Path, "/checksums")
		}},
		{"a large object with a wrong checksum", "multipart", "completes an upload whose bytes do not fit its checksum", func(r *http.Request) bool {
			return complete.match(r) && strings.HasSuffix(r.URL.Path, "/multipart-checksum")
		}},
		{"a large object in the place of another", "multipart", "an upload in parts replaces an object that exists", func(r *http.Request) bool {
			return complete.match(r) && strings.HasSuffix(r.URL.Path, "/multipart")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy := server.NewProxy(t)
			proxy.Answer(func(r *http.Response) {
				if c.takes(r.Request) {
					accept(r)
				}
			})
			for name, f := range probed(t, open(t, proxy.URL(bucket, newPrefix()))) {
				switch name {
				case c.check:
					finds(t, f, true, c.complaint)
				case "checksums", "abort", "multipart", "clock":
					finds(t, f, true, "")
				}
			}
		})
	}
}

// accept makes a refusal the answer to an upload that was completed.
func accept(r *http.Response) {
	const done = `<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUploadResult><ETag>"0"</ETag></CompleteMultipartUploadResult>`
	r.StatusCode, r.Status = http.StatusOK, ""
	r.Body.Close()
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(done)), int64(len(done))
	r.Header = http.Header{"Content-Type": {"application/xml"}}
}

// A server may refuse an upload and have changed the object all the same.
func TestProbeOfAServerThatRefusesTooLate(t *testing.T) {
	server := startServer(t)
	proxy := server.NewProxy(t)
	proxy.Plan(s3test.Fault{Kind: s3test.CorruptAnswer, Match: func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/multipart")
	}})
	found := probed(t, open(t, proxy.URL(bucket, newPrefix(), "checksum=none")))
	finds(t, found["multipart"], true, "that was refused has changed the object")
}

// A store tells its time by the server's clock, whatever ours says.
func TestNowIsTheTimeOfTheServer(t *testing.T) {
	server := startServer(t)
	proxy := server.NewProxy(t)
	u := proxy.URL(bucket, newPrefix())
	now := func() (time.Time, error) {
		return openAt(t, u, time.Now().AddDate(1, 0, 0)).(storage.Clock).Now(t.Context())
	}
	before := time.Now().Truncate(time.Second)
	if at, err := now(); err != nil || at.Before(before) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("it is %v (%v), want about %v", at, err, before)
	}
	proxy.Answer(func(r *http.Response) { r.Header.Set("Date", "none") })
	if at, err := now(); !errors.Is(err, storage.ErrUnavailable) || !at.IsZero() {
		t.Errorf("of a server without a date: %v, %v", at, err)
	}
	proxy.Answer(nil)
	proxy.Plan(s3test.Fault{Kind: s3test.SlowDown, Times: -1})
	if at, err := now(); !errors.Is(err, storage.ErrUnavailable) || !at.IsZero() {
		t.Errorf("of a server that does not answer: %v, %v", at, err)
	}
}
