package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

var (
	soakFor  = flag.Duration("soak", 8*time.Second, "how long things go wrong in TestSoak")
	soakSeed = flag.Uint64("soak-seed", 186, "seed of what goes wrong in TestSoak; the first of this one are of all kinds")
)

// TestSoak lets a daemon work while members of etcd, the stores and the daemon itself fail,
// again and again, with quiet times in between. Backups, verifications, rehearsals and prunes run
// every few seconds. When nothing fails any more every job passes again, every backup that is
// listed restores and holds what was acknowledged before it, and what was recorded as
// done is there. The daemon takes no more memory, goroutines and files than at first.
func TestSoak(t *testing.T) {
	t.Logf("-soak=%s -soak-seed=%d", *soakFor, *soakSeed)
	s := newSoak(t, rand.New(rand.NewPCG(*soakSeed, 6)))
	s.daemon.start()
	s.quiet()
	s.began = time.Now()
	for s.elapsed() < *soakFor {
		s.goWrong()
		s.quiet()
	}
	s.daemon.stop()
	s.flat()
	s.endsWell()
	s.report()
}

// soak is a site, two stores, and a daemon that backs it up into them.
type soak struct {
	t      *testing.T
	rnd    *rand.Rand
	began  time.Time // when things began to go wrong
	site   *site
	writes *soakWrites
	server *s3test.Server
	proxy  *s3test.Proxy
	dir    string // store in a directory
	daemon *soakDaemon

	deck, s3Deck []string // what goes wrong next
	struck       *tally
	figures      []figures // at quiet times
	alone        int       // of them, those before the last start of the daemon
}

const (
	soakCluster = "production"
	soakBucket  = "soak"
	soakPrefix  = "etcd"
)

func newSoak(t *testing.T, rnd *rand.Rand) *soak {
	s := &soak{t: t, rnd: rnd, began: time.Now(), dir: filepath.Join(t.TempDir(), "store"), struck: &tally{of: make(map[string]int)}}
	s.site = newSite(t, "37", 3, 3)
	s.site.operate()
	s.writes = s.site.rewrite()
	s.server = s3test.Start(t, tool("versitygw"))
	s.server.MakeBucket(t, soakBucket)
	s.proxy = s.server.NewProxy(t)
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s.daemon = newSoakDaemon(t, s)
	return s
}

func (s *soak) elapsed() time.Duration { return time.Since(s.began) }

// early tells whether the daemon may still be ended: most of the time belongs to one
// process, or nobody would see that it grows.
func (s *soak) early() bool { return s.elapsed() < *soakFor/4 }

// until waits for what takes as long as a busy machine needs.
func (s *soak) until(what string, condition func() bool) {
	s.t.Helper()
	s.untilWell(func() (bool, string) { return condition(), what })
}

func (s *soak) untilWell(condition func() (well bool, missing string)) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		well, missing := condition()
		if well {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not within 2 minutes: %s\n%s", missing, s.daemon.lastWords())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// config is the daemon's file: how often a backup is taken, and how many stay.
func (s *soak) config(every string, keep int) string {
	etcd := s.site.Config()
	endpoints := ""
	for _, endpoint := range etcd.Endpoints {
		endpoints += fmt.Sprintf("\n  - %q", endpoint)
	}
	return fmt.Sprintf(`
server: {listen: "unix://%s"}
spoolDir: %q
stores:
  s3: {url: %q, accessKey: %q, secretKey: %q}
  dir: {url: %q}
clusters:
- name: %s
  endpoints:%s
  tls: {caFile: %q, certFile: %q, keyFile: %q}
  stores: [s3, dir]
  encryption: {recipientsFiles: [recipient.txt], identityFiles: [identity.txt]}
  keep: {last: %d}
  rehearsal: {members: 1}
  sample: 30%%
  jobs:
    snapshot: {schedule: %q, deadline: 20s}
    verify-sample: {schedule: "@every 3s", deadline: 20s}
    verify: {schedule: "@every 5s", deadline: 20s}
    rehearse: {schedule: "@every 5s", deadline: 20s}
    prune: {schedule: "@every 3s", deadline: 20s}
    defrag: {schedule: "@every 6s", deadline: 20s}
    health: {schedule: "@every 2s", deadline: 5s}
`, s.daemon.socket, s.daemon.spool,
		s.proxy.URL(soakBucket, soakPrefix, faulty...), s.server.AccessKey, s.server.SecretKey, s.dir,
		soakCluster, endpoints, etcd.CACert, etcd.Cert, etcd.Key, keep, every)
}

// What the file says at first, and the fewest that stay with what it is changed to for a while.
const (
	soakEvery = "@every 1s"
	soakKeep  = 6
	fewest    = soakKeep - 1
)

// configure writes the file, and tells the daemon.
func (s *soak) configure(text string) {
	s.t.Helper()
	next := s.daemon.config + ".next"
	err := os.WriteFile(next, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(next, s.daemon.config)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.daemon.signal(syscall.SIGHUP)
}
