package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// member is the cluster of one that the snapshots come from.
type member struct {
	cluster *throwaway.Cluster
	client  *clientv3.Client
}

// startMember starts an empty member with a quota in bytes.
func startMember(ctx context.Context, o *options, dir string, quota int64) (*member, error) {
	o.progress("starting etcd")
	cluster, err := throwaway.New(throwaway.Options{
		Parent:  dir,
		Members: 1,
		Command: []string{filepath.Join(o.bin, "etcd37", "etcd")},
		Token:   "bench",
		Quota:   max(quota, 2<<30), // etcd's own default is enough for little
		Now:     time.Now,
	})
	if err != nil {
		return nil, err
	}
	m := &member{cluster: cluster}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := cluster.Start(ctx); err != nil {
		return nil, errors.Join(err, m.close())
	}
	if m.client, err = cluster.Config().Dial(m.endpoint()); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

func (m *member) endpoint() string { return m.cluster.Members[0].ClientURL }

// connectionFlags are the same for etcdctl and etcdha.
func (m *member) connectionFlags() []string {
	c := m.cluster.Config()
	return []string{"--endpoints=" + m.endpoint(), "--cacert=" + c.CACert, "--cert=" + c.Cert, "--key=" + c.Key}
}

// close ends the member and removes its data. Closing twice does nothing.
func (m *member) close() error {
	if m.client != nil {
		_ = m.client.Close() // nothing waits on it
	}
	cluster := m.cluster
	m.client, m.cluster = nil, nil
	if cluster == nil {
		return nil
	}
	return cluster.Close()
}
