package seal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/seal"
)

// plains are contents of all kinds; those of several MiB take several frames.
var plains = map[string][]byte{
	"nothing":        {},
	"a byte":         {0x2a},
	"text":           []byte(strings.Repeat("/registry/secrets/kube-system/bootstrap-token ", 20)),
	"random bytes":   random(300_000),
	"a frame":        random(1 << 20),
	"a frame and on": random(1<<20 + 1),
	"zeros":          make([]byte, 5<<20),
	"a mixture":      slices.Concat(random(1<<20), make([]byte, 1<<20), random(2<<20), make([]byte, 1<<20)),
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}

// sumOf is the Sum as everyone else computes it.
func sumOf(b []byte) seal.Sum {
	return seal.Sum{SHA256: fmt.Sprintf("%x", sha256.Sum256(b)), Size: int64(len(b))}
}

// sealer is one way to seal, and what opens it again.
type sealer struct {
	options  seal.Options
	ids      *seal.Identities
	identity age.Identity // the same, for age itself
}

// sealers are all formats, by the suffix of a name.
func sealers(t testing.TB) map[string]sealer {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to, ids := recipients(t, key.Recipient().String()), identities(t, key.String())
	return map[string]sealer{
		"":         {options: seal.Options{Compression: seal.None}},
		".zst":     {options: seal.Options{Compression: seal.Zstd}},
		".age":     {seal.Options{Compression: seal.None, Recipients: to}, ids, key},
		".zst.age": {seal.Options{Recipients: to}, ids, key},
	}
}

// forEach tells the story of each format.
func forEach(t *testing.T, story func(t *testing.T, s sealer)) {
	for suffix, s := range sealers(t) {
		t.Run("db"+suffix, func(t *testing.T) { story(t, s) })
	}
}

func recipients(t testing.TB, all ...string) *seal.Recipients {
	t.Helper()
	to := new(seal.Recipients)
	for _, one := range all {
		if err := to.Add(one); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func identities(t testing.TB, content string) *seal.Identities {
	t.Helper()
	ids := new(seal.Identities)
	if err := ids.AddFile(keyFile(t, content), nil); err != nil {
		t.Fatal(err)
	}
	return ids
}

func keyFile(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func (s sealer) reader(t testing.TB, plain io.Reader) *seal.Reader {
	t.Helper()
	r, err := seal.NewReader(t.Context(), plain, 0, s.options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s sealer) sealed(t testing.TB, plain []byte) []byte {
	t.Helper()
	r := s.reader(t, bytes.NewReader(plain))
	defer r.Close()
	stored, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if is, want := r.Sum(), sumOf(stored); is != want {
		t.Errorf("sum of what was stored is %+v, want %+v", is, want)
	}
	return stored
}

func (s sealer) open(t testing.TB, stored io.Reader) *seal.Opened {
	t.Helper()
	o, err := seal.Open(stored, s.options.Format(), s.ids)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

func TestSealedAndOpened(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		for name, plain := range plains {
			stored := s.sealed(t, plain)
			for _, r := range []io.Reader{bytes.NewReader(stored), iotest.HalfReader(bytes.NewReader(stored)), iotest.DataErrReader(bytes.NewReader(stored))} {
				o := s.open(t, r)
				meter := seal.NewMeter()
				is, err := io.ReadAll(io.TeeReader(o, meter))
				if err != nil || !bytes.Equal(is, plain) {
					t.Fatalf("%s: opened are %d bytes, %v; want the %d that were sealed", name, len(is), err, len(plain))
				}
				if is, want := meter.Sum(), sumOf(plain); is != want {
					t.Errorf("%s: sum of the plain bytes is %+v, want %+v", name, is, want)
				}
				if n, err := o.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("%s: reading on: %d, %v; want %v", name, n, err, io.EOF)
				}
				if is, err := o.Sum(); err != nil || is != sumOf(stored) {
					t.Errorf("%s: sum of the stored bytes is %+v, %v; want %+v", name, is, err, sumOf(stored))
				}
			}
		}
	})
}

// However slowly the plain bytes come, what is stored of them is the same.
func TestPacingOfThePlainBytesDoesNotShow(t *testing.T) {
	plain := plains["a frame and on"]
	for suffix, s := range sealers(t) {
		if s.options.Recipients != nil {
			continue // no two of them are the same
		}
		want := s.sealed(t, plain)
		for _, r := range []io.Reader{iotest.HalfReader(bytes.NewReader(plain)), iotest.DataErrReader(bytes.NewReader(plain))} {
			sealed := s.reader(t, r)
			if is, err := io.ReadAll(iotest.HalfReader(sealed)); err != nil || !bytes.Equal(is, want) {
				t.Errorf("db%s: %d bytes, %v; want the same %d", suffix, len(is), err, len(want))
			}
			sealed.Close()
		}
	}
}

// The sum is that of all stored bytes, however much of the plain was read.
func TestSumOfWhatIsLeft(t *testing.T) {
	forEach(t, func(t *testing.T, s sealer) {
		stored := s.sealed(t, plains["a mixture"])
		for _, n := range []int64{0, 1, 2 << 20} {
			o := s.open(t, bytes.NewReader(stored))
			if _, err := io.CopyN(io.Discard, o, n); err != nil {
				t.Fatal(err)
			}
			if is, err := o.Sum(); err != nil || is != sumOf(stored) {
				t.Errorf("sum after %d plain bytes is %+v, %v; want %+v", n, is, err, sumOf(stored))
			}
		}
	})
}

func TestLevels(t *testing.T) {
	plain := snapshotLike(2 << 20)
	sizes := map[int]int{}
	for _, level := range []int{0, 1, 4, 7, 22} {
		s := sealer{options: seal.Options{Level: level}}
		stored := s.sealed(t, plain)
		if is, err := io.ReadAll(s.open(t, bytes.NewReader(stored))); err != nil || !bytes.Equal(is, plain) {
			t.Errorf("level %d: opened are %d bytes, %v", level, len(is), err)
		}
		sizes[level] = len(stored)
	}
	if sizes[0] != sizes[1] || sizes[22] >= sizes[7] || sizes[7] >= sizes[1] {
		t.Errorf("sizes by level are %v; want those of 0 and 1 the same, 7 less, 22 least", sizes)
	}
}

func TestFormatsHaveNames(t *testing.T) {
	for suffix, s := range sealers(t) {
		if is := s.options.Format().Suffix(); is != suffix {
			t.Errorf("suffix of %+v is %q, want %q", s.options.Format(), is, suffix)
		}
	}
}

// Who asked for something that cannot be had gets nothing else instead.
func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		options seal.Options
		want    string
	}{
		{seal.Options{Compression: "gzip"}, `unknown compression "gzip"`},
		{seal.Options{Level: -1}, "level -1"},
		{seal.Options{Level: 23}, "level 23"},
		{seal.Options{Recipients: new(seal.Recipients)}, "no recipient"},
	} {
		if err := c.options.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("check %+v: %v; want %q", c.options, err, c.want)
		}
		if _, err := seal.NewReader(t.Context(), strings.NewReader("secret"), 6, c.options); err == nil {
			t.Errorf("sealing with %+v goes on", c.options)
		}
	}
	if _, err := seal.Open(strings.NewReader("x"), seal.Format{Compression: "gzip"}, nil); err == nil || !strings.Contains(err.Error(), `"gzip"`) {
		t.Errorf("open gzip: %v", err)
	}
	for _, good := range []seal.Options{{}, {Level: 22}, {Compression: seal.None, Level: 1}} {
		if err := good.Check(); err != nil {
			t.Errorf("check %+v: %v", good, err)
		}
	}
}

// A store divides an object by what it is told: that must never be too little,
// nor far too much.
func TestMaxSizeIsAnUpperBound(t *testing.T) {
	all := sealers(t)
	many := all[".zst.age"]
	many.options.Recipients = recipients(t, largestRSA(t))
	for range 20 {
		key, err := age.GenerateX25519Identity()
		if err != nil {
			t.Fatal(err)
		}
		if err := many.options.Recipients.Add(key.Recipient().String()); err != nil {
			t.Fatal(err)
		}
	}
	all[".zst.age to many"] = many
	largest := all[".age"]
	largest.options.Recipients = recipients(t, largestRSA(t))
	all[".age to the largest key"] = largest
	for name, s := range all {
		for _, n := range []int{0, 1, 64 << 10, 64<<10 + 1, 1 << 20, 1<<20 + 1, 2<<20 + 5} {
			for _, level := range []int{1, 22} {
				s.options.Level = level
				r, err := seal.NewReader(t.Context(), bytes.NewReader(random(n)), int64(n), s.options)
				if err != nil {
					t.Fatal(err)
				}
				is, err := io.Copy(io.Discard, r)
				sized := storage.Sized(r)
				if bound := sized.MaxSize(); err != nil || is > bound || bound > is+is/1000+21*4096+1024 {
					t.Errorf("db%s of %d random bytes takes %d, %v; the bound is %d", name, n, is, err, bound)
				}
				r.Close()
				if s.options.Compression == seal.None {
					break
				}
			}
		}
	}
}

var errPlain = errors.New("the member has gone away")

// failures are what a reader can end with. Some look like an end, and are none.
var failures = []error{errPlain, io.ErrUnexpectedEOF, io.ErrClosedPipe, fmt.Errorf("read page: %w", io.EOF)}
