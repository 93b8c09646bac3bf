package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/etcdserver/cindex"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
)

// firstTerm is the raft term of the entries that bootstrap a cluster.
const firstTerm = 1

// writeMember turns the db into that of a member of the new cluster, whose
// log begins with one entry for each member. The db is opened once.
func (p *plan) writeMember(t *target, revision int64) (err error) {
	// etcd panics, or calls what would be os.Exit, where it cannot go on. The
	// db has been verified and the room checked, so what is left is the disk.
	log := zap.NewNop().WithOptions(zap.WithFatalHook(zapcore.WriteThenPanic))
	defer func() {
		if r := recover(); r != nil { // with the backend's locks held: it cannot be closed
			err = fmt.Errorf("write member: %v", r)
		}
	}()
	be := backend.New(p.backendConfig(log, t.dbPath()))
	if err := p.write(log, be, t, revision); err != nil {
		return errors.Join(err, be.Close())
	}
	return be.Close() // commits and syncs
}

func (p *plan) write(log *zap.Logger, be backend.Backend, t *target, revision int64) error {
	if err := p.replaceMembers(log, be); err != nil {
		return err
	}
	if p.BumpRevision > 0 {
		bump(be, revision)
	}
	if err := p.writeLog(log, t); err != nil {
		return err
	}
	cindex.UpdateConsistentIndexForce(be.BatchTx(), uint64(len(p.cluster.MemberIDs())), firstTerm)
	return nil
}

// backendConfig gives up on a lock instead of waiting for ever.
func (p *plan) backendConfig(log *zap.Logger, path string) backend.BackendConfig {
	cfg := backend.DefaultBackendConfig(log)
	cfg.Path = path
	cfg.Timeout = 10 * time.Second
	cfg.UnsafeNoFsync = p.NoSync
	return cfg
}

// replaceMembers forgets the members of the old cluster and writes the new.
func (p *plan) replaceMembers(log *zap.Logger, be backend.Backend) error {
	members := schema.NewMembershipBackend(log, be)
	if err := members.TrimMembershipFromBackend(); err != nil {
		return fmt.Errorf("forget old members: %w", err)
	}
	p.cluster.SetBackend(members)
	for _, m := range p.cluster.Members() {
		p.cluster.AddMember(m, membership.ApplyBoth)
	}
	return nil
}

// bump adds an empty record at revision, so that the next write gets a later
// one, and marks all before it as compacted, so that watchers start anew.
func bump(be backend.Backend, revision int64) {
	tx := be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	tx.UnsafePut(schema.Key, mvcc.RevToBytes(mvcc.Revision{Main: revision}, mvcc.NewRevBytes()), []byte{})
	mvcc.UnsafeSetScheduledCompact(tx, revision)
}

// writeLog writes the WAL and the raft snapshot with which the member starts.
func (p *plan) writeLog(log *zap.Logger, t *target) error {
	ids := p.cluster.MemberIDs()
	entries, voters, err := p.entries()
	if err != nil {
		return err
	}
	metadata, err := proto.Marshal(&etcdserverpb.Metadata{NodeID: new(uint64(p.member.ID)), ClusterID: new(uint64(p.cluster.ID()))})
	if err != nil {
		return err
	}
	w, err := wal.Create(log, t.walPath(), metadata)
	if err != nil {
		return fmt.Errorf("create WAL: %w", err)
	}
	defer w.Close()
	if p.NoSync {
		w.SetUnsafeNoFsync()
	}
	commit := uint64(len(ids))
	state := &raftpb.HardState{Term: new(uint64(firstTerm)), Vote: new(uint64(ids[0])), Commit: new(commit)}
	if err := w.Save(state, entries); err != nil {
		return fmt.Errorf("write WAL: %w", err)
	}
	conf := &raftpb.ConfState{Voters: voters}
	err = snap.New(log, t.snapPath()).SaveSnap(&raftpb.Snapshot{
		Data:     etcdserver.GetMembershipInfoInV2Format(log, p.cluster),
		Metadata: &raftpb.SnapshotMetadata{Index: new(commit), Term: new(uint64(firstTerm)), ConfState: conf},
	})
	if err != nil {
		return fmt.Errorf("write raft snapshot: %w", err)
	}
	return w.SaveSnapshot(&walpb.Snapshot{Index: new(commit), Term: new(uint64(firstTerm)), ConfState: conf})
}

// entries are the configuration changes that add each member.
func (p *plan) entries() (entries []*raftpb.Entry, voters []uint64, err error) {
	for i, id := range p.cluster.MemberIDs() {
		context, err := json.Marshal(p.cluster.Member(id))
		if err != nil {
			return nil, nil, err
		}
		change, err := proto.Marshal(&raftpb.ConfChange{
			Type:    raftpb.ConfChangeAddNode.Enum(),
			NodeId:  new(uint64(id)),
			Context: context,
		})
		if err != nil {
			return nil, nil, err
		}
		entries = append(entries, &raftpb.Entry{
			Type:  raftpb.EntryConfChange.Enum(),
			Term:  new(uint64(firstTerm)),
			Index: new(uint64(i + 1)),
			Data:  change,
		})
		voters = append(voters, uint64(id))
	}
	return entries, voters, nil
}
