// Package probe tries out on a real store what backups will ask of it, before
// they do: some servers answer that they did what they did not do.
//
// Everything is written below a prefix of its own, where no catalog looks, and
// removed at the end as far as the store lets it.
package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path"
	"sync"
	"time"

	"github.com/etcdha/etcdha/storage"
)

const (
	// writers race to create one object: as many as an election could have.
	writers = 16

	// trips are small objects, put and read back one after the other.
	trips = 5

	// bulk is several parts of an upload.
	bulk = 32 << 20
)

// Options of a run.
type Options struct {
	Now    func() time.Time
	Random io.Reader               // for a prefix that nobody has used
	Found  func(f storage.Finding) // told as soon as it is known
}

// Run tries the store out. It ends early, with an error, if the store does not
// answer; what a store cannot do is no error but a finding.
func Run(ctx context.Context, s storage.Store, o Options) error {
	var name [8]byte
	if _, err := io.ReadFull(o.Random, name[:]); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	p := &prober{Options: o, store: s, prefix: storage.ProbePrefix + fmt.Sprintf("%x", name)}
	err := p.run(ctx)
	if errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	// Also after an interrupt: nobody else would remove what is left.
	return errors.Join(err, p.cleanUp(context.WithoutCancel(ctx)))
}

type prober struct {
	Options
	store  storage.Store
	prefix string
	stays  bool // what was put: this role may not remove it
}

// step is one check. It returns an [unasked] where nothing is wrong.
type step struct {
	name string
	try  func(context.Context) (string, error)
}

// unasked is why a store does not do something that not everybody needs.
type unasked struct{ error }

func (p *prober) run(ctx context.Context) error {
	for _, err := range p.store.List(ctx, p.prefix) {
		if err != nil {
			return err
		}
	}
	if own, ok := p.store.(storage.Prober); ok { // what is missing here fails the rest as well
		for _, f := range own.Probe(ctx, path.Join(p.prefix, "own")) {
			p.Found(f)
		}
	}
	for _, step := range []step{
		{"round trip", p.roundTrip},
		{"create race", p.race},
		{"listing", p.listing},
		{"removal", p.removal},
		{"throughput", p.throughput}, // last: it is large, and what was seen before may forbid it
	} {
		if err := p.take(ctx, step); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *prober) take(ctx context.Context, step step) error {
	start := p.Now()
	detail, err := step.try(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := storage.Finding{Name: step.name, Asked: true, Detail: detail, Err: err, Took: p.Now().Sub(start)}
	if reason, ok := errors.AsType[unasked](err); ok {
		f.Asked, f.Err = false, reason.error
	} else if errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("%s: %w", step.name, err)
	}
	p.Found(f)
	return nil
}

// roundTrip puts small objects and reads them back.
func (p *prober) roundTrip(ctx context.Context) (string, error) {
	start := p.Now()
	for i := range trips {
		key := p.trip(i)
		if err := p.store.Put(ctx, key, bytes.NewReader([]byte(key))); err != nil {
			return "", err
		}
		if err := p.holds(ctx, key, []byte(key)); err != nil {
			return "", err
		}
	}
	each := p.Now().Sub(start) / trips
	return fmt.Sprintf("a small object is put and read back in %v", each.Round(time.Millisecond)), nil
}

// trip is the key of the ith object of the round trip, which is its content too.
func (p *prober) trip(i int) string { return path.Join(p.prefix, fmt.Sprintf("trip-%d", i)) }

func (p *prober) holds(ctx context.Context, key string, want []byte) error {
	r, err := p.store.Open(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(io.LimitReader(r, int64(len(want))+1))
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s came back as %d other bytes", key, len(got))
	}
	return err
}

// race lets many writers create one object. Exactly one may win, and what it
// wrote must be what is there.
func (p *prober) race(ctx context.Context) (string, error) {
	key := path.Join(p.prefix, "race")
	errs := make([]error, writers)
	var racing sync.WaitGroup
	start := make(chan struct{})
	for i := range writers {
		racing.Go(func() {
			<-start
			errs[i] = p.store.Put(ctx, key, bytes.NewReader(content(i)))
		})
	}
	close(start)
	racing.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			return "", errors.New("two writers created the same object: backups could overwrite each other")
		case err == nil:
			winner = i
		case !errors.Is(err, storage.ErrExist):
			return "", err
		}
	}
	if winner < 0 {
		return "", errors.New("of many writers none could create the object")
	}
	return fmt.Sprintf("of %d writers at once one wins, all others are told", writers), p.holds(ctx, key, content(winner))
}

func content(i int) []byte { return fmt.Appendf(nil, "writer %d", i) }

// listing puts objects, each of which must be listed at once.
func (p *prober) listing(ctx context.Context) (string, error) {
	for i := range trips {
		key := path.Join(p.prefix, fmt.Sprintf("list-%d", i))
		if err := p.store.Put(ctx, key, bytes.NewReader(content(i))); err != nil {
			return "", err
		}
		listed := false
		for o, err := range p.store.List(ctx, p.prefix+"/list-") {
			if err != nil {
				return "", err
			}
			listed = listed || o.Key == key && o.Size == int64(len(content(i)))
		}
		if !listed {
			return "", fmt.Errorf("%s is not listed after it was put", key)
		}
	}
	return "an object is listed as soon as it is there", nil
}

// throughput moves what cannot be compressed there and back.
func (p *prober) throughput(ctx context.Context) (string, error) {
	if err := p.unlocked(ctx); err != nil {
		return "", err
	}
	data := make([]byte, bulk)
	_, _ = mathrand.NewChaCha8([32]byte{1}).Read(data) // never fails
	key := path.Join(p.prefix, "bulk")
	start := p.Now()
	if err := p.store.Put(ctx, key, sized{bytes.NewReader(data)}); err != nil {
		return "", err
	}
	put := p.Now()
	if err := p.holds(ctx, key, data); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s up, %s down", rate(put.Sub(start)), rate(p.Now().Sub(put))), nil
}

// unlocked spares a store that locks objects one that is large and of no use.
func (p *prober) unlocked(ctx context.Context) error {
	locker, ok := p.store.(storage.Locker)
	if !ok {
		return nil
	}
	switch lock, err := locker.Lock(ctx, p.trip(1)); {
	case errors.Is(err, storage.ErrNotExist): // the round trip says why
		return nil
	case err != nil:
		return err
	case lock != "":
		return unasked{fmt.Errorf("left out, because %d MiB would stay: objects are locked (%s)", bulk>>20, lock)}
	}
	return nil
}

type sized struct{ *bytes.Reader }

func (s sized) MaxSize() int64 { return s.Size() }

func rate(took time.Duration) string {
	return fmt.Sprintf("%.0f MiB/s", bulk/(1<<20)/max(took.Seconds(), 1e-3))
}

// removal is what prune needs; a writer may well lack the right to it.
func (p *prober) removal(ctx context.Context) (string, error) {
	key := p.trip(0)
	err := p.store.Delete(ctx, key)
	if errors.Is(err, storage.ErrLocked) {
		return fmt.Sprintf("refused, as it has to be: %v", err), nil
	}
	if errors.Is(err, storage.ErrUnavailable) {
		return "", p.refused(ctx, key, err)
	}
	if err != nil {
		return "", err
	}
	if r, err := p.store.Open(ctx, key); !errors.Is(err, storage.ErrNotExist) {
		if err == nil {
			r.Close()
		}
		return "", fmt.Errorf("%s was removed and can still be opened: %w", key, err)
	}
	return "what is removed is gone", nil
}

// refused tells a role that may not remove from a store that has stopped to
// answer: what it would not remove can still be read.
func (p *prober) refused(ctx context.Context, key string, why error) error {
	if p.holds(ctx, key, []byte(key)) != nil {
		return why
	}
	p.stays = true
	return unasked{fmt.Errorf("this role may not remove, which is right for one that only saves: %w", why)}
}

func (p *prober) cleanUp(ctx context.Context) error {
	if p.stays {
		return nil
	}
	for o, err := range p.store.List(ctx, p.prefix+"/") {
		if err == nil {
			err = p.store.Delete(ctx, o.Key)
		}
		if err != nil && !errors.Is(err, storage.ErrLocked) {
			return fmt.Errorf("remove what was tried out under %s: %w", p.prefix, err)
		}
	}
	return nil
}
