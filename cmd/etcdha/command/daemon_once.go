package command

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// once runs a job of some clusters now. One that fails keeps no other from its run.
func (s *service) once(c *cli.Context, job config.JobName) error {
	if !slices.Contains(config.JobNames, job) {
		return fail.WithHint(fail.Usagef("--once %q: there is no such job", job), "one of %s", jobList())
	}
	names, err := s.clusters(given(c, "cluster"), job)
	if err != nil {
		return err
	}
	w := c.App.Writer
	width := len(slices.MaxFunc(names, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
	var printing sync.Mutex
	var failed []error
	var runs errgroup.Group
	runs.SetLimit(s.first.Concurrency)
	for _, name := range names {
		runs.Go(func() error {
			r, err := s.daemon.Once(c.Context, name, job)
			printing.Lock()
			defer printing.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s of %s: %w", job, name, err))
				fmt.Fprintf(w, "%s  %-*s  %s\n", paint(w, red, "FAIL"), width, name, job)
				return nil
			}
			fmt.Fprintf(w, "%s  %-*s  %s%s\n", paint(w, green, "ok  "), width, name, r.Summary, elapsed(w, r.Finished.Sub(r.Started)))
			return nil
		})
	}
	_ = runs.Wait() // its errors are in failed
	if len(failed) > 1 {
		return &severalError{fmt.Sprintf("%d of %d runs failed", len(failed), len(names)), errors.Join(failed...)}
	}
	return errors.Join(failed...)
}

func jobList() string {
	var names []string
	for _, name := range config.JobNames {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// clusters are the wanted ones, or else all that have the job.
func (s *service) clusters(wanted []string, job config.JobName) ([]string, error) {
	var having, all []string
	for _, cluster := range s.first.Clusters {
		all = append(all, cluster.Name)
		if slices.ContainsFunc(cluster.Jobs, func(j config.Job) bool { return j.Name == job }) {
			having = append(having, cluster.Name)
		}
	}
	for _, name := range wanted {
		switch {
		case !slices.Contains(all, name):
			return nil, fail.WithHint(fail.Usagef("there is no cluster %s in %s", name, s.first.Path), "it has: %s", strings.Join(all, ", "))
		case !slices.Contains(having, name):
			return nil, fail.WithHint(fail.Usagef("cluster %s has no job %s", name, job), "give it a schedule below jobs in %s", s.first.Path)
		}
	}
	if len(having) == 0 {
		return nil, fail.WithHint(fail.Usagef("no cluster in %s has the job %s", s.first.Path, job), "give it a schedule below jobs")
	}
	if len(wanted) > 0 {
		return slices.Compact(slices.Sorted(slices.Values(wanted))), nil
	}
	return having, nil
}
