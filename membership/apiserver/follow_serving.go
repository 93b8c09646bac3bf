package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// Serving is nil if every process of this file's apiserver has the list of the
// file, and the apiserver is ready. One that still ends uses the servers of its
// own list until it has ended.
func (s *Site) Serving(ctx context.Context, f *etcdservers.File) error {
	before, err := s.running(ctx, f)
	if err != nil {
		return err
	}
	if err := s.Prober.Ready(ctx, s.Own); err != nil {
		return fmt.Errorf("%s is not ready: %w", s.Own, err)
	}
	after, err := s.running(ctx, f)
	if err != nil {
		return err
	}
	if !slices.Equal(before, after) {
		return errors.New("the apiserver restarts")
	}
	return nil
}

// running are the processes, all of which have the list of the file.
func (s *Site) running(ctx context.Context, f *etcdservers.File) ([]identity, error) {
	all, err := s.Host.APIServers(ctx)
	if err != nil {
		return nil, err
	}
	var found []identity
	for _, p := range all {
		switch {
		case !runs(p, f):
			continue
		case !SameServers(serversOf(p), f.Servers):
			return nil, fmt.Errorf("process %d runs with other servers than %s has", p.PID, f.Path)
		}
		found = append(found, p.identity())
	}
	if len(found) == 0 {
		return nil, errors.New("the apiserver is not running")
	}
	return found, nil
}
