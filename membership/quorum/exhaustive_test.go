package quorum

import (
	"runtime"
	"sync"
	"testing"
)

// bounds is a set of states, all of which are looked at.
type bounds struct {
	title            string
	voters, learners int // at most
	conditions       []Member
	nonsense         bool // steps that are none are tried as well
}

// Every state that an observer can come to, up to seven voters and two learners;
// and those that it cannot as well, since nobody says that a server never lies,
// with fewer members: what is impossible of one member is no more so beside
// six others.
var exhaustive = []bounds{
	{"possible", 7, 2, possible, false},
	{"all, few learners", 3, 1, every, true},
	{"all, few voters", 2, 2, every, true},
	{"all, no learners", 5, 0, every, true},
}

// each calls look for every state of b, for several at a time, until it returns
// false. It returns how many states there were.
func (b bounds) each(look func(State) bool) (states int) {
	type part struct{ voters, learners int }
	parts := make(chan part, (b.voters+1)*(b.learners+1))
	for voters := b.voters; voters > 0; voters-- { // the longest first
		for learners := b.learners; learners >= 0; learners-- {
			parts <- part{voters, learners}
		}
	}
	close(parts)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range parts {
				n := 0
				for s := range statesOf(p.voters, p.learners, b.conditions) {
					n++
					if !look(s) {
						break
					}
				}
				mu.Lock()
				states += n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return states
}

// The rules and the oracle agree about every step of every state: what is safe
// is let pass, and what is not is refused for the reason that the oracle has.
func TestRulesAgreeWithTheOracle(t *testing.T) {
	for _, b := range exhaustive {
		t.Run(b.title, func(t *testing.T) {
			var mu sync.Mutex
			verdicts := make(map[Reason]int)
			states := b.each(func(s State) bool {
				found := make(map[Reason]int)
				steps := stepsOf(s)
				if b.nonsense {
					steps = append(steps, nonsense...)
				}
				for _, step := range steps {
					is, want := verdict(rules, s, step), oracle(s, step)
					if is != want {
						t.Errorf("%v: %q, the oracle says %q\n%s", step, is, want, describe(s))
						return false
					}
					found[is]++
				}
				mu.Lock()
				defer mu.Unlock()
				for reason, n := range found {
					verdicts[reason] += n
				}
				return true
			})
			total := 0
			for _, n := range verdicts {
				total += n
			}
			t.Logf("%d states, %d steps, %d of them safe: %v", states, total, verdicts[""], verdicts)
		})
	}
}

// verdict is the reason of a refusal, "" for none.
func verdict(rules []rule, s State, step Step) Reason {
	if r := judge(rules, s, step); r != nil {
		return r.reason
	}
	return ""
}
