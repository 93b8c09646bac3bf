package apiserver

import (
	"context"
	"errors"
	"slices"
	"time"
)

// rewire gives the apiserver the list. The file and the members are looked at
// again under the lock: others may have restarted for minutes meanwhile.
func (v *visit) rewire(ctx context.Context, choice Choice) error {
	v.Log.Info("rewiring", "file", v.file.Path, "from", v.file.Servers, "to", choice.Servers)
	s, err := v.site(ctx)
	if err == nil {
		s.Recheck = func(m *Membership) error { return v.recheck(m, choice.Servers) }
		err = v.enter(s).Rewire(ctx, v.file, choice.Servers)
	}
	switch {
	case errors.Is(err, errMoved), errors.Is(err, ErrChanged):
		v.Log.Info("something has changed meanwhile; looking again", "file", v.file.Path, "what", err)
		v.pending = pending{}
		return nil
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		v.pauses = v.pauses.failure(v.Now(), choice.Servers, err)
		v.metrics.rewires.WithLabelValues(resultFailed).Inc()
		return v.pauses.err
	}
	v.pauses, v.pending, v.list.servers = pauses{}, pending{}, choice.Servers
	v.metrics.rewires.WithLabelValues(resultDone).Inc()
	v.metrics.rewired.Set(seconds(v.Now()))
	v.metrics.servers.Set(float64(len(choice.Servers)))
	v.metrics.inStep.Set(1)
	v.metrics.pending.Set(0)
	v.Log.Info("rewired", "file", v.file.Path, "servers", choice.Servers)
	return nil
}

// errMoved says that the members, seen under the lock, ask for another list.
var errMoved = errors.New("the members have changed while the lock was waited for")

// recheck is nil while these members ask for the list.
func (v *visit) recheck(m *Membership, servers []string) error {
	choice, err := v.choose(m)
	if err != nil || !SameServers(choice.Servers, servers) {
		return errMoved
	}
	return nil
}

// progress shows that a long rewiring is alive, and logs its stages.
type progress struct{ *Follower }

func (p progress) Doing(stage string) {
	p.health.beat(p.Now())
	p.Log.Info(stage, "file", p.File)
}

func (p progress) Waiting(string) { p.health.beat(p.Now()) }

func (p progress) Done(result string) {
	p.health.beat(p.Now())
	p.Log.Info(result, "file", p.File)
}

// configured is what is known of the place that upgrades take the list from.
type configured struct {
	servers []string // that it was seen to have
	failed  int
	until   time.Time
	err     error // of the last attempt
}

// updateConfig writes the list that the apiserver has to where upgrades take it
// from. A stacked one stands in no list there.
func (v *visit) updateConfig(ctx context.Context, choice Choice) error {
	switch {
	case v.UpdateConfig == nil, choice.Topology != External, v.pending.waits(),
		slices.Equal(v.config.servers, v.file.Servers):
		return nil
	case v.Now().Before(v.config.until):
		return v.config.err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := v.UpdateConfig(ctx, v.file.Servers); err != nil {
		v.metrics.configFailures.Inc()
		v.config.until = v.Now().Add(pauseAfter(v.config.failed, configPause))
		v.config.failed++
		v.config.err = during("update kubeadm's configuration", err)
		return v.config.err
	}
	v.config = configured{servers: v.file.Servers}
	return nil
}
