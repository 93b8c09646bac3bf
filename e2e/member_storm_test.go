package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/membership"
)

// storm is mishaps while etcdha is at work.
type storm struct {
	t       *testing.T
	c       *site
	command []string
	events  string // file with a line for each step
	struck  *tally
	// patience is for a step that may not come: not every command takes so many.
	patience time.Duration

	done    chan struct{} // when the command has reached its target
	healing sync.WaitGroup
	turn    sync.Mutex // of etcdha, or of what must not happen while it runs

	mu      sync.Mutex
	log     []string
	process *exec.Cmd // etcdha
	over    bool
	long    string // the member that fails for long
}

func newStorm(t *testing.T, c *site, command []string, struck *tally) *storm {
	return &storm{
		t: t, c: c, command: command, events: filepath.Join(t.TempDir(), "events"),
		struck: struck, patience: 3 * time.Second, done: make(chan struct{}),
	}
}

func (s *storm) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, time.Now().UTC().Format("05.000 ")+fmt.Sprintf(format, args...))
}

func (s *storm) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// blow runs etcdha, again whenever it ends, until all mishaps are over or the
// command is done. Then everything is well again.
func (s *storm) blow(mishaps []mishap) {
	var runner sync.WaitGroup
	runner.Go(func() {
		for s.runOnce() {
			time.Sleep(100 * time.Millisecond) // as an impatient operator does
		}
	})
	for _, m := range mishaps {
		if s.await(m) {
			s.happen(m)
		}
	}
	s.healing.Wait()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.killEtcdha()
	runner.Wait()
}

// runOnce tells whether to run once more.
func (s *storm) runOnce() bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	args := s.command
	if !slices.Contains(args, "remove") { // which starts nothing
		args = with(args, "--on-step=cat >> "+s.events)
	}
	cmd := exec.Command(tool("etcdha"), args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if !s.start(cmd) {
		return false
	}
	_ = cmd.Wait()
	s.ended("etcdha", cmd, out.String())
	if cmd.ProcessState.ExitCode() == 0 {
		close(s.done)
		return false
	}
	return true
}

func (s *storm) start(cmd *exec.Cmd) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return false
	}
	s.process = cmd
	return true
}

// ended checks how a run of etcdha ended: done, failed, refused, or killed.
func (s *storm) ended(who string, cmd *exec.Cmd, out string) {
	code := cmd.ProcessState.ExitCode()
	s.say("%s ended, exit %d\n%s", who, code, out)
	if !slices.Contains([]int{0, 1, 11, -1}, code) {
		s.t.Errorf("%s: exit %d\n%s", who, code, out)
	}
}

// await waits for the moment of a mishap; false if etcdha is done before.
func (s *storm) await(m mishap) bool {
	patience := time.After(s.patience)
	for steps := s.steps(); m.afterStep && len(s.steps()) == len(steps); {
		select {
		case <-s.done:
			return false
		case <-patience:
			m.afterStep = false
		case <-time.After(5 * time.Millisecond):
		}
	}
	select {
	case <-s.done:
		return false
	case <-time.After(m.delay):
		return true
	}
}

// steps are those that etcdha has told, in order.
func (s *storm) steps() []string {
	data, _ := os.ReadFile(s.events) // none before the first step
	var steps []string
	for line := range strings.Lines(string(data)) {
		var e stepEvent
		if json.Unmarshal([]byte(line), &e) == nil { // else it is being written
			steps = append(steps, e.Step)
		}
	}
	return steps
}

// during says between which steps etcdha is.
func (s *storm) during() string {
	steps := s.steps()
	switch {
	case slices.Contains(s.command, "remove"):
		return "during remove"
	case len(steps) == 0:
		return "before the first step"
	}
	return "after " + steps[len(steps)-1]
}

// happen lets a mishap happen, and ends it in its time.
func (s *storm) happen(m mishap) {
	hosts := s.c.running()
	if len(hosts) == 0 {
		return // everybody is struck already
	}
	host := hosts[m.host%len(hosts)]
	s.say("%s %s, %s", m.kind, host, s.during())
	s.struck.add(m.kind + " " + s.during())
	var heal func()
	switch m.kind {
	case killEtcdha, killAndFree:
		if pid := s.killEtcdha(); m.kind == killAndFree {
			s.freeLock(fmt.Sprintf("(pid %d)", pid))
		}
		return
	case failForLong:
		s.failForLong(host, m.stop)
		return
	case secondOperator:
		s.healing.Go(s.secondOperator)
		return
	case kill:
		s.c.kill(host)
		heal = func() { s.c.mayRun(host) } // the operator starts it
	case pause:
		s.c.pause(host)
		heal = func() { s.c.resume(host) }
	case isolate:
		s.c.net.isolate(host)
		heal = s.c.net.heal
	case cut:
		other := hosts[(m.host+1+m.host/7)%len(hosts)]
		s.c.net.cutLink(host, other)
		heal = s.c.net.heal
	}
	s.healing.Go(func() { time.Sleep(m.lasts); heal() })
}

// failForLong lets a member fail where the cluster survives that, until [storm.recover].
// No etcdha is at work at that moment: what it asked for while all was well may
// still take effect.
func (s *storm) failForLong(host string, byStop bool) {
	s.healing.Wait()
	s.killEtcdha()
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.survives(host) {
		s.say("which it would not survive")
		return
	}
	if s.long = host; byStop {
		s.c.pause(host)
	} else {
		s.c.kill(host)
	}
}

// survives tells whether there is a quorum without that member.
func (s *storm) survives(host string) bool {
	running, voters, left := s.c.running(), 0, 0
	for _, name := range s.c.voters() { // this read comes after what a dead etcdha has asked for
		voters++
		if name != host && slices.Contains(running, name) {
			left++
		}
	}
	return left > voters/2
}

// recover ends the failure of the member that fails for long.
func (s *storm) recover() {
	if s.long != "" {
		s.c.mayRun(s.long)
		s.c.resume(s.long)
	}
}

// secondOperator runs the same command beside, for a while.
func (s *storm) secondOperator() {
	cmd := exec.Command(tool("etcdha"), s.command...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	timer := time.AfterFunc(3*time.Second, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait()
	s.ended("the second operator", cmd, out.String())
}

func (s *storm) killEtcdha() (pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return 0
	}
	_ = s.process.Process.Kill() // it may have ended by itself
	return s.process.Process.Pid
}

// freeLock removes the lock of an operator that is dead, if a member answers.
func (s *storm) freeLock(holder string) {
	for _, host := range s.c.running() {
		ctx, cancel := context.WithTimeout(s.t.Context(), answerTime)
		resp, err := s.c.client(host).Get(ctx, membership.LockKey)
		if err == nil && len(resp.Kvs) == 1 && strings.Contains(string(resp.Kvs[0].Value), holder) {
			same := clientv3.Compare(clientv3.CreateRevision(membership.LockKey), "=", resp.Kvs[0].CreateRevision)
			_, err = s.c.client(host).Txn(ctx).If(same).Then(clientv3.OpDelete(membership.LockKey)).Commit()
		}
		cancel()
		if err == nil {
			return
		}
	}
}
