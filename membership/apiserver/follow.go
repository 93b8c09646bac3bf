package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

const (
	// DefaultPeriod is the time between two looks. A withdrawal is followed after two
	// of them, while somebody waits for it.
	DefaultPeriod = 10 * time.Second
	// DefaultSettle outlasts an election, the restart of a member, and the moments
	// between the steps of one change of the membership.
	DefaultSettle = 30 * time.Second

	// lookTimeout is how long one look at the members may take: each of them has
	// seconds to answer, and all are asked at the same time.
	lookTimeout = 20 * time.Second
)

// FollowOptions are what a [Follower] works with.
type FollowOptions struct {
	FS   fs.FS  // the root of the host
	File string // that carries the list; absolute
	Host string // the host's name, for its reports
	// Open connects to what the file speaks of. It is called for each look, so that a
	// changed list and rotated certificates are in use at once.
	Open func(ctx context.Context, f *etcdservers.File) (*Local, error)
	// UpdateConfig writes an external list to where upgrades take it from, and does
	// nothing where it is there. It is repeated until it succeeds. May be nil.
	UpdateConfig func(ctx context.Context, servers []string) error
	// Period is the time between two looks. Default: DefaultPeriod.
	Period time.Duration
	// Settle is how long the members have to ask for the same list before the
	// apiserver gets it. Default: DefaultSettle.
	Settle time.Duration
	Now    func() time.Time
	Sleep  func(context.Context, time.Duration) error // default: a timer
	Log    *slog.Logger
}

// Local is what the file of an apiserver, as it stands, says of the host and of etcd.
type Local struct {
	Cluster  Cluster
	Registry Registry
	Dialer   Dialer // with the certificates of the file
	// Addresses are those by which this host is known, see [OwnAddresses], and Announced
	// those that the apiserver may have announced itself with, see [Announced].
	Addresses, Announced []string
	Secure               bool // see [Wish]
	// Left tells whether a killed rewiring has left something for [Site.Resume].
	Left func() (bool, error)
	// Site is called when the apiserver has to be looked at or rewired.
	Site  func(ctx context.Context) (*Site, error)
	Close func()
}

// site is what a follower does with a [Site].
type site interface {
	Rewire(ctx context.Context, f *etcdservers.File, servers []string) error
	Resume(ctx context.Context, f *etcdservers.File) error
	Serving(ctx context.Context, f *etcdservers.File) error
}

// Follower keeps the apiserver of one file on the members of its etcd, and
// reports which members it uses, so that others can be removed.
//
// It acts on what has settled: a list that the members ask for without
// interruption, and a withdrawal that was seen twice in a row. It acts on nothing
// while etcd has no quorum, and tries what has failed again after growing pauses.
type Follower struct {
	FollowOptions
	metrics *metrics
	health  health

	pending pending
	pauses  pauses
	trouble trouble
	sent    sent
	list    ofList
	config  configured

	enter func(*Site) site // tests have a site of their own
}

// NewFollower returns a follower, which does nothing before [Follower.Run].
func NewFollower(o FollowOptions) *Follower {
	if o.Period == 0 {
		o.Period = DefaultPeriod
	}
	if o.Settle == 0 {
		o.Settle = DefaultSettle
	}
	if o.Sleep == nil {
		o.Sleep = pauseFor
	}
	f := &Follower{FollowOptions: o, metrics: newMetrics(), enter: func(s *Site) site { return s }}
	f.health.began(o.Now())
	f.trouble.log = o.Log
	return f
}

// pauseFor sleeps by a timer.
func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Run follows until ctx ends, which is no error. Whatever fails is logged, shown
// by metrics and health, and tried again.
func (f *Follower) Run(ctx context.Context) error {
	f.Log.Info("following the members of etcd", "file", f.File, "period", f.Period, "settle", f.Settle)
	for ctx.Err() == nil {
		err := f.look(ctx)
		if ctx.Err() != nil {
			break
		}
		f.trouble.tell(err)
		f.health.looked(f.Now(), err, f.state())
		_ = f.Sleep(ctx, f.Period) // it fails when ctx ends
	}
	f.Log.Info("following has ended", "file", f.File)
	return nil
}

// look looks once, and does what is due.
func (f *Follower) look(ctx context.Context) error {
	f.health.beat(f.Now())
	file, err := etcdservers.Read(f.FS, f.File)
	if err != nil {
		return f.outOfSight(during("read the file", err))
	}
	f.metrics.servers.Set(float64(len(file.Servers)))
	local, err := f.Open(ctx, file)
	if err != nil {
		return f.outOfSight(during("reach etcd", err))
	}
	defer local.Close()
	v := &visit{Follower: f, file: file, local: local}
	if err := v.observe(ctx); err != nil {
		return f.outOfSight(err)
	}
	if err := v.recognise(ctx); err != nil {
		return f.outOfSight(err)
	}
	if resumed, err := v.resume(ctx); resumed || err != nil { // needs the lock, and so quorum
		return f.outOfSight(err)
	}
	return v.act(ctx)
}

// outOfSight notes that the members were not seen: what was pending is
// interrupted.
func (f *Follower) outOfSight(err error) error {
	f.pending = pending{}
	f.metrics.pending.Set(0)
	f.metrics.inStep.Set(0)
	f.metrics.refused.Set(0) // nobody is asked to decide what cannot be seen
	return err
}

// visit is one look at a file that was read.
type visit struct {
	*Follower
	file    *etcdservers.File
	local   *Local
	members *Membership
	answers map[string]uint64 // see [Wish]
}

// observe asks for the members.
func (v *visit) observe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	m, err := v.local.Cluster.Observe(ctx)
	if err != nil {
		return during("observe the members", err)
	}
	v.members, v.answers = m, Answers(ctx, v.local.Dialer, v.wish(m), m.ClusterID)
	v.metrics.observed.Set(seconds(v.Now()))
	v.health.beat(v.Now())
	return nil
}

// resume ends what a killed rewiring has left: of this agent before it was started
// anew, or of a command. It waits for one that is under way. If there was anything,
// the file may be another one afterwards, and what was seen is old.
func (v *visit) resume(ctx context.Context) (bool, error) {
	left, err := v.local.Left()
	if err == nil && !left {
		return false, nil
	}
	var s *Site
	if err == nil {
		s, err = v.site(ctx)
	}
	if err == nil {
		err = v.enter(s).Resume(ctx, v.file)
	}
	if err != nil {
		return false, during("resume what was left", err)
	}
	return true, nil
}

// site builds the site, which tells this follower how it goes.
func (v *visit) site(ctx context.Context) (*Site, error) {
	s, err := v.local.Site(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at the host: %w", err)
	}
	s.Reporter = progress{v.Follower}
	if restart := s.Restart; restart != nil {
		s.Restart = func(ctx context.Context) error { return v.patiently(ctx, s.Timeout, restart) }
	}
	return s, nil
}

// patiently runs what says nothing until it is over, and is bounded by the timeout.
func (v *visit) patiently(ctx context.Context, timeout time.Duration, do func(context.Context) error) error {
	v.health.beat(v.Now().Add(cmp.Or(timeout, DefaultTimeout)))
	defer func() { v.health.beat(v.Now()) }()
	return do(ctx)
}

// wish is what the list is decided by, of these members.
func (v *visit) wish(m *Membership) Wish {
	return Wish{
		Current: v.file.Servers, Topology: v.list.topology, Members: m.Members, Answers: v.answers,
		Addresses: v.local.Addresses, Secure: v.local.Secure,
	}
}

// choose decides the list by what was observed.
func (v *visit) choose(m *Membership) (Choice, error) { return Choose(v.wish(m)) }

// act rewires if that is due, and confirms what the apiserver runs with otherwise.
// Never both: a confirmation promises that what is decided next has seen the
// marks that it has seen.
func (v *visit) act(ctx context.Context) error {
	choice, refused := v.choose(v.members)
	v.metrics.refused.Set(bit(refused != nil))
	if refused != nil {
		v.pending = pending{}
	} else {
		v.pending = v.pending.next(v.Now(), choice.Servers, SameServers(choice.Servers, v.file.Servers), v.withdraws(choice))
	}
	v.metrics.inStep.Set(bit(refused == nil && !v.pending.waits()))
	v.metrics.pending.Set(v.pending.age(v.Now()).Seconds())
	if refused != nil {
		return errors.Join(during("choose the servers", refused), v.confirm(ctx))
	}
	if !v.pending.due(v.Now(), v.Settle) {
		return errors.Join(v.confirm(ctx), v.updateConfig(ctx, choice))
	}
	if err := v.pauses.lasts(v.Now(), choice.Servers); err != nil {
		return errors.Join(err, v.confirm(ctx))
	}
	return v.rewire(ctx, choice)
}

// withdraws tells whether a list drops a server for no other reason than a
// withdrawal.
func (v *visit) withdraws(choice Choice) bool {
	all := *v.members
	all.Members = slices.Clone(all.Members)
	for i := range all.Members {
		all.Members[i].Withdrawn = false
	}
	unmarked, err := v.choose(&all)
	return err == nil && slices.ContainsFunc(v.file.Servers, func(server string) bool {
		return slices.Contains(unmarked.Servers, server) && !slices.Contains(choice.Servers, server)
	})
}
