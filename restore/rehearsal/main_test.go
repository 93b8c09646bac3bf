package rehearsal_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
)

// The members of the throwaway clusters are this test binary, run again with
// one of these words, a directory where they leave their process ids, and
// etcd's flags.
const (
	memberCommand = "throwaway-member"
	silentCommand = "throwaway-silence" // says nothing and listens nowhere
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && (os.Args[1] == memberCommand || os.Args[1] == silentCommand) {
		must(os.WriteFile(filepath.Join(os.Args[2], strconv.Itoa(os.Getpid())), nil, 0o600))
		if os.Args[1] == memberCommand {
			etcdmain.Main(append([]string{"etcd"}, os.Args[3:]...))
			return
		}
		never := make(chan os.Signal, 1)
		signal.Notify(never, syscall.SIGWINCH)
		<-never
		return
	}
	m.Run()
}

// self is this test binary.
func self() string { return must1(os.Executable()) }

// stage is a rehearsal before it begins.
type stage struct {
	testing.TB
	options rehearsal.Options
	pids    string // directory of process ids
	seen    snapshot.Checks
	ctx     context.Context
	cancel  context.CancelFunc
}

func newStage(t testing.TB, members int) *stage {
	s := &stage{TB: t, pids: t.TempDir()}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.options = rehearsal.Options{
		Members: members, Command: []string{self(), memberCommand, s.pids}, Dir: t.TempDir(),
		BootTimeout: time.Minute,
		Now:         time.Now, Random: rand.NewChaCha8([32]byte{}), Log: slog.New(slog.DiscardHandler),
		OnCheck: func(c snapshot.Check) { s.seen = append(s.seen, c) },
	}
	return s
}

// run rehearses, and asserts what holds however a rehearsal ends: every check
// was told, and of processes and directories nothing is left but kept logs.
func (s *stage) run(snap rehearsal.Snapshot) (snapshot.Checks, []string, error) {
	s.Helper()
	checks, logs, err := rehearsal.Run(s.ctx, snap, s.options)
	if !reflect.DeepEqual(checks, s.seen) {
		s.Errorf("checks %+v, told were %+v", checks, s.seen)
	}
	if len(s.processes()) > 0 {
		s.Errorf("processes %v are left", s.processes())
	}
	var left []string
	for _, e := range must1(os.ReadDir(s.options.Dir)) {
		left = append(left, filepath.Join(s.options.Dir, e.Name()))
	}
	if !reflect.DeepEqual(left, logs) {
		s.Errorf("left are %q, logs %q", left, logs)
	}
	return checks, logs, err
}

// processes are the members that are alive.
func (s *stage) processes() []int {
	var alive []int
	for _, pid := range s.started() {
		if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			alive = append(alive, pid)
		}
	}
	return alive
}

// started are all members that ever ran.
func (s *stage) started() []int {
	var pids []int
	for _, e := range must1(os.ReadDir(s.pids)) {
		pids = append(pids, must1(strconv.Atoi(e.Name())))
	}
	return pids
}

// mustPass rehearses a good snapshot.
func (s *stage) mustPass(snap rehearsal.Snapshot) snapshot.Checks {
	s.Helper()
	checks, logs, err := s.run(snap)
	if err != nil || checks.Err() != nil || len(logs) != 0 {
		s.Fatalf("error %v, checks %v, logs %q", err, checks.Err(), logs)
	}
	return checks
}

// mustFailAt rehearses a snapshot that has to fail at a stage, the last one,
// and returns what it says and the log of its first member.
func (s *stage) mustFailAt(snap rehearsal.Snapshot, name string) (detail, log string) {
	s.Helper()
	checks, logs, err := s.run(snap)
	if err != nil || len(checks) == 0 {
		s.Fatalf("error %v, checks %+v", err, checks)
	}
	last := checks[len(checks)-1]
	if last.Name != name || last.Verdict != snapshot.Mismatch {
		s.Fatalf("checks %+v, should have failed at %s", checks, name)
	}
	for _, c := range checks[:len(checks)-1] {
		if c.Verdict != snapshot.Match {
			s.Errorf("%+v came before", c)
		}
	}
	if len(logs) == 0 {
		return last.Detail, ""
	}
	if !strings.HasSuffix(logs[0], "-m1.log") || must1(os.Stat(logs[0])).Mode() != 0o600 {
		s.Errorf("log %s has mode %v", logs[0], must1(os.Stat(logs[0])).Mode())
	}
	return last.Detail, string(must1(os.ReadFile(logs[0])))
}

// detail is what a stage says.
func detail(t testing.TB, checks snapshot.Checks, name string) string {
	t.Helper()
	for _, c := range checks {
		if c.Name == name {
			return c.Detail
		}
	}
	t.Fatalf("no stage %s in %+v", name, checks)
	return ""
}
