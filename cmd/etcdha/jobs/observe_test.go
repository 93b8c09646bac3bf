package jobs

import (
	"context"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// What an observation says of a cluster with a member down, of what is proven in its
// stores, and of certificates.
func TestObserve(t *testing.T) {
	w := newWorld(t, 3, "s3", "local")
	w.config.Zones = map[string]string{"m1": "a", "m2": "b", "m3": "c"}
	w.config.Local = w.cluster.Members[1].ClientURL
	ids := w.save(3)
	w.mustDo(config.Rehearse, w.slot())
	w.mustDo(config.VerifySample, w.slot())
	w.flip(w.file("local", ids[1], "db.zst"))
	_, _ = w.do(config.Verify, w.slot())
	w.save(1)
	worker := w.worker()
	whole := worker.Observe(t.Context())
	if whole.Err != "" || !whole.Quorum || whole.Margin != 1 || len(whole.Findings) != 0 || whole.Observed.IsZero() || whole.ID == "" {
		t.Errorf("%+v", whole)
	}
	w.cluster.KillMember(w.cluster.Members[2])
	w.until("m3 is seen to be down", func() bool { return worker.Observe(t.Context()).Margin == 0 })
	c := worker.Observe(t.Context())
	if !c.Quorum || len(c.Members) != 3 || len(c.Findings) == 0 || c.Findings[0].Remedy == "" {
		t.Errorf("%+v", c)
	}
	leaders := 0
	for _, m := range c.Members {
		if m.Leader {
			leaders++
		}
		if m.Healthy != (m.Name != "m3") || (m.Err != "") != (m.Name == "m3") || m.Local != (m.Name == "m2") || m.Zone != w.config.Zones[m.Name] {
			t.Errorf("member %+v", m)
		}
		if m.Healthy && (m.Quota != 64<<20 || m.DBSize == 0 || m.DBInUse == 0 || m.Version == "") {
			t.Errorf("member %+v", m)
		}
	}
	if leaders != 1 {
		t.Errorf("%d leaders", leaders)
	}
	var certificates []string
	for _, cert := range c.Certificates {
		certificates = append(certificates, cert.Name)
		if cert.Expires.Before(time.Now()) {
			t.Errorf("%s expires %v", cert.Name, cert.Expires)
		}
	}
	if names := strings.Join(certificates, ", "); !strings.HasPrefix(names, "client, CA, server of m") || len(certificates) != 4 {
		t.Errorf("certificates %q", names)
	}
	for _, s := range c.Stores {
		var rungs []status.Rung
		for _, b := range s.Backups {
			rungs = append(rungs, b.Rung)
		}
		want := []status.Rung{status.Verified, status.Verified, status.Rehearsed, status.Listed}
		if s.Name == "local" {
			want[1] = status.Failed
		}
		if s.Err != "" || s.URL != "file://"+w.dirs[s.Name] || s.Read.IsZero() || !reflect.DeepEqual(rungs, want) {
			t.Errorf("store %+v: rungs %v", s, rungs)
		}
		if b := s.Backups[2]; b.Rehearsed.IsZero() || b.Verified.Before(b.Rehearsed) || b.Rehearsal[len(b.Rehearsal)-1].Name != "write" || !b.Finished.After(b.Started) || b.Member == "" {
			t.Errorf("backup %+v", b)
		}
	}

	// What a store has is still shown when it is away, and so is a cluster that is gone.
	back := w.away("local")
	w.cluster.Kill()
	c = worker.Observe(t.Context())
	if c.Err == "" || c.Stores[0].Err != "" || len(c.Certificates) != 2 {
		t.Errorf("%+v", c)
	}
	if s := c.Stores[1]; s.Err == "" || len(s.Backups) != 4 || s.Read.IsZero() {
		t.Errorf("a store that is away: %+v", s)
	}
	back()
	if s := worker.Observe(t.Context()).Stores[1]; s.Err != "" || len(s.Backups) != 4 {
		t.Errorf("a store that is back: %+v", s)
	}
}

// A look at a bucket in which nothing has changed costs one listing, and one at a new
// backup what it takes to read that one. The credentials are those of the
// configuration, and nowhere to be read.
func TestALookAtABucketCostsOneListing(t *testing.T) {
	server := s3test.Start(t, "../../../bin/versitygw")
	server.MakeBucket(t, "backups")
	for _, pair := range server.Env() { // without the keys
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "KEY") {
			value = ""
		}
		t.Setenv(name, value)
	}
	proxy := server.NewProxy(t)
	w := newWorld(t, 1)
	w.config.Stores = []config.Store{{Name: "s3", URL: proxy.URL("backups", "etcd").String(), AccessKey: server.AccessKey, SecretKey: config.Secret(server.SecretKey)}}
	w.save(3)
	w.mustDo(config.Verify, w.slot())
	worker := w.worker()
	var before []status.Backup
	for i, want := range []int{1 + 3*2, 1, 1} { // the listing, and of each backup its manifest and its report
		from := len(proxy.Requests())
		s := worker.Observe(t.Context()).Stores[0]
		requests := proxy.Requests()[from:]
		if s.Err != "" || len(s.Backups) != 3 || len(requests) != want {
			t.Errorf("look %d: %d requests, want %d: %q; %+v", i, len(requests), want, requests, s)
		}
		if i > 0 && !reflect.DeepEqual(s.Backups, before) {
			t.Errorf("look %d: %+v, before %+v", i, s.Backups, before)
		}
		before = s.Backups
	}
	w.save(1)
	from := len(proxy.Requests())
	if s := worker.Observe(t.Context()).Stores[0]; len(s.Backups) != 4 || len(proxy.Requests())-from != 2 {
		t.Errorf("one more: %q; %+v", proxy.Requests()[from:], s)
	}

	w.config.Stores[0].SecretKey = "wrong"
	s := w.worker().Observe(t.Context()).Stores[0]
	if s.Err == "" || s.Hint == "" || strings.Contains(s.Err+s.Hint+s.URL+w.log.String(), server.SecretKey) {
		t.Errorf("with a wrong key: %+v", s)
	}
}

// A member that is down when a daemon starts is asked for its certificate again by each
// look, and not an hour later.
func TestACertificateThatCouldNotBeSeen(t *testing.T) {
	w := newWorld(t, 1)
	worker, endpoint := w.worker(), w.cluster.Members[0].ClientURL
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		if s := worker.certs.server(cut, worker, endpoint); !s.expires.IsZero() || !s.asked.IsZero() {
			t.Errorf("not seen: %+v", s)
		}
	}
	if s := worker.certs.server(t.Context(), worker, endpoint); !s.expires.After(time.Now()) {
		t.Errorf("seen: %+v", s)
	}
	if n := strings.Count(w.log.String(), "certificate of a server cannot be seen"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Workers that wait hold no connection, however many there are: a fleet of several
// hundred clusters is normal.
func TestWorkersThatWaitHoldNothing(t *testing.T) {
	w := newWorld(t, 3, "local")
	w.save(1)
	w.worker().Observe(t.Context()) // what the process makes once
	before := runtime.NumGoroutine()
	for range 20 {
		if c := w.worker().Observe(t.Context()); c.Err != "" {
			t.Error(c.Err)
		}
	}
	w.until("connections are closed", func() bool { return runtime.NumGoroutine() <= before })
}
