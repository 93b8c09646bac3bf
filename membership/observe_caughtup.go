package membership

import (
	"context"
	"slices"
	"time"

	"github.com/etcdha/etcdha/membership/quorum"
)

// waitCaughtUp reads the leader's commit index, and then gives every other
// member time to apply up to there. The statuses are those read last. If the
// leader changes meanwhile, it begins again as long as there is time.
func (l *look) waitCaughtUp(ctx context.Context, list *List) (leader quorum.ID, committed uint64) {
	deadline := l.options.Now().Add(l.options.Timeout)
	for {
		l.each(ctx, l.answers, l.refresh)
		a := l.leader()
		if a == nil && l.leaderElsewhere() {
			return 0, 0
		}
		if a != nil {
			leader, committed = a.id, a.status.RaftIndex
			if l.waitApplied(ctx, list, a, committed, deadline) {
				return leader, committed
			}
			leader, committed = 0, 0
		}
		if !l.options.Now().Before(deadline) || l.options.Sleep(ctx, pollInterval) != nil {
			return leader, committed
		}
	}
}

// leader is the answer of the member that leads. Of two that say so, the one
// in the older term has not heard yet that it was replaced.
func (l *look) leader() *answer {
	var leader *answer
	for _, a := range l.answers {
		if a.status != nil && a.status.Leader == a.id && (leader == nil || a.status.RaftTerm > leader.status.RaftTerm) {
			leader = a
		}
	}
	return leader
}

// leaderElsewhere tells whether the members follow one that does not answer us.
func (l *look) leaderElsewhere() bool {
	for _, a := range l.answers {
		if a.status != nil && a.status.Leader != 0 && l.answerOf(a.status.Leader) == nil {
			return true
		}
	}
	return false
}

// waitApplied asks the members of the list until all have applied what the
// leader had committed, or the time is over. It is false if somebody else leads
// now. Nobody waits for members that are cut off, since they will not count.
func (l *look) waitApplied(ctx context.Context, list *List, leader *answer, committed uint64, deadline time.Time) bool {
	term := leader.status.RaftTerm
	var behind []*answer
	for _, listed := range list.Members {
		if a := l.answerOf(listed.ID); a != nil {
			a.caughtUp = false
			behind = append(behind, a)
		}
	}
	for {
		behind = slices.DeleteFunc(behind, func(a *answer) bool { return a.caughtUp || a.status == nil })
		l.each(ctx, behind, l.refresh)
		waiting := false
		for _, a := range behind {
			switch {
			case a.status == nil: // it has gone
			case a.status.RaftTerm > term:
				return false
			case a.status.Leader != leader.id || a.status.RaftTerm != term: // it follows nobody, or has not heard yet
				waiting = waiting || a.cutOff == nil || a.list == nil
			default:
				a.caughtUp = a.status.RaftApplied >= committed
				waiting = waiting || !a.caughtUp && (a.cutOff == nil || a.list == nil)
			}
		}
		if !waiting || !l.options.Now().Before(deadline) || l.options.Sleep(ctx, pollInterval) != nil {
			return true
		}
	}
}
