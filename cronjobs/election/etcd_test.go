package election_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/election"
)

// key has a lease of its own.
type key struct {
	value   election.Instance
	made    time.Time
	expires time.Time
}

const (
	lease = election.DefaultLeaseDuration
	renew = election.DefaultRenewDeadline
	retry = election.DefaultRetryPeriod
	spare = lease - renew

	requestTime = 2 * time.Second
	// sweep is how often etcd looks for leases that have ended.
	sweep = 500 * time.Millisecond
)

var errNoAnswer = errors.New("no answer")

// ask does something in etcd. It may have its effect, and the answer be lost.
func (p *process) ask(ctx context.Context, effect func()) error {
	if err := p.gate(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	travel := func() error {
		p.mu.Lock()
		cut, slow := p.cut, p.slow
		p.mu.Unlock()
		d := time.Millisecond
		p.w.mu.Lock()
		if slow > 0 {
			d = time.Duration(p.w.r.Int64N(int64(slow)))
		}
		down := cut || !p.w.quorum
		p.w.mu.Unlock()
		if down {
			d = time.Hour
		}
		select {
		case <-ctx.Done():
			return errNoAnswer
		case <-time.After(d):
			return p.gate()
		}
	}
	if err := travel(); err != nil {
		return err
	}
	p.w.mu.Lock()
	p.w.expire()
	effect()
	p.w.mu.Unlock()
	return travel()
}

// expire is called with the mutex.
func (w *world) expire() {
	if !w.quorum {
		return
	}
	for name, k := range w.keys {
		if !time.Now().Truncate(sweep).Before(k.expires) {
			w.remove(name)
		}
	}
}

func (w *world) remove(name string) {
	delete(w.keys, name)
	if name == "active" {
		w.freed++
		w.notes("the lock is free")
	}
}

// setQuorum ends or begins the reign of a leader; a new one gives all leases their full time.
func (w *world) setQuorum(on bool) {
	w.note("quorum: %t", on)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quorum = on
	for _, k := range w.keys {
		k.expires = time.Now().Add(lease)
	}
}

func (w *world) setAlarm(on bool) {
	w.note("alarm: %t", on)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alarm = on
	if !on {
		w.alarmEnd = time.Now()
	}
}

// take makes a key, and renews it.
func (p *process) take(ctx context.Context, name string) (election.Lock, error) {
	begin := time.Now()
	made := &key{value: p.self}
	var refused error
	err := p.ask(ctx, func() {
		switch k := p.w.keys[name]; {
		case k != nil:
			refused = &election.TakenError{Who: k.value.Name}
		case p.w.alarm:
			refused = election.ErrAlarmed
		default:
			made.made, made.expires = time.Now(), time.Now().Add(lease)
			p.w.keys[name] = made
		}
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	renewal, stop := context.WithCancel(context.WithoutCancel(ctx))
	l := &lock{p: p, name: name, key: made, deadline: begin.Add(lease), stop: stop}
	p.w.running.Go(func() { l.keep(renewal) })
	return l, nil
}

// lock is a [election.Lock].
type lock struct {
	p    *process
	name string
	key  *key
	stop context.CancelFunc

	mu       sync.Mutex
	deadline time.Time
}

func (l *lock) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
		if l.p.gate() != nil {
			return
		}
		l.p.mu.Lock()
		lost := l.p.faint && l.name != "active"
		l.p.mu.Unlock()
		if lost {
			continue
		}
		begin, gone := time.Now(), false
		err := l.p.ask(ctx, func() {
			if gone = l.p.w.keys[l.name] != l.key; !gone {
				l.key.expires = time.Now().Add(lease)
			}
		})
		l.mu.Lock()
		switch {
		case err != nil:
		case gone:
			l.deadline = time.Time{}
		default:
			l.deadline = begin.Add(lease)
		}
		l.mu.Unlock()
		if err == nil && gone {
			return
		}
	}
}

func (l *lock) Held(d time.Duration) error {
	if err := l.p.gate(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Until(l.deadline) <= d {
		return errors.New("the lock may have been lost")
	}
	return nil
}

func (l *lock) Release(ctx context.Context) error {
	l.stop()
	l.mu.Lock()
	l.deadline = time.Time{}
	l.mu.Unlock()
	return l.p.ask(ctx, func() {
		if l.p.w.keys[l.name] == l.key {
			l.p.w.remove(l.name)
		}
	})
}

func (p *process) Lead(ctx context.Context) (election.Lock, error) {
	l, err := p.take(ctx, "active")
	_, taken := errors.AsType[*election.TakenError](err)
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	switch {
	case errors.Is(err, errNoAnswer):
	case errors.Is(err, election.ErrAlarmed):
		p.alarmed = true
	case taken:
		p.alarmed, p.saw = false, true
	}
	return l, err
}

func (p *process) Attend(ctx context.Context) (election.Lock, error) {
	return p.take(ctx, p.self.Name)
}

func (p *process) Attending(ctx context.Context) (a election.Attendance, err error) {
	err = p.ask(ctx, func() {
		a = election.Attendance{Voters: p.w.voters, Self: &p.self, Alarmed: p.w.alarm}
		for name, k := range p.w.keys {
			if name == "active" {
				a.Active = k.value.Name
			} else {
				a.Instances = append(a.Instances, k.value)
			}
		}
	})
	if err != nil {
		return election.Attendance{}, err
	}
	return a, nil
}

func (p *process) Freed(ctx context.Context) error {
	before := -1
	for {
		taken := false
		err := p.ask(ctx, func() {
			taken = p.w.keys["active"] != nil
			if before < 0 {
				before = p.w.freed
			}
			taken = taken && before == p.w.freed
		})
		if err != nil || !taken {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}
