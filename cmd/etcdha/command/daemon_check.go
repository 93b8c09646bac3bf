package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/cmd/etcdha/jobs"
	"github.com/etcdha/etcdha/cronjobs/config"
	shown "github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/probe"
)

// checkTimeout bounds the look at one cluster or store: what does not answer is found out
// sooner, each by timeouts of its own.
const checkTimeout = 2 * time.Minute

func daemonCheckCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "hold the configuration against the real clusters and stores, before a daemon does",
		Description: `Reads the file as the daemon would, with its variables and secrets. Then every
member is asked, the lock of the election is tried, each store is put to the test, as
"storage check" does, and the next runs are shown. It changes nothing that stays.`,
		Flags:  slices.Concat([]cli.Flag{configFlag(), writeOutFlag()}, daemonFlags()[3:], electionFlags()[1:]),
		Action: checkDaemon,
	}
}

// checkedThing is one cluster or store, and what was seen of it.
type checkedThing struct {
	Kind   string          `json:"kind"` // cluster, store
	Name   string          `json:"name"`
	Checks snapshot.Checks `json:"checks"`
	Next   []nextRun       `json:"next,omitempty"`
}

type nextRun struct {
	Job  config.JobName `json:"job"`
	Time time.Time      `json:"time"`
}

func checkDaemon(c *cli.Context) error {
	if err := errors.Join(noArgs(c), checkWriteOut(c)); err != nil {
		return err
	}
	s, err := newService(c)
	if err != nil {
		return err
	}
	things, err := s.checkAll(c.Context)
	if err != nil {
		return err
	}
	passed := !slices.ContainsFunc(things, func(t checkedThing) bool { return t.Checks.Err() != nil })
	done, err := asJSON(c, struct {
		File   string         `json:"file"`
		Passed bool           `json:"passed"`
		Things []checkedThing `json:"checked"`
	}{s.first.Path, passed, things})
	if !done {
		printChecked(c, s.first, things)
	}
	if !passed {
		return errors.Join(err, fail.WithHint(fail.Verificationf("%s is not ready to be used", s.first.Path), "each line that says FAIL has its reason"))
	}
	if !done {
		printNext(c.App.Writer, "etcdha daemon --config %s", quote(s.first.Path))
	}
	return err
}

// checkAll looks at everything, a few at a time, and returns it in the order of the file.
func (s *service) checkAll(ctx context.Context) ([]checkedThing, error) {
	f := s.first
	things := make([]checkedThing, len(f.Clusters)+len(f.Stores))
	var looks errgroup.Group
	looks.SetLimit(f.Concurrency)
	fleet := s.fleet()
	for i, cluster := range f.Clusters {
		looks.Go(func() error {
			things[i] = s.checkCluster(ctx, cluster)
			for _, job := range fleet.Clusters[i].Jobs {
				things[i].Next = append(things[i].Next, nextRun{job.Name, job.Next})
			}
			return nil
		})
	}
	for i, store := range f.Stores {
		looks.Go(func() error { things[len(f.Clusters)+i] = s.checkStore(ctx, store); return nil })
	}
	return things, errors.Join(looks.Wait(), ctx.Err())
}

func (s *service) checkCluster(ctx context.Context, cluster config.Cluster) checkedThing {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	t := checkedThing{Kind: "cluster", Name: cluster.Name}
	w, err := s.worker(s.first, cluster)
	if err != nil {
		t.add("keys", "", err)
		return t
	}
	defer w.Close()
	t.add("endpoints", fmt.Sprintf("%d of %[1]d answer", len(cluster.Endpoints)), w.AskEndpoints(ctx))
	seen := w.Observe(ctx)
	t.members(seen)
	t.add("lock", "can be had, as "+s.jobs.Instance, s.tryLock(ctx, cluster))
	if cluster.Local != "" {
		local, err := w.Local(ctx)
		detail := ""
		if err == nil {
			detail = local.Name + " at " + cluster.Local
		}
		t.add("local", detail, err)
	}
	for _, cert := range slices.SortedFunc(slices.Values(seen.Certificates), func(a, b shown.Certificate) int { return cmp.Compare(a.Name, b.Name) }) {
		err := error(nil)
		if !cert.Expires.After(now()) {
			err = fmt.Errorf("expired at %s", cert.Expires.UTC().Format(time.RFC3339))
		}
		t.add("certificate", cert.Name+" until "+cert.Expires.UTC().Format(time.DateOnly), err)
	}
	return t
}

// tryLock takes part in the election of the cluster for a moment, without standing for it.
func (s *service) tryLock(ctx context.Context, cluster config.Cluster) error {
	r := jobs.NewRegistry(cluster, jobs.RegistryOptions{Instance: s.jobs.Instance + "-check", LeaseDuration: s.election.lease, RetryPeriod: s.election.retry, Now: now})
	defer r.Close()
	lock, err := r.Attend(ctx)
	if err != nil {
		return err
	}
	return lock.Release(ctx)
}

func (t *checkedThing) add(name, detail string, err error) {
	check := snapshot.Check{Name: name, Verdict: snapshot.Match, Detail: detail}
	if err != nil {
		check.Verdict, check.Detail = snapshot.Mismatch, strings.ReplaceAll(err.Error(), "\n", "; ")
		if hint := fail.Hint(err); hint != "" {
			check.Detail += " (" + hint + ")"
		}
	}
	t.Checks = append(t.Checks, check)
}

// members says who answers. A member that is down is no fault of the file, but nobody
// should find that out later.
func (t *checkedThing) members(seen shown.Cluster) {
	if seen.Err != "" {
		t.add("members", "", errors.New(seen.Err))
		return
	}
	var down []string
	for _, m := range seen.Members {
		if !m.Healthy {
			down = append(down, m.Name+": "+m.Err)
		}
	}
	if len(down) > 0 {
		t.add("members", "", errors.New(strings.Join(down, "; ")))
		return
	}
	t.add("members", fmt.Sprintf("%d of %[1]d healthy, quorum survives the loss of %d", len(seen.Members), max(seen.Margin, 0)), nil)
}

func (s *service) checkStore(ctx context.Context, c config.Store) checkedThing {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	t := checkedThing{Kind: "store", Name: c.Name}
	store, err := jobs.OpenStore(ctx, c, now, random)
	if err == nil {
		err = probe.Run(ctx, store, probe.Options{Now: now, Random: random, Found: func(f storage.Finding) {
			t.Checks = append(t.Checks, asCheck(f))
		}})
	}
	if err != nil {
		t.add("store", "", err)
	}
	return t
}

func printChecked(c *cli.Context, f *config.File, things []checkedThing) {
	w := c.App.Writer
	fmt.Fprintf(w, "%s: %s, %s\n", f.Path, english.Plural(len(f.Clusters), "cluster", ""), english.Plural(len(f.Stores), "store", ""))
	for _, t := range things {
		fmt.Fprintf(w, "\n%s %s\n", t.Kind, t.Name)
		printChecks(w, t.Checks)
		for _, next := range t.Next {
			fmt.Fprintf(w, "  %s  %-15s %s\n", paint(w, faint, "next"), next.Job, next.Time.UTC().Format("2006-01-02 15:04:05Z"))
		}
	}
}
