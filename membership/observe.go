package membership

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etcdha/etcdha/membership/quorum"
)

// ObserveOptions say where to look.
type ObserveOptions struct {
	Endpoints []string          // client URLs to begin with
	ClusterID uint64            // the cluster to look at; 0: that of the first endpoint that answers
	Zones     map[string]string // zone by name of member
	Timeout   time.Duration     // for each answer, and for catching up; default AnswerTimeout
	Now       func() time.Time
	// Sleep waits between two looks at a member that is behind. Default: a timer.
	Sleep func(context.Context, time.Duration) error
	// LookupHost finds the addresses of a host, so that client URLs that nobody
	// can use are seen. nil: nothing is looked up.
	LookupHost func(ctx context.Context, host string) ([]string, error)
}

// pollInterval is short beside the time that a member has to catch up.
const pollInterval = 100 * time.Millisecond

// Observe looks at the cluster with that id, or at that of the first endpoint
// that answers: at every member of the member lists, and at what else answers at
// the endpoints. It
// needs no quorum. Nothing is averaged: the list is the cluster's own, read
// linearizably, or without quorum that of the member that is furthest ahead;
// all lists are in the observation.
//
// It is an error if no endpoint answers or no member gives a list, and an unsafe
// one if only other clusters than the wanted one answer.
func Observe(ctx context.Context, r Reader, o ObserveOptions) (*Observation, error) {
	if o.Timeout == 0 {
		o.Timeout = AnswerTimeout
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	l := &look{r: r, options: o, asked: make(map[string]*answer), errs: make(map[quorum.ID]error)}
	seen, err := l.observe(ctx)
	if ctxErr := ctx.Err(); ctxErr != nil { // which the answers would call something else
		err = ctxErr
	}
	if err != nil {
		return nil, fmt.Errorf("observe cluster: %w", err)
	}
	return seen, nil
}

func (l *look) observe(ctx context.Context) (*Observation, error) {
	at := l.options.Now()
	if err := l.askSeeds(ctx); err != nil {
		return nil, err
	}
	for l.discover(ctx) {
	}
	list, linearizable := l.chooseList(ctx)
	if list == nil {
		var errs []error
		for _, a := range l.answers {
			errs = append(errs, a.listErr)
		}
		return nil, errors.Join(errs...)
	}
	o := &Observation{At: at, ClusterID: l.clusterID, HasQuorum: linearizable, Foreign: l.foreign, Conflict: l.conflict()}
	if linearizable {
		o.Leader, o.Committed = l.waitCaughtUp(ctx, list)
	}
	for _, a := range l.answers {
		if a.list != nil {
			o.Lists = append(o.Lists, *a.list)
		}
	}
	o.Alarms = l.alarms(o.Leader, list)
	for _, listed := range list.Members {
		o.Members = append(o.Members, l.member(listed, o))
	}
	l.addGhosts(o)
	l.lookUpHosts(ctx, o)
	return o, nil
}

// alarms are those that the leader knows, or who has caught up with it: a member
// that is behind, or that was removed, tells of alarms that ended long ago. Without a
// leader that answers, they are those of any member.
func (l *look) alarms(leader quorum.ID, list *List) []Alarm {
	var alarms []Alarm
	for _, a := range l.answers {
		current := a.caughtUp || a.id == leader
		if leader == 0 {
			current = slices.ContainsFunc(list.Members, func(m Listed) bool { return m.ID == a.id })
		}
		if current && a.status != nil {
			alarms = append(alarms, a.status.Alarms...)
		}
	}
	slices.SortFunc(alarms, compareAlarms)
	return slices.Compact(alarms)
}

func compareAlarms(a, b Alarm) int {
	return cmp.Or(cmp.Compare(a.MemberID, b.MemberID), cmp.Compare(a.Type, b.Type))
}

// errNeverStarted is why a member that has told no client URL does not answer.
var errNeverStarted = errors.New("its etcd has never started")

// member is what was seen of a member of the list.
func (l *look) member(listed Listed, o *Observation) Member {
	m := Member{Listed: listed, Zone: l.options.Zones[listed.Name]}
	for _, alarm := range o.Alarms {
		if alarm.MemberID == listed.ID {
			m.Alarms = append(m.Alarms, alarm.Type)
		}
	}
	a := l.answerOf(listed.ID)
	if a == nil {
		m.Err = l.errs[listed.ID]
		if m.Err == nil {
			m.Err = errNeverStarted
		}
		return m
	}
	m.Endpoint, m.Status, m.Err, m.CaughtUp = a.endpoint, a.status, a.err, a.caughtUp
	if m.Status != nil {
		m.Latency = m.Status.Latency
	}
	if m.Err == nil && a.cutOff != nil && o.HasQuorum {
		m.Err, m.CaughtUp = &CutOffError{Endpoint: a.endpoint, Err: a.cutOff}, false
	}
	return m
}

// addGhosts adds those that answer and are in no list that counts.
func (l *look) addGhosts(o *Observation) {
	for _, a := range l.answers {
		if o.Member(a.id) != nil {
			continue
		}
		listed := Listed{ID: a.id}
		if a.list != nil { // its own, in which it still is
			if i := slices.IndexFunc(a.list.Members, func(m Listed) bool { return m.ID == a.id }); i >= 0 {
				listed = a.list.Members[i]
			}
		}
		ghost := l.member(listed, o)
		ghost.Ghost, ghost.CaughtUp = true, false
		o.Members = append(o.Members, ghost)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
