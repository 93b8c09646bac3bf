package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"
)

// figures are what the daemon takes at a quiet time: the least of several looks, since
// jobs go on.
type figures struct {
	goroutines, files, memory float64 // memory is what is resident, in bytes
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files, %.0f MiB", f.goroutines, f.files, f.memory/(1<<20))
}

// quiet waits until everything is well again, and looks at what the daemon takes.
func (s *soak) quiet() {
	s.t.Helper()
	healed := time.Now()
	s.until("all members answer", func() bool { return s.site.allAnswer("") })
	s.untilWell(func() (bool, string) { return s.daemon.wellSince(healed) })
	well := time.Since(healed)
	f := s.look()
	s.figures = append(s.figures, f)
	s.t.Logf("%3.0f s: well after %.1f s; %s", s.elapsed().Seconds(), well.Seconds(), f)
}

// look is the least of several looks, at moments without a run if there are any.
func (s *soak) look() figures {
	s.t.Helper()
	const most, enough = 60, 4
	var idle, busy figures
	for looks, idles := 0, 0; looks < most && idles < enough; looks++ {
		m := s.daemon.metrics()
		if m == nil {
			s.t.Fatalf("the daemon does not answer\n%s", s.daemon.lastWords())
		}
		f := figures{m["go_goroutines"], m["process_open_fds"], m["process_resident_memory_bytes"]}
		if slices.ContainsFunc(soakJobs, func(job string) bool { return m[ofJob("running", job)] == 1 }) {
			busy = busy.least(f)
		} else {
			idle = idle.least(f)
			idles++
		}
		time.Sleep(50 * time.Millisecond)
	}
	if idle == (figures{}) {
		return busy
	}
	return idle
}

func (f figures) least(g figures) figures {
	if f == (figures{}) {
		return g
	}
	return figures{min(f.goroutines, g.goroutines), min(f.files, g.files), min(f.memory, g.memory)}
}

// flat holds the figures of the last process against each other: the last third of the time
// against the first. A short story has not got so many, and compares the last
// with the first of all.
func (s *soak) flat() {
	s.t.Helper()
	of := s.figures[s.alone:]
	third := len(of) / 3
	short := third < 3
	if short {
		of, third = s.figures, 1
	}
	first, last := median(of[:third]), median(of[len(of)-third:])
	s.t.Logf("at first %s; in the end %s", first, last)
	// Ten idle connections to S3 (the SDK's limit) are twenty goroutines, and a run that begins at the
	// moment of a look has as many and a few more, beside its streams from members.
	const moreGoroutines, moreFiles = 60, 25
	if last.goroutines > first.goroutines+moreGoroutines || last.files > first.files+moreFiles {
		s.t.Errorf("goroutines or files grow: at first %s, in the end %s", first, last)
	}
	// The heap of a Go program may be twice what lives, at one moment and not at the other: 55 to
	// 130 MiB were seen of one that does not grow.
	if !short && last.memory > 2*first.memory {
		s.t.Errorf("memory grows: at first %s, in the end %s", first, last)
	}
}

// median takes each figure by itself.
func median(of []figures) figures {
	middle := func(get func(figures) float64) float64 {
		var values []float64
		for _, f := range of {
			values = append(values, get(f))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		middle(func(f figures) float64 { return f.goroutines }),
		middle(func(f figures) float64 { return f.files }),
		middle(func(f figures) float64 { return f.memory }),
	}
}

// report tells what the daemon has done, by its log.
func (s *soak) report() {
	s.t.Helper()
	said, err := os.ReadFile(s.daemon.said)
	if err != nil {
		s.t.Fatal(err)
	}
	done := &tally{of: make(map[string]int)}
	for _, run := range soakRun.FindAllStringSubmatch(string(said), -1) {
		if run[2] != "health" {
			done.add(run[2] + map[string]string{"was done": "", "has failed": ", failed"}[run[1]])
		}
	}
	s.t.Logf("%d starts of the daemon, %d acknowledged writes; runs%s", s.daemon.starts, s.writes.total(), done)
	s.t.Logf("what went wrong%s", s.struck)
	if done.of["snapshot"] == 0 || done.of["rehearse"] == 0 {
		s.t.Error("nothing was done")
	}
}

var soakRun = regexp.MustCompile(`msg="a job (was done|has failed)" cluster=\S+ job=(\S+)`)
