package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
)

// apiserverLockKey is the key of the lock under which apiservers restart, one at
// a time. Changes of the membership have another one: a removal waits, under it,
// until the apiservers have done their part.
const apiserverLockKey = apiserver.Prefix + "apiserver"

// etcdCluster is a real etcd as package apiserver sees it.
type etcdCluster struct {
	client    *membership.EtcdClient
	endpoints []string
	registry  *apiserver.EtcdRegistry
}

// openCluster makes the [apiserver.Cluster] of a connection, with its registry. prefix is
// the --etcd-prefix of the apiserver, "" for the default. The caller closes it.
func openCluster(config etcdclient.Config, prefix string) *etcdCluster {
	client := membership.Connect(config, now)
	return &etcdCluster{client, config.Endpoints, apiserver.NewRegistry(client.Conn, config.Endpoints, prefix)}
}

// Close ends all connections.
func (c *etcdCluster) Close() { c.client.Close() }

// Observe implements [apiserver.Cluster].
func (c *etcdCluster) Observe(ctx context.Context) (*apiserver.Membership, error) {
	o, err := membership.Observe(ctx, c.client, membership.ObserveOptions{Endpoints: c.endpoints, Now: now, Sleep: sleep, LookupHost: lookupHost})
	switch {
	case err != nil:
		return nil, err
	case o.Conflict != "":
		return nil, fail.Unsafef("%s", o.Conflict)
	case !o.HasQuorum:
		return nil, errNoQuorum
	}
	marks, revision, err := c.registry.Withdrawals(ctx)
	if err != nil {
		return nil, fmt.Errorf("read which members are withdrawn: %w", err)
	}
	return membersFor(o, marks, revision), nil
}

// errNoQuorum: the list of members that one of them gives may be old.
var errNoQuorum = errors.New("etcd has no quorum, so that nobody can tell who its members are")

// membersFor is an observation as package apiserver needs it.
func membersFor(o *membership.Observation, marks []apiserver.Withdrawal, revision int64) *apiserver.Membership {
	withdrawn := make(map[uint64]bool)
	for _, mark := range marks {
		withdrawn[mark.ID] = true
	}
	out := &apiserver.Membership{ClusterID: o.ClusterID, Revision: revision}
	for i := range o.Members {
		m := &o.Members[i]
		if m.Ghost {
			continue
		}
		member := apiserver.Member{
			ID: uint64(m.ID), Name: m.Name, ClientURLs: m.ClientURLs, Learner: m.Learner,
			Healthy: o.Health(m) == membership.Healthy, Withdrawn: withdrawn[uint64(m.ID)],
		}
		if !member.Healthy {
			member.Trouble = troubleOf(o, m)
		}
		out.Members = append(out.Members, member)
	}
	return out
}

// troubleOf is why a member is not healthy.
func troubleOf(o *membership.Observation, m *membership.Member) string {
	if m.Err != nil {
		return m.Err.Error()
	}
	return string(o.Health(m))
}

// Lock implements [apiserver.Cluster].
func (c *etcdCluster) Lock(ctx context.Context, h apiserver.Holder, wait func(holder string)) (apiserver.Lock, error) {
	o := membership.LockOptions{Key: apiserverLockKey, Endpoints: c.endpoints, Who: h.Who, Owner: h.Owner, TTL: apiserver.LockTTL}
	return c.client.WaitLock(ctx, o, func(locked *membership.LockedError) {
		wait(fmt.Sprintf("%s, since %s", locked.Who, locked.Since.UTC().Format(time.RFC3339)))
	})
}
