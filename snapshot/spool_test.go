package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func newSpool(t testing.TB) (*snapshot.Spool, string) {
	dir := t.TempDir()
	s := must1(snapshot.NewSpool(dir))
	t.Cleanup(func() { s.Close() })
	return s, dir
}

// read is what a reader got, and how it ended.
type read struct {
	data []byte
	err  error
}

// follow reads a spool to its end, in the background.
func follow(ctx context.Context, s *snapshot.Spool) <-chan read {
	done := make(chan read, 1)
	r := s.Follow(ctx)
	go func() {
		data, err := io.ReadAll(r)
		done <- read{data, err}
	}()
	return done
}

func TestTheSpoolHasNoName(t *testing.T) {
	s, dir := newSpool(t)
	must1(s.Write([]byte("secret")))
	if files := filesIn(dir); len(files) != 0 {
		t.Errorf("the directory holds %q", files)
	}
	got := make([]byte, 4)
	if n, err := s.ReadAt(got, 2); n != 4 || err != nil || string(got) != "cret" || s.Size() != 6 {
		t.Errorf("read %q, %v; size %d", got[:n], err, s.Size())
	}
}

// Readers that come at any time see all that was written, in order.
func TestFollowersSeeEverything(t *testing.T) {
	s, _ := newSpool(t)
	random := rand.New(rand.NewPCG(1, 20))
	var want []byte
	var readers []<-chan read
	for range 200 {
		if random.IntN(20) == 0 {
			readers = append(readers, follow(t.Context(), s))
		}
		part := make([]byte, random.IntN(10_000))
		for i := range part {
			part[i] = byte(random.Uint32())
		}
		must1(s.Write(part))
		want = append(want, part...)
	}
	s.End(nil)
	readers = append(readers, follow(t.Context(), s)) // all is there already
	for i, r := range readers {
		if got := <-r; got.err != nil || !bytes.Equal(got.data, want) {
			t.Errorf("reader %d: %d of %d bytes, error %v", i, len(got.data), len(want), got.err)
		}
	}
	if s.Size() != int64(len(want)) {
		t.Errorf("size %d, want %d", s.Size(), len(want))
	}
}

// Writes from several goroutines keep together what each of them wrote.
func TestWritersDoNotMixTheirWrites(t *testing.T) {
	s, _ := newSpool(t)
	reader := follow(t.Context(), s)
	var writers sync.WaitGroup
	var want []string
	for w := range 8 {
		for i := range 50 {
			want = append(want, fmt.Sprintf("writer %d, line %02d", w, i))
		}
		writers.Go(func() {
			for i := range 50 {
				_, _ = fmt.Fprintf(s, "writer %d, line %02d\n", w, i)
			}
		})
	}
	writers.Wait()
	s.End(nil)
	got := <-reader
	lines := strings.Split(strings.TrimSuffix(string(got.data), "\n"), "\n")
	slices.Sort(lines)
	if got.err != nil || !slices.Equal(lines, want) {
		t.Errorf("%d lines of %d, error %v", len(lines), len(want), got.err)
	}
}

// What a failed stream has left must not be taken for whole, not even by a
// reader that has not come to its end.
func TestAnErrorReachesTheReadersAtOnce(t *testing.T) {
	s, _ := newSpool(t)
	blocked := s.Follow(t.Context())
	must1(s.Write([]byte("half a snapshot")))
	must1(io.ReadFull(blocked, make([]byte, 15)))
	late := s.Follow(t.Context())
	s.End(errDown)
	s.End(nil) // the first end counts
	for name, r := range map[string]io.Reader{"blocked": blocked, "late": late} {
		if data, err := io.ReadAll(r); len(data) != 0 || !errors.Is(err, errDown) {
			t.Errorf("%s: read %q, error %v", name, data, err)
		}
	}
}

func TestAContextEndsABlockedReader(t *testing.T) {
	s, _ := newSpool(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	must1(s.Write([]byte("half")))
	reader := follow(ctx, s)
	other := follow(t.Context(), s)
	cancel(errDown)
	if got := <-reader; !errors.Is(got.err, errDown) || string(got.data) != "half" {
		t.Errorf("read %q, error %v", got.data, got.err)
	}
	must1(s.Write([]byte(" and half")))
	s.End(nil)
	if got := <-other; got.err != nil || string(got.data) != "half and half" {
		t.Errorf("the other reader got %q, error %v", got.data, got.err)
	}
}

func TestASpoolThatCannotBeMadeOrWritten(t *testing.T) {
	if _, err := snapshot.NewSpool(t.TempDir() + "/missing"); err == nil || !strings.Contains(err.Error(), "make spool file: ") || !strings.Contains(fail.Hint(err), "--spool-dir") {
		t.Errorf("made in a missing directory: %v, hint %q", err, fail.Hint(err))
	}
	s, _ := newSpool(t)
	s.Close()
	_, err := s.Write([]byte("x"))
	if err == nil || !strings.Contains(err.Error(), "write spool: ") || !strings.Contains(fail.Hint(err), "--spool-dir") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
	if s.Size() != 0 {
		t.Errorf("size %d", s.Size())
	}
}
