package storagetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"math"
	"sync"

	"github.com/etcdha/etcdha/storage"
)

// Fault is what goes wrong with one operation of a [Faulty] store.
type Fault struct {
	name string // completes "Put cannot ..."

	// What happens instead of the operation; nil: this fault is not for it.
	put  func(ctx context.Context, s storage.Store, key string, r io.Reader) error
	open func(ctx context.Context, s storage.Store, key string) (io.ReadCloser, error)
	list func(ctx context.Context, s storage.Store, prefix string) iter.Seq2[storage.Object, error]

	remove func(ctx context.Context, s storage.Store, key string) error
}

var sound = Fault{
	put: func(ctx context.Context, s storage.Store, key string, r io.Reader) error { return s.Put(ctx, key, r) },
	open: func(ctx context.Context, s storage.Store, key string) (io.ReadCloser, error) {
		return s.Open(ctx, key)
	},
	list: func(ctx context.Context, s storage.Store, prefix string) iter.Seq2[storage.Object, error] {
		return s.List(ctx, prefix)
	},
	remove: func(ctx context.Context, s storage.Store, key string) error { return s.Delete(ctx, key) },
}

// Fail lets an operation return err at once. The store below sees nothing of it.
func Fail(err error) Fault {
	return Fault{
		name: "fail",
		put: func(_ context.Context, _ storage.Store, key string, _ io.Reader) error {
			return fmt.Errorf("put %s: %w", key, err)
		},
		open: func(_ context.Context, _ storage.Store, key string) (io.ReadCloser, error) {
			return nil, fmt.Errorf("open %s: %w", key, err)
		},
		list: func(context.Context, storage.Store, string) iter.Seq2[storage.Object, error] {
			return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, err) }
		},
		remove: func(_ context.Context, _ storage.Store, key string) error {
			return fmt.Errorf("delete %s: %w", key, err)
		},
	}
}

// FailAfter lets a Put read n bytes, store nothing and return err; what an
// Open returns yields n bytes and then err; a List, n objects and then err.
// What has less than n fails at its end. A Delete fails as with [Fail].
func FailAfter(n int64, err error) Fault {
	f := changed(func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, n), failed{err})
	})
	f.name = "fail midway"
	f.list = firstObjects(n, err)
	f.remove = Fail(err).remove
	return f
}

// FailLate lets an operation be done and then return err, as when the answer
// of a server is lost. What an Open returns yields everything and then err, and
// a List all objects and then err. What fails below keeps its own error.
func FailLate(err error) Fault {
	f := FailAfter(math.MaxInt64, err)
	f.name = "fail late"
	f.put = func(ctx context.Context, s storage.Store, key string, r io.Reader) error {
		return cmp.Or(s.Put(ctx, key, r), fmt.Errorf("put %s: %w", key, err))
	}
	f.remove = func(ctx context.Context, s storage.Store, key string) error {
		return cmp.Or(s.Delete(ctx, key), fmt.Errorf("delete %s: %w", key, err))
	}
	return f
}

// Hang lets an operation wait until its context is done and return the
// context's error. The store below sees nothing of it, and a Put reads nothing.
func Hang() Fault {
	return Fault{
		name: "hang",
		put: func(ctx context.Context, _ storage.Store, key string, _ io.Reader) error {
			return hang(ctx, "put "+key)
		},
		open: func(ctx context.Context, _ storage.Store, key string) (io.ReadCloser, error) {
			return nil, hang(ctx, "open "+key)
		},
		list: func(ctx context.Context, _ storage.Store, prefix string) iter.Seq2[storage.Object, error] {
			return func(yield func(storage.Object, error) bool) { yield(storage.Object{}, hang(ctx, "list "+prefix)) }
		},
		remove: func(ctx context.Context, _ storage.Store, key string) error {
			return hang(ctx, "delete "+key)
		},
	}
}

func hang(ctx context.Context, what string) error {
	<-ctx.Done()
	return fmt.Errorf("%s: %w", what, ctx.Err())
}

// Truncate lets only the first n bytes of a Put be stored, of an Open be read,
// or only n objects be listed, and nothing says so.
func Truncate(n int64) Fault {
	f := changed(func(r io.Reader) io.Reader { return io.LimitReader(r, n) })
	f.name = "be truncated"
	f.list = firstObjects(n, nil)
	return f
}

// Flip changes one bit of the byte at offset, of what a Put stores or an Open
// reads. Content that ends before is not changed.
func Flip(offset int64) Fault {
	f := changed(func(r io.Reader) io.Reader { return &flipping{r: r, left: offset} })
	f.name = "have a bit flipped"
	return f
}

// Overwrite lets a Put replace what is there, as a server does that ignores the
// condition of a conditional create. If its reader fails, the old object stays.
func Overwrite() Fault {
	var one sync.Mutex // two that removed the same object at once would not both win
	return Fault{
		name: "overwrite",
		put: func(ctx context.Context, s storage.Store, key string, r io.Reader) error {
			data, err := io.ReadAll(r)
			if err != nil {
				return err
			}
			one.Lock()
			defer one.Unlock()
			if err := s.Delete(ctx, key); err != nil {
				return err
			}
			return s.Put(ctx, key, bytes.NewReader(data))
		},
	}
}

// Lie lets a Put read everything, return nil, and store nothing; a Delete
// return nil and remove nothing.
func Lie() Fault {
	return Fault{
		name: "lie",
		put: func(_ context.Context, _ storage.Store, _ string, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		},
		remove: func(context.Context, storage.Store, string) error { return nil },
	}
}

// changed puts and opens what change makes of the content.
func changed(change func(io.Reader) io.Reader) Fault {
	return Fault{
		put: func(ctx context.Context, s storage.Store, key string, r io.Reader) error {
			if err := s.Put(ctx, key, change(r)); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, r) // who lies about success has read it all
			return err
		},
		open: func(ctx context.Context, s storage.Store, key string) (io.ReadCloser, error) {
			r, err := s.Open(ctx, key)
			if err != nil {
				return nil, err
			}
			return readCloser{change(r), r}, nil
		},
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

// firstObjects lists n objects and then, unless it is nil, err.
func firstObjects(n int64, err error) func(context.Context, storage.Store, string) iter.Seq2[storage.Object, error] {
	return func(ctx context.Context, s storage.Store, prefix string) iter.Seq2[storage.Object, error] {
		return func(yield func(storage.Object, error) bool) {
			left := n
			for o, listErr := range s.List(ctx, prefix) {
				if listErr == nil && left == 0 {
					break
				}
				if left--; !yield(o, listErr) || listErr != nil {
					return
				}
			}
			if err != nil {
				yield(storage.Object{}, err)
			}
		}
	}
}

type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

type flipping struct {
	r    io.Reader
	left int64 // bytes before the one to change; negative when it is past
}

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.left >= 0 && f.left < int64(n) {
		p[f.left] ^= 1
	}
	f.left -= int64(n)
	return n, err
}
