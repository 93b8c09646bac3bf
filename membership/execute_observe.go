package membership

import (
	"context"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// observe looks at the cluster. It looks again for a while where there is no
// leader although there could be one: an election ends by itself.
func (r *run) observe(ctx context.Context) (*Observation, error) {
	for began := r.Now(); ; {
		o, err := Observe(ctx, r.Client, ObserveOptions{
			Endpoints: r.endpoints(), ClusterID: r.cluster, Zones: r.Zones, Now: r.Now, Sleep: r.Sleep,
		})
		switch {
		case err == nil:
			if err := r.pin(o); err != nil {
				return nil, err
			}
			if !o.electing() {
				return o, nil
			}
		case r.last == nil || ctx.Err() != nil:
			return nil, err
		}
		if r.Now().Sub(began) >= patience {
			return o, err
		}
		r.waiting("a leader that answers")
		if err := r.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for a leader: %w", err)
		}
	}
}

// pin keeps the run to the cluster that it saw first. Another one may come up
// behind its endpoints: a new etcd that was started as a cluster of its own.
func (r *run) pin(o *Observation) error {
	if r.cluster == 0 {
		for _, f := range o.Foreign {
			if slices.Contains(r.Endpoints, f.Endpoint) {
				return fail.WithHint(fail.Usagef("the endpoints are of two clusters: %s is of %x, and others are of %x", f.Endpoint, f.ClusterID, o.ClusterID),
					"give the endpoints of the one that is meant; etcdha member status tells them apart")
			}
		}
	}
	r.last, r.cluster = o, o.ClusterID
	if o.Conflict != "" {
		return fail.WithHint(fail.Unsafef("%s", o.Conflict),
			"stop the etcd that lost its data and began anew, usually the one whose list is shorter; then replace that member")
	}
	return nil
}

// lostQuorum is for a goal that seems to be reached: without quorum, what the
// members say may be old.
func lostQuorum(o *Observation) error {
	refusal := &quorum.Refusal{Reason: quorum.NoQuorum, State: o.State()}
	return withRemedy(fail.As(fail.ErrUnsafe, &unknownError{refusal}), Planned{Refusal: refusal})
}

// unknownError says that nobody can tell whether a goal is reached.
type unknownError struct{ refusal *quorum.Refusal }

func (*unknownError) Error() string {
	return "quorum is lost, so that nobody can tell whether anything is left to do"
}

func (e *unknownError) Unwrap() error { return e.refusal }

func (r *run) waiting(why string) {
	var s Step
	if len(r.told) > 0 {
		s = r.told[0]
	}
	r.Reporter.Waiting(s, why)
}

// endpoints are those that were given, and those of the members that answered
// last: the given one may be that of a member which is taken out.
func (r *run) endpoints() []string {
	endpoints := slices.Clone(r.Endpoints)
	if r.last == nil {
		return endpoints
	}
	for _, endpoint := range r.memberEndpoints() {
		if !slices.Contains(endpoints, endpoint) {
			endpoints = append(endpoints, endpoint)
		}
	}
	return endpoints
}

// memberEndpoints are those at which members answered last, for the lock: one of
// another cluster would keep nobody out.
func (r *run) memberEndpoints() []string {
	var endpoints []string
	for _, m := range r.last.Members {
		if m.Endpoint != "" && !m.Ghost {
			endpoints = append(endpoints, m.Endpoint)
		}
	}
	return endpoints
}

// electing tells whether there is no leader although enough voters answer.
func (o *Observation) electing() bool {
	if o.HasQuorum && o.Leader != 0 {
		return false
	}
	voters := o.count(func(m *Member) bool { return !m.Learner })
	return o.count(func(m *Member) bool { return !m.Learner && m.Status != nil }) >= quorum.Majority(voters)
}

// leaderEndpoint is where changes are asked for: the leader sees the others
// itself, and judges by what is true. Without a leader, which only a forced step
// comes without, it is that of anybody who answers.
func (o *Observation) leaderEndpoint() string {
	m := o.member(o.Leader)
	if m == nil {
		m = o.find(func(m *Member) bool { return m.Endpoint != "" && !m.Learner })
	}
	if m == nil {
		return ""
	}
	return m.Endpoint
}

// took tells whether a step has taken effect. Only the cluster's own list counts.
func (o *Observation) took(s Step) bool {
	m := o.member(s.ID)
	switch {
	case !o.HasQuorum:
		return false
	case s.Kind == quorum.AddLearner:
		return o.withPeerURLs(s.PeerURLs) != nil
	case s.Kind == quorum.Remove:
		return m == nil
	case m == nil:
		return false
	case s.Kind == quorum.Promote:
		return !m.Learner
	case s.Kind == quorum.Update:
		return sameURLs(m.PeerURLs, s.PeerURLs)
	}
	return o.Leader == s.ID
}

// sameSteps compares plans. What is on its way has no id in one and has it in
// the next.
func sameSteps(a, b []Step) bool {
	return slices.EqualFunc(a, b, func(a, b Step) bool {
		return a.Kind == b.Kind && (a.ID == b.ID || a.ID == 0 || b.ID == 0) && sameURLs(a.PeerURLs, b.PeerURLs)
	})
}
