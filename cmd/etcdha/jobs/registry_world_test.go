package jobs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/election"
)

// instanceCommand lets this test binary be an instance: it runs again with this word, and
// the name of a file with a participant.
const instanceCommand = "election-instance"

// Short ones, so that a test takes seconds.
const (
	testLease = 4 * time.Second
	testRenew = 3 * time.Second
	testRetry = 500 * time.Millisecond
)

// participant is who takes part in an election, and where.
type participant struct {
	Name                    string
	Cluster                 config.Cluster
	Lease, RenewDeadline    time.Duration
	RetryPeriod, BetweenAct time.Duration
}

func (p participant) elector() *election.Elector {
	return election.New(election.Options{
		Cluster: p.Cluster.Name, Self: p.Name, Idle: func() bool { return true },
		Registry: NewRegistry(p.Cluster, RegistryOptions{
			Instance: p.Name, LeaseDuration: p.Lease, RetryPeriod: p.RetryPeriod, Now: time.Now,
		}),
		LeaseDuration: p.Lease, RenewDeadline: p.RenewDeadline, RetryPeriod: p.RetryPeriod,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
}

// act is what an instance writes when it acts: when, in which of its terms, and how.
type act struct {
	At       time.Time
	Term     int
	Unlocked bool
}

// beInstance takes part until its input ends, and writes what it does.
func beInstance(file string, out io.Writer) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var p participant
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	to, term := json.NewEncoder(out), 0
	p.elector().Run(ctx, func(ctx context.Context, t election.Term) {
		term++
		for ctx.Err() == nil {
			// Whoever is stopped right after it was allowed to act has acted before.
			if a := (act{time.Now(), term, t.Unlocked}); t.MayAct() == nil {
				_ = to.Encode(a) // the test is gone if it fails, and so is the input
			}
			time.Sleep(p.BetweenAct)
		}
	})
	return nil
}

// instance is an instance in a process of its own.
type instance struct {
	name    string
	process *exec.Cmd
	input   io.Closer
	read    chan struct{} // closed when it has written all

	mu   sync.Mutex
	acts []act
}

// instance starts one with a member of the cluster on its host; a negative one is none.
func (w *world) instance(name string, member int) *instance {
	w.Helper()
	p := participant{Name: name, Cluster: w.config, Lease: testLease, RenewDeadline: testRenew, RetryPeriod: testRetry, BetweenAct: 20 * time.Millisecond}
	if member >= 0 {
		p.Cluster.Local = w.cluster.Members[member].ClientURL
	}
	data, err := json.Marshal(p)
	w.must(err)
	file := filepath.Join(w.TempDir(), name+".json")
	w.must(os.WriteFile(file, data, 0o600))
	i := &instance{name: name, process: exec.CommandContext(w.Context(), ownEtcd(w)[0], instanceCommand, file), read: make(chan struct{})}
	i.process.Stderr = os.Stderr
	i.input, err = i.process.StdinPipe()
	w.must(err)
	out, err := i.process.StdoutPipe()
	w.must(err)
	w.must(i.process.Start())
	go func() {
		defer close(i.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var a act
			if json.Unmarshal(lines.Bytes(), &a) == nil { // a killed one leaves half a line
				i.mu.Lock()
				i.acts = append(i.acts, a)
				i.mu.Unlock()
			}
		}
	}()
	w.Cleanup(func() { i.kill() })
	return i
}

// kill ends it at once, stopped or not.
func (i *instance) kill() {
	if i.process.ProcessState == nil {
		_ = i.process.Process.Kill()
		i.wait()
	}
}

// end lets it end by itself.
func (i *instance) end() {
	_ = i.input.Close()
	i.wait()
}

func (i *instance) wait() {
	<-i.read
	_ = i.process.Wait()
}

func (i *instance) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := i.process.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (i *instance) all() []act {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.acts)
}

// last is zero if it has never acted.
func (i *instance) last() (a act) {
	if all := i.all(); len(all) > 0 {
		a = all[len(all)-1]
	}
	return a
}

// next waits until somebody else than one of the instances acts after a time, and returns
// who and when.
func (w *world) next(after time.Time, among ...*instance) (next *instance) {
	w.Helper()
	w.until("the next one is active", func() bool {
		for _, i := range among {
			if i.last().At.After(after) {
				next = i
			}
		}
		return next != nil
	})
	return next
}

// oneAtATime checks that whoever acts in a term does so no more once another one has.
func (w *world) oneAtATime(instances ...*instance) {
	w.Helper()
	type done struct {
		act
		who string
	}
	var all []done
	for n, i := range instances {
		for _, a := range i.all() {
			all = append(all, done{a, fmt.Sprintf("%s, process %d, term %d", i.name, n, a.Term)})
		}
	}
	slices.SortFunc(all, func(a, b done) int { return a.At.Compare(b.At) })
	over, now := map[string]bool{}, ""
	for _, d := range all {
		if d.who != now {
			if over[d.who] {
				w.Fatalf("%s acts at %s, although %s has acted", d.who, d.At, now)
			}
			over[now], now = true, d.who
		}
	}
	w.Logf("%d acts in %d terms", len(all), len(over))
}
