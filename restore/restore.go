// Package restore builds an etcd data directory from a snapshot: whole, or not
// at all.
//
// Everything is built in a directory of its own inside the data directory,
// checked, synced, and given its name by one rename at the end. The db is
// written once and verified before bbolt, which trusts what it reads, sees it.
// Membership, WAL and raft snapshot are written with etcd's own code, and are
// byte for byte what etcdutl writes. Nothing that exists is overwritten.
package restore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// KubernetesBump is the revision bump that etcd's documentation advises for
// Kubernetes: revisions must never go back, or informers miss what happened
// after the snapshot, and no cluster writes a billion revisions in between.
const KubernetesBump = 1_000_000_000

// Input is a snapshot as a member streamed it.
type Input struct {
	Size  int64                                        // bytes, digest trailer included
	Write func(ctx context.Context, w io.Writer) error // writes all of it, once
}

// Options are etcdutl's, and what makes a restore safe.
type Options struct {
	Name           string
	DataDir        string
	WALDir         string // "" is member/wal in DataDir
	InitialCluster string // "m1=https://10.0.0.1:2380,m2=..."
	Token          string // of the new cluster; must differ from the old one's
	PeerURLs       []string

	SkipHashCheck bool // accept a db without digest trailer, as copied from a data directory
	BumpRevision  uint64
	MarkCompacted bool
	Owner         *Owner // nil: the owner of the data directory
	NoSync        bool   // leave out every fsync: for what will not outlive this process
}

// Result is what a restore has built.
type Result struct {
	Report    *dbfile.Report // of the snapshot
	Revision  int64          // of the restored member, after a bump
	ClusterID uint64
	MemberID  uint64
}

// plan is a validated restore.
type plan struct {
	Options
	cluster *membership.RaftCluster
	member  *membership.Member
}

// Restore builds the data directory of one member from in.
func Restore(ctx context.Context, in Input, o Options) (*Result, error) {
	p, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	target, err := openTarget(p.Options, in.Size)
	if err != nil {
		return nil, err
	}
	defer target.abort()
	report, err := p.writeDB(ctx, in, target.dbPath())
	if err != nil {
		return nil, err
	}
	if p.BumpRevision > math.MaxInt64-uint64(report.Revision) {
		return nil, fail.WithHint(fail.Usagef("--bump-revision %d: there is no such revision", p.BumpRevision), "%d is what Kubernetes needs", int64(KubernetesBump))
	}
	revision := report.Revision + int64(p.BumpRevision)
	if err := p.writeMember(target, revision); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := target.commit(); err != nil {
		return nil, err
	}
	return &Result{Report: report, Revision: revision, ClusterID: uint64(p.cluster.ID()), MemberID: uint64(p.member.ID)}, nil
}

func newPlan(o Options) (*plan, error) {
	if (o.BumpRevision > 0) != o.MarkCompacted {
		return nil, fail.WithHint(fail.Usagef("--bump-revision and --mark-compacted go together"),
			"a bump alone leaves revisions that never were; --kubernetes sets both")
	}
	if o.Name == "" {
		return nil, fail.Usagef("a member needs a --name")
	}
	urls, err := types.NewURLs(o.PeerURLs)
	if err != nil {
		return nil, fail.Usagef("--initial-advertise-peer-urls: %v", err)
	}
	members, err := types.NewURLsMap(o.InitialCluster)
	if err != nil {
		return nil, fail.Usagef("--initial-cluster: %v", err)
	}
	// What etcd itself checks when it bootstraps.
	bootstrap := config.ServerConfig{Logger: zap.NewNop(), Name: o.Name, PeerURLs: urls, InitialPeerURLsMap: members, InitialClusterToken: o.Token}
	if err := bootstrap.VerifyBootstrap(); err != nil {
		return nil, fail.WithHint(fail.As(fail.ErrUsage, err), "--name and --initial-advertise-peer-urls must be an entry of --initial-cluster")
	}
	cluster, err := membership.NewClusterFromURLsMap(zap.NewNop(), o.Token, members)
	if err != nil {
		return nil, fail.As(fail.ErrUsage, err)
	}
	if o.DataDir == "" {
		o.DataDir = o.Name + ".etcd"
	}
	if o.WALDir != "" {
		o.WALDir = filepath.Clean(o.WALDir)
	}
	if o.WALDir == filepath.Join(o.DataDir, "member", "wal") {
		o.WALDir = ""
	}
	return &plan{Options: o, cluster: cluster, member: cluster.MemberByName(o.Name)}, nil
}

// writeDB writes the db without its trailer, and verifies what it wrote.
func (p *plan) writeDB(ctx context.Context, in Input, path string) (report *dbfile.Report, err error) {
	hasDigest := in.Size%512 == sha256.Size
	if !hasDigest && !p.SkipHashCheck {
		return nil, fail.WithHint(fail.Verificationf("the snapshot has no digest trailer, so its bytes cannot be proven"),
			"if it is a copy of a data directory's db, --skip-hash-check restores it after checking pages and records")
	}
	db, err := createDB(path, in.Size, hasDigest)
	if err != nil {
		return nil, err
	}
	defer db.f.Close()
	buffered := bufio.NewWriterSize(db, writeSize)
	err = in.Write(ctx, buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("write db: %w", err)
	}
	if err := db.finish(!p.SkipHashCheck); err != nil {
		return nil, err
	}
	// The disk works while the pages are checked. Its error must be heard: the
	// system tells a failed write to one sync only.
	synced := make(chan error, 1)
	go func() { synced <- p.sync(db.f) }()
	report, inspectErr := inspect(ctx, db, hasDigest)
	return report, errors.Join(inspectErr, <-synced)
}

func (o Options) sync(f *os.File) error {
	if o.NoSync {
		return nil
	}
	return f.Sync()
}

// inspect verifies a written db before bbolt, which trusts its pages, opens it.
func inspect(ctx context.Context, db *dbWriter, hasDigest bool) (*dbfile.Report, error) {
	file, err := dbfile.Open(db.f, db.dbSize)
	if err == nil && hasDigest {
		err = file.CheckSnapshotForm()
	}
	var report *dbfile.Report
	if err == nil {
		report, err = file.Inspect(ctx)
	}
	if errors.Is(err, dbfile.ErrCorrupt) {
		err = fail.As(fail.ErrVerification, fmt.Errorf("verify snapshot: %w", err))
	}
	return report, err
}

// NewToken returns a cluster token that no other cluster has. Members that are
// restored with the same backup digest and restore id get the same one.
func NewToken(digest, restoreID string, random io.Reader) (string, error) {
	if restoreID != "" {
		sum := sha256.Sum256([]byte("etcdha restore\x00" + digest + "\x00" + restoreID))
		return "etcdha-" + hex.EncodeToString(sum[:8]), nil
	}
	b := make([]byte, 8)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return "etcdha-" + hex.EncodeToString(b), nil
}

// Digest returns what identifies the content of a snapshot file for
// [NewToken], as manifests have it: its trailer, which the restore holds
// against the db, or, where there is none, the SHA-256 of the db.
func Digest(f io.ReaderAt, size int64) (string, error) {
	if size%512 == sha256.Size {
		trailer := make([]byte, sha256.Size)
		if _, err := f.ReadAt(trailer, size-sha256.Size); err != nil {
			return "", fmt.Errorf("read snapshot: %w", err)
		}
		return hex.EncodeToString(trailer), nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// StartFlags returns, by member name and in that order, the flags with which
// etcd has to be started on the restored data, with directories as on this
// host. Flags that the restore does not decide, such as certificates, stay as
// they were.
func StartFlags(o Options) ([][]string, error) {
	members, err := types.NewURLsMap(o.InitialCluster)
	if err != nil {
		return nil, err
	}
	var all [][]string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		urls := members[name].StringSlice()
		dataDir := o.DataDir
		if dataDir == "" || dataDir == o.Name+".etcd" {
			dataDir = name + ".etcd"
		}
		if dataDir, err = filepath.Abs(dataDir); err != nil {
			return nil, err
		}
		flags := []string{
			"--name=" + name,
			"--data-dir=" + dataDir,
			"--initial-cluster=" + o.InitialCluster,
			"--initial-cluster-token=" + o.Token,
			"--initial-cluster-state=new",
			"--initial-advertise-peer-urls=" + strings.Join(urls, ","),
			"--listen-peer-urls=" + listenURLs(members[name]),
		}
		if o.WALDir != "" {
			flags = append(flags, "--wal-dir="+o.WALDir)
		}
		all = append(all, flags)
	}
	return all, nil
}

// listenURLs are where a member with these peer URLs listens: etcd binds to
// addresses only, so a name means every address of its host.
func listenURLs(peer types.URLs) string {
	var all []string
	for _, u := range peer {
		if net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" {
			u.Host = net.JoinHostPort("0.0.0.0", u.Port())
		}
		all = append(all, u.String())
	}
	return strings.Join(all, ",")
}
