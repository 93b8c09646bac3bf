package jobs

import (
	"context"
	"fmt"
	"sync"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

// Observe implements [cronjobs.Worker]. Members and stores are looked at at the same
// time, so that one that hangs keeps nobody from seeing the others.
func (w *Worker) Observe(ctx context.Context) status.Cluster {
	c := status.Cluster{Name: w.cluster.Name, Stores: make([]status.Store, len(w.shelves))}
	var wg sync.WaitGroup
	for i, s := range w.shelves {
		wg.Go(func() { c.Stores[i] = w.seeStore(ctx, s) })
	}
	wg.Go(func() { w.seeMembers(ctx, &c) })
	wg.Wait()
	return c
}

func (w *Worker) seeStore(ctx context.Context, s *shelf) status.Store {
	seen, all, _ := w.look(ctx, s) // the error is told in what was seen
	for _, k := range all {
		seen.Backups = append(seen.Backups, k.Backup)
	}
	return seen
}

func (w *Worker) seeMembers(ctx context.Context, c *status.Cluster) {
	o, err := w.observe(ctx)
	if err != nil {
		c.Err, c.Hint = err.Error(), fail.Hint(err)
		c.Certificates = w.certs.all(ctx, w, nil)
		return
	}
	count := o.State().Count()
	c.Observed, c.ID, c.Quorum, c.Margin = w.Now(), fmt.Sprintf("%x", o.ClusterID), o.HasQuorum, count.Tolerates()
	if !o.HasQuorum {
		c.Margin = min(c.Margin, -1)
	}
	local := w.localID(ctx)
	for i := range o.Members {
		m := seeMember(o, &o.Members[i])
		m.Local = local != 0 && uint64(o.Members[i].ID) == local
		c.Members = append(c.Members, m)
	}
	for _, a := range o.Alarms {
		c.Alarms = append(c.Alarms, fmt.Sprintf("%s on %s", a.Type, o.Label(a.MemberID)))
	}
	for _, f := range membership.Findings(o) {
		c.Findings = append(c.Findings, status.Finding{Severity: string(f.Severity), Code: f.Code, Member: f.Member, Text: f.Text, Remedy: f.Remedy})
	}
	c.Certificates = w.certs.all(ctx, w, o)
}

func seeMember(o *membership.Observation, m *membership.Member) status.Member {
	health := o.Health(m)
	out := status.Member{
		ID: m.ID.String(), Name: m.Name, Zone: m.Zone, Learner: m.Learner,
		Leader: m.ID == o.Leader, Healthy: health == membership.Healthy, Lag: o.Lag(m),
	}
	if !out.Healthy {
		out.Err = string(health)
		if m.Err != nil {
			out.Err = m.Err.Error()
		}
	}
	if s := m.Status; s != nil {
		out.Version, out.DBSize, out.DBInUse, out.Quota = s.Version, s.DBSize, s.DBSizeInUse, s.DBSizeQuota
	}
	return out
}
