package apiserver

import (
	"context"
	"sync"
)

// sameAnswers is how often in a row a server has to say that it is the same member:
// a balancer or a name of several hosts leads to another one now and then.
const sameAnswers = 3

// Answers asks the servers of the present list that cannot be told from their URLs,
// such as names, which members they are; see [Wish]. Who does not answer, or not the
// same each time, is left out, and so is a server of another cluster.
func Answers(ctx context.Context, dialer Dialer, w Wish, clusterID uint64) map[string]uint64 {
	w.Answers = nil
	t := target{Wish: w}
	answers := make(map[string]uint64)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, server := range w.Current {
		if t.known(server) != nil {
			continue
		}
		all.Go(func() {
			if id, ok := askWho(ctx, dialer, server, clusterID); ok {
				mu.Lock()
				defer mu.Unlock()
				answers[server] = id
			}
		})
	}
	all.Wait()
	return answers
}

// askWho asks a server who it is. Ids of members mean something in their own cluster
// only.
func askWho(ctx context.Context, dialer Dialer, server string, clusterID uint64) (uint64, bool) {
	var id uint64
	for i := range sameAnswers {
		answer, err := dialer.Ask(ctx, server)
		if err != nil || answer.ClusterID != clusterID || i > 0 && answer.MemberID != id {
			return 0, false
		}
		id = answer.MemberID
	}
	return id, true
}
