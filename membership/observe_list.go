package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// chooseList tries every voter's way to the leader. The list is the leader's if
// it has one, else the first that was read linearizably; without quorum it is
// that of the member with the newest raft log.
func (l *look) chooseList(ctx context.Context) (list *List, linearizable bool) {
	var voters []*answer
	var newest *answer
	for _, a := range l.answers {
		if a.list == nil {
			continue
		}
		voters = append(voters, a)
		if newest == nil || newer(a.status, newest.status) {
			newest = a
		}
	}
	l.linearize(ctx, voters)
	for _, a := range voters {
		if a.linear != nil && (list == nil || a.status.Leader == a.id) {
			list = a.linear
		}
	}
	if list != nil {
		return list, true
	}
	if newest != nil {
		list = newest.list
	}
	return list, false
}

// linearize reads the cluster's list through each member. What fails before its
// time is over is tried again: an election makes such requests fail at once. So
// are lists that differ: the membership may just have been changed.
func (l *look) linearize(ctx context.Context, all []*answer) {
	deadline := l.options.Now().Add(l.options.Timeout)
	for voters := slices.Clone(all); len(voters) > 0; {
		l.each(ctx, voters, func(ctx context.Context, a *answer) {
			list, err := l.r.Members(ctx, a.endpoint, true)
			if a.cutOff, a.linear = err, nil; err == nil {
				a.linear = &list
			}
		})
		voters = slices.DeleteFunc(voters, func(a *answer) bool {
			return a.cutOff == nil || errors.Is(a.cutOff, context.DeadlineExceeded)
		})
		if len(voters) == 0 && l.conflict() != "" {
			voters = slices.DeleteFunc(slices.Clone(all), func(a *answer) bool { return a.linear == nil })
		}
		if !l.options.Now().Before(deadline) || len(voters) > 0 && l.options.Sleep(ctx, pollInterval) != nil {
			return
		}
	}
}

// conflict says that two members give different lists as the cluster's own, ""
// if all agree. Of one cluster that cannot be: a member that lost its data and
// was started with the flags of its first start has begun a second one, with the
// same ids.
func (l *look) conflict() string {
	var first *answer
	for _, a := range l.answers {
		switch {
		case a.linear == nil:
		case first == nil:
			first = a
		case difference(a.linear, first.linear) != "":
			return fmt.Sprintf("%s and %s belong to two clusters with the same id: %s has another member list, %s",
				first.endpoint, a.endpoint, a.endpoint, difference(a.linear, first.linear))
		}
	}
	return ""
}

// newer tells whether a has the newer raft log.
func newer(a, b *Status) bool {
	if a.RaftTerm != b.RaftTerm {
		return a.RaftTerm > b.RaftTerm
	}
	return a.RaftIndex > b.RaftIndex
}
