package jobs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/dustin/go-humanize"

	"github.com/etcdha/etcdha/cronjobs"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

func (w *Worker) observeOptions() membership.ObserveOptions {
	return membership.ObserveOptions{
		Endpoints: w.cluster.Endpoints, Zones: w.cluster.Zones, Now: w.Now,
		LookupHost: net.DefaultResolver.LookupHost,
	}
}

// observe looks at the members once.
func (w *Worker) observe(ctx context.Context) (*membership.Observation, error) {
	client := membership.Connect(w.etcd, w.Now)
	defer client.Close()
	return membership.Observe(ctx, client, w.observeOptions())
}

// AskEndpoints is an error if nobody answers at one of the endpoints, which as long as
// others do nothing else would tell.
func (w *Worker) AskEndpoints(ctx context.Context) error {
	client := membership.Connect(w.etcd, w.Now)
	defer client.Close()
	errs := make([]error, len(w.cluster.Endpoints))
	var asking sync.WaitGroup
	for i, endpoint := range w.cluster.Endpoints {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, commandTimeout)
			defer cancel()
			_, errs[i] = client.Status(ctx, endpoint)
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

// health fails if somebody has to do something about the members.
func (w *Worker) health(ctx context.Context, _ cronjobs.Run) (string, error) {
	o, err := w.observe(ctx)
	if err != nil {
		return "", err
	}
	var bad []membership.Finding
	for _, f := range membership.Findings(o) {
		if f.Severity != membership.Notice {
			bad = append(bad, f)
		}
	}
	if len(bad) == 0 {
		return o.Summary(), nil
	}
	text := bad[0].Text
	if n := len(bad) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	err = errors.New(text)
	if bad[0].Remedy != "" {
		err = fail.WithHint(err, "%s", bad[0].Remedy)
	}
	return "", err
}

// defrag defragments one member after the other.
func (w *Worker) defrag(ctx context.Context, run cronjobs.Run) (string, error) {
	client := membership.Connect(w.etcd, w.Now)
	defer client.Close()
	var done []string
	err := membership.Defrag(ctx, membership.DefragOptions{
		Client: client, Observe: w.observeOptions(), Who: w.who(), MayAct: run.MayAct,
		Progress: func(p membership.DefragProgress) {
			switch {
			case p.Warning != "":
				w.Log.Warn("defragment", "warning", p.Warning)
			case p.Done:
				done = append(done, fmt.Sprintf("%s from %s to %s", p.Member, humanize.IBytes(uint64(p.Before)), humanize.IBytes(uint64(p.After))))
			}
		},
	})
	return strings.Join(done, ", "), err
}

// who is whom an operator is told about who finds the membership locked.
func (w *Worker) who() string { return strings.TrimSpace("etcdha daemon " + w.Instance) }
