package e2e

import (
	"slices"
	"sync"
	"testing"
)

// story is a test that has a site of its own.
type story struct {
	name string
	play func(t *testing.T)
}

// atOnce plays several stories at a time. They wait more than they compute: for
// elections, for timeouts, for etcd to trust a connection.
func atOnce(t *testing.T, stories []story) {
	const most = 5
	next := make(chan story, len(stories))
	for _, s := range stories {
		next <- s
	}
	close(next)
	var players sync.WaitGroup
	for range most {
		players.Go(func() {
			for s := range next {
				t.Run(s.name, s.play)
			}
		})
	}
	players.Wait()
}

// onEach is a story with the etcd of each version.
func onEach(name string, play func(t *testing.T, version string)) []story {
	var stories []story
	for _, version := range versions {
		stories = append(stories, story{name + ", etcd" + version, func(t *testing.T) { play(t, version) }})
	}
	return stories
}

// TestMembership is what operators do to clusters, the longest stories first.
func TestMembership(t *testing.T) {
	atOnce(t, slices.Concat(
		onEach("grow and shrink", growAndShrink),
		onEach("replace a stopped member by a command that is killed", func(t *testing.T, version string) { replaceWhileKilled(t, version, false) }),
		[]story{{"two operators", twoOperators}},
		onEach("replace", replaceWhileClientsWrite),
		onEach("replace a stopped member without space by a command that is killed", func(t *testing.T, version string) { replaceWhileKilled(t, version, true) }),
		[]story{
			{"upgrade by replacement", upgradeByReplacement},
			{"apply goes on after a crash", applyGoesOnAfterACrash},
			{"add that takes too long", addThatTakesTooLong},
			{"defragmentation", defragmentationWhileClientsWrite},
		},
	))
}

// TestWhatLosesQuorum is what etcd itself lets an operator do to a cluster: each of these
// loses quorum with the stock tool, one command long. etcdha refuses the same command in
// the same situation, says why and what to do instead, and quorum is still there.
func TestWhatLosesQuorum(t *testing.T) {
	atOnce(t, slices.Concat(
		onEach("changes while a voter has stopped", changesWhileAVoterHasStopped),
		onEach("promotion of a dead learner", promotionOfADeadLearner),
		onEach("removal by a member that does not see the other", removalByAMemberThatDoesNotSeeTheOther),
		onEach("addition of a voter that is not there", additionOfAVoterThatIsNotThere),
	))
}
