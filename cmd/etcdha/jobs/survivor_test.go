package jobs

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// Two of three members are gone. What the third has is saved by its instance alone, in
// each store that is there, and a new cluster can be made of it.
func TestAnEmergencyBackupOfTheSurvivor(t *testing.T) {
	w := newWorld(t, 3, "s3", "local")
	survivor := w.cluster.Members[0]
	w.config.Local = survivor.ClientURL
	ordinary := w.save(1)[0]
	worker := w.worker()
	m, err := worker.Local(t.Context())
	if err != nil || m.Name != "m1" || m.ID == 0 || m.Leader == 0 {
		t.Fatalf("the local member: %+v, %v", m, err)
	}
	if b, err := worker.LastEmergency(t.Context(), m.ID); b != nil || err != nil {
		t.Errorf("before: %+v, %v", b, err)
	}
	w.put("/registry/last", "before the end")
	w.cluster.KillMember(w.cluster.Members[1])
	w.cluster.KillMember(w.cluster.Members[2])
	w.until("it has no leader", func() bool { m, err = worker.Local(t.Context()); return err == nil && m.Leader == 0 })

	if _, err := w.do(config.Snapshot, w.slot()); err == nil {
		t.Error("an ordinary backup was taken of it")
	}
	back := w.away("s3")
	id, err := worker.SaveEmergency(t.Context())
	w.must(err)
	back()
	if !strings.Contains(w.log.String(), "a store has not got the emergency backup") {
		t.Errorf("log:\n%s", &w.log)
	}
	last, err := worker.LastEmergency(t.Context(), m.ID)
	if err != nil || last.ID != id || !last.Emergency || last.Member != "m1" {
		t.Errorf("after: %+v, %v", last, err)
	}
	if b, err := worker.LastEmergency(t.Context(), m.ID+1); b != nil || err != nil {
		t.Errorf("of another member: %+v, %v", b, err)
	}
	v := w.vault("local")
	if b, err := v.Resolve(t.Context(), snapshot.Latest, nil); err != nil || b.ID != ordinary {
		t.Errorf("latest is %+v, %v", b, err)
	}
	b, err := v.Resolve(t.Context(), id, nil)
	w.must(err)
	if got := w.restored(v, b, "/registry/last"); got != "before the end" {
		t.Errorf("the restored cluster says %q", got)
	}
}

// restored makes a cluster of a backup, and returns the value of a key in it.
func (w *world) restored(v *vault, b *snapshot.Backup, key string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	c, err := throwaway.New(throwaway.Options{Parent: w.TempDir(), Members: 1, Command: ownEtcd(w), Token: "restored", Quota: 64 << 20, Now: time.Now})
	w.must(err)
	defer func() { w.must(c.Close()) }()
	m := c.Members[0]
	_, err = restore.Restore(ctx, restore.Input{
		Size:  b.DB.Size + dbfile.DigestSize,
		Write: func(ctx context.Context, out io.Writer) error { return v.Fetch(ctx, b, out) },
	}, restore.Options{
		Name: m.Name, DataDir: m.DataDir, InitialCluster: c.InitialCluster(), Token: "restored", PeerURLs: []string{m.PeerURL},
	})
	w.must(err)
	w.must(c.Start(ctx))
	client, err := c.Config().Dial(m.ClientURL)
	w.must(err)
	defer client.Close()
	r, err := client.Get(ctx, key)
	w.must(err)
	if len(r.Kvs) != 1 {
		return ""
	}
	return string(r.Kvs[0].Value)
}

// Where no member is, none is asked.
func TestNoMemberOnThisHost(t *testing.T) {
	w := &world{TB: t, spool: filepath.Join(t.TempDir())}
	if m, err := w.worker().Local(t.Context()); m != nil || err != nil {
		t.Errorf("%+v, %v", m, err)
	}
}
