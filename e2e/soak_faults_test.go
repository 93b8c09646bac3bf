package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// What goes wrong in a soak, besides [kill], [pause] and [isolate].
const (
	breakS3      = "break requests to S3"
	takeDir      = "take the directory away" // as a disk that is not mounted
	killDaemon   = "kill the daemon"
	endDaemon    = "end the daemon, and start it again"
	freezeDaemon = "freeze the daemon"
	reconfigure  = "change the configuration"
	misconfigure = "break the configuration"
)

// draw takes the next card of a deck, which is shuffled anew when it is empty: everything
// has its turn before anything comes again.
func (s *soak) draw(deck *[]string, full []string) string {
	if len(*deck) == 0 {
		for _, i := range s.rnd.Perm(len(full)) {
			*deck = append(*deck, full[i])
		}
	}
	card := (*deck)[0]
	*deck = (*deck)[1:]
	return card
}

// moment is when something begins or ends.
type moment struct {
	at time.Duration
	do func()
}

// goWrong lets several things go wrong beside each other, and returns when each is
// over. It draws everything before the first of them.
func (s *soak) goWrong() {
	s.t.Helper()
	const most = 5
	var play []moment
	drawn := make(map[string]bool)
	for range most {
		kind := s.draw(&s.deck, soakKinds)
		delay := time.Duration(s.rnd.IntN(3000)) * time.Millisecond
		lasts := time.Duration(500+s.rnd.IntN(2500)) * time.Millisecond
		name, begin, heal := s.fault(kind)
		if drawn[kind] || (kind == killDaemon || kind == endDaemon) && !s.early() {
			continue
		}
		drawn[kind] = true
		play = append(play, moment{delay, func() { s.struck.add(name); begin() }}, moment{delay + lasts, heal})
	}
	slices.SortStableFunc(play, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	start := time.Now()
	for _, m := range play {
		time.Sleep(time.Until(start.Add(m.at)))
		m.do()
	}
}

var soakKinds = []string{kill, pause, isolate, breakS3, breakS3, takeDir, killDaemon, endDaemon, freezeDaemon, reconfigure, misconfigure}

// fault draws the details of a kind, and returns how it begins and how it ends.
func (s *soak) fault(kind string) (name string, begin, heal func()) {
	host := fmt.Sprintf("m%d", 1+s.rnd.IntN(3))
	switch kind {
	case kill:
		return "kill a member", func() { s.site.kill(host) }, func() { s.site.mayRun(host) }
	case pause:
		return "pause a member", func() { s.site.pause(host) }, func() { s.site.resume(host) }
	case isolate:
		return "cut off a member", func() { s.site.net.isolate(host) }, s.site.net.heal
	case breakS3:
		f := s.s3Fault()
		return "S3: " + string(f.Kind), func() { s.proxy.Plan(f) }, func() { s.proxy.Plan() }
	case takeDir:
		return kind, s.takeDir, s.giveDirBack
	case killDaemon:
		return kind, s.daemon.kill, s.daemon.start
	case endDaemon:
		return kind, s.daemon.stop, s.daemon.start
	case freezeDaemon:
		return kind, func() { s.daemon.signal(syscall.SIGSTOP) }, func() { s.daemon.signal(syscall.SIGCONT) }
	case reconfigure:
		other := s.config(fmt.Sprintf("@every %ds", 2+s.rnd.IntN(2)), soakKeep-1+2*s.rnd.IntN(2))
		return kind, func() { s.configure(other) }, func() { s.configure(s.config(soakEvery, soakKeep)) }
	case misconfigure:
		return kind, func() { s.configure("clusters: []\nclutsers: []\n") }, func() { s.configure(s.config(soakEvery, soakKeep)) }
	}
	panic("no kind " + kind)
}

// s3Fault is some requests, or all for a while. What cleans up stays intact, as in
// TestS3Faults, and only objects have a checksum that tells a changed byte.
func (s *soak) s3Fault() s3test.Fault {
	var kinds []string
	for _, k := range s3test.Kinds {
		kinds = append(kinds, string(k))
	}
	f := s3test.Fault{Kind: s3test.Kind(s.draw(&s.s3Deck, kinds)), Nth: 1 + s.rnd.IntN(6), Times: 1 + s.rnd.IntN(6)}
	if s.rnd.IntN(2) == 0 {
		f.Times = -1
	}
	f.Match = func(r *http.Request) bool { return r.Method != http.MethodDelete }
	if f.Kind == s3test.CorruptAnswer {
		f.Match = reading
	}
	return f
}

// takeDir leaves a file in the place of the store. Modes do not keep root from anything.
func (s *soak) takeDir() {
	err := os.Rename(s.dir, s.dir+".away")
	if err == nil {
		err = os.WriteFile(s.dir, nil, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *soak) giveDirBack() {
	if err := errors.Join(os.Remove(s.dir), os.Rename(s.dir+".away", s.dir)); err != nil {
		s.t.Fatal(err)
	}
}
