package rehearsal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
)

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// Each stage sees what the ones before it cannot: here the snapshot that is
// restored, the one that is compared and what is said of it are not the same.
func TestADifferenceFailsItsStage(t *testing.T) {
	good := newSnapshot(t, true)
	lost := newSnapshot(t, false)
	wrong := verified(t, good, good, good)
	wrong.Report.HashKV ^= 1
	wrongUncompacted := verified(t, lost, lost, lost)
	wrongUncompacted.Report.HashKV ^= 1
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1

	// The sample holds three pods. One of the others is changed for "bumped
	// content", which alone looks at all of them; the sampled ones for "keys".
	outside := replaced(t, good, "k8s\x00 pod 00", "k8s\x00 pod 0x")
	everywhere := good
	for i := range podCount {
		if i != 3 && i != 4 && i != 5 {
			everywhere = replaced(t, everywhere, fmt.Sprintf("k8s\x00 pod %02d", i), fmt.Sprintf("k8s\x00 pox %02d", i))
		}
	}

	atRevision := fmt.Sprintf("HashKV of m1 at revision %d is ", wrong.Report.Revision)
	tests := []struct {
		name       string
		snap       rehearsal.Snapshot
		kubernetes bool
		stage      string
		detail     string
	}{
		{"bytes of the snapshot", verified(t, damaged, good, good), false, "restore", "SHA-256 of the snapshot is "},
		{"a lease", verified(t, good, altered(t, good, withLease(0x18, 3600)), good), false, "leases", "lease 18 of 3600 s is missing"},
		{"the HashKV that is said of it", wrong, true, "hash", atRevision},
		{"the HashKV of a history that was never compacted", wrongUncompacted, false, "hash", atRevision},
		{"a value, unknown to what is said of it", verified(t, outside, good, good), false, "hash", atRevision},
		{"a value in the sample", verified(t, everywhere, good, everywhere), false, "keys", `key "/registry/pods/`},
		{"a value beside the sample", verified(t, outside, good, outside), true, "bumped content",
			fmt.Sprintf("m1 holds %[1]d keys, the snapshot %[1]d, or their content differs", podCount-2+1)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.options.Kubernetes = test.kubernetes
			detail, log := s.mustFailAt(test.snap, test.stage)
			if !strings.HasPrefix(detail, test.detail) {
				t.Errorf("%s says %q", test.stage, detail)
			}
			if test.stage != "restore" && !strings.Contains(log, "ready to serve client requests") {
				t.Errorf("the log is not etcd's: %.200q", log)
			}
		})
	}
}

func TestMembersThatDoNotComeUp(t *testing.T) {
	good := newSnapshot(t, true)
	tests := []struct {
		name    string
		command func(pids string) []string
		timeout time.Duration
		detail  string
	}{
		{"refuse their flags", func(pids string) []string {
			return []string{must1(exec.LookPath("sh")), "-c", `echo "no such flag: $0" >&2; exit 2`}
		}, time.Minute, "no such flag: --config-file="},
		{"say nothing", func(pids string) []string { return []string{self(), silentCommand, pids} }, 2 * time.Second, "wait for a leader: context deadline exceeded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 3)
			s.options.Command, s.options.BootTimeout = test.command(s.pids), test.timeout
			detail, log := s.mustFailAt(same(t, good), "boot")
			if !strings.Contains(detail, test.detail) {
				t.Errorf("boot says %q", detail)
			}
			if test.name == "refuse their flags" && !strings.Contains(log, "no such flag") {
				t.Errorf("the log that is kept says %q", log)
			}
		})
	}
}

// Where there is no etcd to run, the backup is not to blame: that is an error,
// and no verdict.
func TestAHostWithoutEtcdIsNoVerdict(t *testing.T) {
	good := newSnapshot(t, true)
	for name, command := range map[string]string{"ends without a word": must1(exec.LookPath("false")), "is not there": "/nonexistent/etcd"} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 1)
			s.options.Command = []string{command}
			checks, logs, err := rehearsal.Run(t.Context(), same(t, good), s.options)
			if !errors.Is(err, throwaway.ErrHost) || checks.Err() != nil || len(logs) > 0 {
				t.Errorf("error %v, checks %v, logs %v", err, checks, logs)
			}
		})
	}
}

// A caller who gives up gets an error, no verdict, and nothing is left.
func TestARehearsalIsGivenUp(t *testing.T) {
	good := newSnapshot(t, true)
	tests := []struct {
		name    string
		arrange func(*stage)
		done    []string // stages that were completed
		ran     int      // processes
	}{
		{"before it begins", func(s *stage) { s.cancel() }, nil, 0},
		{"between stages", func(s *stage) {
			told := s.options.OnCheck
			s.options.OnCheck = func(c snapshot.Check) {
				told(c)
				if c.Name == "leases" {
					s.cancel()
				}
			}
		}, []string{"restore", "boot", "leases"}, 1},
		{"while it boots", func(s *stage) {
			s.options.Command = []string{self(), silentCommand, s.pids}
			go func() {
				for s.ctx.Err() == nil && len(s.started()) == 0 {
					time.Sleep(10 * time.Millisecond)
				}
				s.cancel()
			}()
		}, []string{"restore"}, 1},
		{"while it is looked at", func(s *stage) {
			s.options.Keep = func(ctx context.Context, _ *throwaway.Cluster) error {
				s.cancel()
				<-ctx.Done()
				return ctx.Err()
			}
		}, []string{"restore", "boot", "leases", "alarms", "hash", "read", "keys", "write"}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			test.arrange(s)
			checks, logs, err := s.run(same(t, good))
			if !errors.Is(err, context.Canceled) || checks.Err() != nil || len(logs) != 0 {
				t.Errorf("checks %+v, logs %q, error %v", checks, logs, err)
			}
			if got := strings.Join(stageNames(checks), " "); got != strings.Join(test.done, " ") {
				t.Errorf("stages %q, want %q", got, test.done)
			}
			if n := len(s.started()); n != test.ran {
				t.Errorf("%d processes ran", n)
			}
		})
	}
}
