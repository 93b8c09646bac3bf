package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// probeKey is written to the throwaway cluster only. It sorts before all that
// Kubernetes writes.
const probeKey = "\x00etcdha-rehearsal"

// requestTimeout bounds one short request to a member on this machine.
const requestTimeout = 30 * time.Second

// stages is the course of one cluster of a rehearsal.
type stages struct {
	*rehearsal
	cluster *throwaway.Cluster
	token   string
	bumped  bool

	clients  []*clientv3.Client // one a member
	revision int64              // that the members are restored to
	led      time.Time          // when a leader was seen
}

func (s *stages) run(ctx context.Context) error {
	name := func(stage string) string {
		if s.bumped {
			return "bumped " + stage
		}
		return stage
	}
	if err := s.stage(ctx, name("restore"), func() (string, error) { return s.restore(ctx) }); err != nil {
		return err
	}
	if err := s.stage(ctx, name("boot"), func() (string, error) { return s.boot(ctx) }); err != nil {
		return err
	}
	rest := []struct {
		name string
		fn   func(context.Context) (string, error)
	}{
		{"leases", s.leases}, // first: they run out
		{"alarms", s.alarms},
		{"hash", s.hash},
		{"read", s.read},
		{"keys", s.keys},
		{"write", s.write},
	}
	if s.bumped {
		rest[2].name, rest[2].fn = "content", s.content
		rest[4].name, rest[4].fn = "history", s.history
	}
	for _, stage := range rest {
		if err := s.stage(ctx, name(stage.name), func() (string, error) { return stage.fn(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *stages) close() {
	for _, c := range s.clients {
		_ = c.Close()
	}
}

// restore builds a data directory for each member, as on as many hosts.
func (s *stages) restore(ctx context.Context) (string, error) {
	for _, m := range s.cluster.Members {
		o := restore.Options{
			Name: m.Name, DataDir: m.DataDir, InitialCluster: s.cluster.InitialCluster(),
			Token: s.token, PeerURLs: []string{m.PeerURL}, NoSync: true,
		}
		if s.bumped {
			o.BumpRevision, o.MarkCompacted = restore.KubernetesBump, true
		}
		result, err := restore.Restore(ctx, s.input(), o)
		if err != nil && !errors.Is(err, fail.ErrVerification) {
			err = fmt.Errorf("%w: %w", throwaway.ErrHost, err)
		}
		if err != nil {
			return "", err
		}
		s.revision = result.Revision
	}
	return fmt.Sprintf("data directories for %d, written once and verified", len(s.cluster.Members)), nil
}

func (s *stages) input() restore.Input {
	return restore.Input{Size: s.snap.Size, Write: func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, io.NewSectionReader(s.snap, 0, s.snap.Size))
		return err
	}}
}

func (s *stages) boot(ctx context.Context) (string, error) {
	bootCtx, cancel := context.WithTimeout(ctx, s.BootTimeout)
	defer cancel()
	if err := s.cluster.Start(bootCtx); err != nil {
		return "", err
	}
	s.led = s.Now()
	config := s.cluster.Config()
	for _, m := range s.cluster.Members {
		client, err := config.Dial(m.ClientURL)
		if err != nil {
			return "", err
		}
		s.clients = append(s.clients, client)
	}
	return fmt.Sprintf("all %d follow one leader", len(s.clients)), nil
}

// leases compares the granted leases with those of the snapshot. A lease may
// have run out since there is a leader, if its time to live allows it.
func (s *stages) leases(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.clients[0].Leases(ctx)
	if err != nil {
		return "", s.explain(0, err)
	}
	have := make(map[int64]bool, len(resp.Leases))
	for _, l := range resp.Leases {
		have[int64(l.ID)] = true
	}
	// The leader promised every lease its whole time from its election on,
	// which was at most the election's own second before it was seen.
	age := s.Now().Sub(s.led) + time.Second
	present, expired := 0, 0
	err = s.snap.DB.ForEachLease(ctx, func(l dbfile.Lease) error {
		switch {
		case have[l.ID]:
			present++
		case time.Duration(cmp.Or(l.RemainingTTL, l.TTL))*time.Second <= age:
			expired++
		default:
			return fmt.Errorf("lease %x of %d s is missing", l.ID, l.TTL)
		}
		return nil
	})
	if expired > 0 {
		return fmt.Sprintf("%d present, %d ran out meanwhile as they should", present, expired), err
	}
	return fmt.Sprintf("all %d present", present), err
}

// alarms reports what the snapshot brought along, and clears it here.
func (s *stages) alarms(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.clients[0].AlarmList(ctx)
	if err != nil {
		return "", s.explain(0, err)
	}
	if len(resp.Alarms) == 0 {
		return "none", nil
	}
	if _, err := s.clients[0].AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return "", s.explain(0, err)
	}
	return fmt.Sprintf("%d inherited (%s), cleared in the throwaway; a real restore needs: etcdctl alarm disarm", len(resp.Alarms), resp.Alarms[0].Alarm), nil
}

// hash compares the HashKV of every member, one after the other.
func (s *stages) hash(ctx context.Context) (string, error) {
	report := s.snap.Report
	revision := report.CurrentRevision()
	for i, client := range s.clients {
		m := s.cluster.Members[i]
		maintenance := pb.NewMaintenanceClient(client.ActiveConnection())
		resp, err := maintenance.HashKV(ctx, &pb.HashKVRequest{Revision: revision})
		if err != nil {
			return "", s.explain(i, err)
		}
		if resp.Header.Revision < revision {
			return "", fmt.Errorf("%s is at revision %d, the snapshot at %d", m.Name, resp.Header.Revision, revision)
		}
		want := report.HashKV
		// A member says -1 before its first compaction.
		if max(resp.CompactRevision, 0) != report.CompactRevision || revision != report.Revision {
			if want, err = s.snap.DB.HashKV(ctx, revision, resp.CompactRevision); err != nil {
				return "", err
			}
		}
		if resp.Hash != want {
			return "", fmt.Errorf("HashKV of %s at revision %d is %08x, of the snapshot %08x", m.Name, revision, resp.Hash, want)
		}
	}
	return fmt.Sprintf("HashKV %08x at revision %d on all %d", report.HashKV, revision, len(s.clients)), nil
}

// read does a linearizable read through every member.
func (s *stages) read(ctx context.Context) (string, error) {
	for i, client := range s.clients {
		readCtx, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := client.Get(readCtx, "\x00", clientv3.WithFromKey(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
		cancel()
		if err != nil {
			return "", s.explain(i, err)
		}
		if resp.Header.Revision < s.revision {
			return "", fmt.Errorf("%s reads at revision %d, the restore is at %d", s.cluster.Members[i].Name, resp.Header.Revision, s.revision)
		}
	}
	return "linearizable through every member", nil
}

// write puts a key through one member and reads it through the last.
func (s *stages) write(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	put, err := s.clients[0].Put(ctx, probeKey, s.token)
	if err != nil {
		return "", s.explain(0, err)
	}
	last := len(s.clients) - 1
	get, err := s.clients[last].Get(ctx, probeKey)
	if err != nil {
		return "", s.explain(last, err)
	}
	if len(get.Kvs) != 1 || string(get.Kvs[0].Value) != s.token {
		return "", errors.New("what was written does not read back")
	}
	return fmt.Sprintf("committed at revision %d", put.Header.Revision), nil
}

func (s *stages) explain(i int, err error) error {
	return etcdclient.Explain(s.cluster.Members[i].Name, err)
}
