package snapshot_test

import (
	"errors"
	"os/signal"
	"syscall"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
)

// A member that goes on sending does not hold back the error of a full disk.
func TestAFullDiskEndsTheSave(t *testing.T) {
	for _, destination := range destinations {
		t.Run(destination, func(t *testing.T) {
			gone := make(chan struct{})
			blob := &pb.SnapshotResponse{Blob: make([]byte, 32<<10), RemainingBytes: 1 << 20}
			member := newSource(t, newKubernetes(t))
			member.snapshot = func(s snapshotStream) error {
				defer close(gone)
				for {
					if err := s.Send(blob); err != nil {
						return err
					}
				}
			}
			s := newSaving(t, member, destination)
			fullAfter(t, 16<<20)
			err := s.mustFail("write spool: ")
			if !errors.Is(err, syscall.EFBIG) || kindOf(err) != nil {
				t.Errorf("error %v", err)
			}
			hint := "name another FILE, in a directory with more room" // which is its own spool
			if destination == "store" {
				hint = "--spool-dir names another directory, with more room"
			}
			if fail.Hint(err) != hint {
				t.Errorf("hint %q", fail.Hint(err))
			}
			<-gone // the stream is closed, not abandoned
			s.wantUntouched()
			s.wantEmptyStore()
		})
	}
}

// fullAfter lets every write to a file fail that would make it larger than
// size bytes, until the test ends: the disk is full, as far as files can tell.
// The size is beyond all that the process writes beside, such as its test log,
// in which every file is that was opened. The name of this file puts its test
// before those that open a hundred thousand.
func fullAfter(t testing.TB, size uint64) {
	var before unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	signal.Ignore(unix.SIGXFSZ) // an error is enough
	must(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: before.Max}))
	t.Cleanup(func() {
		must(unix.Setrlimit(unix.RLIMIT_FSIZE, &before))
		signal.Reset(unix.SIGXFSZ)
	})
}
