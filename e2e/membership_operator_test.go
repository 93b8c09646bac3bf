package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// operate begins to do what the people or the automation of a site do: where
// the member list has a member that does not run, the etcd of its host is
// started. It ends with the test, or when the returned function is called.
func (s *site) operate() (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		var last []*pb.Member // for the time when nobody answers; a learner never does
		for ctx.Err() == nil {
			answered := false
			for _, host := range s.running() {
				if list, err := s.list(ctx, host, false); err == nil {
					s.startListed(list)
					last, answered = list, true
				}
			}
			if !answered {
				s.startListed(last)
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	stop = func() { cancel(); done.Wait() }
	s.t.Cleanup(stop)
	return stop
}

// startListed starts what does not run, by a member list that may be stale:
// etcd itself then refuses to join and exits, and the next look starts it again.
func (s *site) startListed(list []*pb.Member) {
	var initial []string
	for _, m := range list {
		for _, u := range m.PeerURLs {
			initial = append(initial, fmt.Sprintf("%s=%s", s.hostOf(m), u))
		}
	}
	for _, m := range list {
		s.startOn(s.hostOf(m), m.ID, m.Name == "", strings.Join(initial, ","))
	}
}

// startOn starts the etcd of a member on its host, with the data of that member
// if it has any. A member that is new starts with none: what the host has of an
// earlier one is moved aside.
func (s *site) startOn(name string, id uint64, isNew bool, initialCluster string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.Members {
		if m.Name != name || s.down[name] || !m.Exited() {
			continue
		}
		var err error
		switch _, noData := os.Stat(filepath.Join(m.DataDir, "member/wal")); {
		case s.life[name] == id && noData == nil:
			err = s.StartMember(m)
		case isNew:
			if err = os.Rename(m.DataDir, fmt.Sprintf("%s.%x.%d", m.DataDir, s.life[name], time.Now().UnixNano())); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			s.life[name] = id
			err = errors.Join(err, s.Join(m, initialCluster))
		}
		if err != nil {
			s.t.Error(err)
		}
	}
}
