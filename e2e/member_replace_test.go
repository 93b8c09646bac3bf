package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Replacement, while clients write: of a dead member, of the leader, and of a
// member whose disk is lost by a new one of the same name on the same host.
func replaceWhileClientsWrite(t *testing.T, version string) {
	s := newSite(t, version, 3, 5)
	s.operate()
	w := s.write()
	w.flows(t)

	dead := s.follower()
	s.kill(dead)
	s.replace(t, dead, "m4")

	leader := s.leader()
	s.replace(t, leader, "m5")
	eventually(t, leader+" ends by itself", s.host(leader).Exited)

	broken := s.follower()
	old := s.id(broken)
	s.kill(broken)
	if err := os.RemoveAll(s.host(broken).DataDir); err != nil {
		t.Fatal(err)
	}
	s.mayRun(broken)
	s.replace(t, broken, broken)
	if s.id(broken) == old {
		t.Errorf("%s still has the id %s", broken, old)
	}
	w.flows(t)
	w.stop(t)
}

// Members of one version are replaced by members of the next, while clients write.
func upgradeByReplacement(t *testing.T) {
	s := newSite(t, "35", 3, 6)
	s.operate()
	w := s.write()
	w.flows(t)
	for i, old := range []string{"m1", "m2", "m3"} {
		by := fmt.Sprintf("m%d", 4+i)
		s.host(by).Command = []string{tool("etcd36/etcd")}
		s.replace(t, old, by)
	}
	w.flows(t)
	w.stop(t)
	for _, name := range s.voters() {
		if status, err := s.status(name); err != nil || !strings.HasPrefix(status.Version, "3.6.") {
			t.Errorf("%s has the version %v, %v", name, status, err)
		}
	}
}

// replace puts the host by in the place of the member old, by one command.
func (s *site) replace(t *testing.T, old, by string) {
	t.Helper()
	want := s.voters()
	want[slices.Index(want, old)] = by
	slices.Sort(want)
	s.etcdha(t, s.otherThan(old, by), "member", "replace", old, by, "--peer-urls="+s.host(by).PeerURL, "--wait=1m", "--yes")
	if got := s.voters(); !slices.Equal(got, want) {
		t.Fatalf("voters after replace %s %s: %v, expected %v", old, by, got, want)
	}
	if got := s.learners(); len(got) > 0 {
		t.Errorf("learners after replace %s %s: %v", old, by, got)
	}
}

// A member of three has stopped, and etcdha is killed after every step that it
// takes: the same command, started again, gets there. Without space in etcd
// there is no lock either.
func replaceWhileKilled(t *testing.T, version string, noSpace bool) {
	s := newSite(t, version, 3, 4)
	s.operate()
	w := s.write()
	w.flows(t)
	stopped := s.follower()
	s.pause(stopped)
	if noSpace {
		s.raiseNoSpace(t, s.leader())
	}

	steps := s.untilDone(t, "member", "replace", stopped, "m4", "--peer-urls="+s.host("m4").PeerURL, "--wait=1m", "--yes")
	if want := []string{"remove", "add", "promote"}; !slices.Equal(steps, want) {
		t.Errorf("the steps were %v, expected %v, each once", steps, want)
	}
	if got := s.voters(); len(got) != 3 || slices.Contains(got, stopped) || !slices.Contains(got, "m4") {
		t.Errorf("voters: %v", got)
	}
	if noSpace {
		s.etcdha(t, s.leader(), "alarm", "disarm")
	}
	w.flows(t)
	w.stop(t)
	s.resume(stopped)
	eventually(t, stopped+" ends by itself", s.host(stopped).Exited)
}

// untilDone runs etcdha again and again. It is killed after each step, and when
// it has told that a new etcd must be started, until one run finds nothing left
// to do. It returns the steps that took effect.
func (s *site) untilDone(t *testing.T, args ...string) (steps []string) {
	t.Helper()
	const most = 100 // without a lock to wait for, a run is over quickly
	seen := filepath.Join(t.TempDir(), "events")
	host := s.leader()
	args = with(s.on(host), with(args, fmt.Sprintf("--on-step=cat >> %s; kill -9 $PPID", seen))...)
	for range most {
		cmd := exec.CommandContext(t.Context(), tool("etcdha"), args...)
		out, err := cmd.CombinedOutput()
		if err == nil {
			for line := range strings.Lines(string(read(t, seen))) {
				var e stepEvent
				unmarshal(t, line, &e)
				if e.Step != "start" {
					steps = append(steps, e.Step)
				}
			}
			return steps
		}
		if cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("it failed by itself: %v\n%s", err, out)
		}
	}
	t.Fatalf("%d runs were not enough; the voters are %v", most, s.voters())
	return nil
}

// raiseNoSpace raises the alarm that a member raises at its quota.
func (s *site) raiseNoSpace(t *testing.T, host string) {
	t.Helper()
	status, err := s.status(host)
	if err == nil {
		_, err = pb.NewMaintenanceClient(s.client(host).ActiveConnection()).Alarm(t.Context(), &pb.AlarmRequest{
			Action: pb.AlarmRequest_ACTIVATE, MemberID: status.Header.MemberId, Alarm: pb.AlarmType_NOSPACE,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}
