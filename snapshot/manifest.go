package snapshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot/dbfile"
	"github.com/etcdha/etcdha/storage/seal"
)

// Format is the major format of manifests and reports that this version
// writes, and the only one that it reads.
const Format = 1

// Kinds of backup.
const (
	KindOrdinary  = "ordinary"
	KindEmergency = "emergency" // of one survivor, possibly stale; never "latest"
)

// Manifest describes a backup. It is written last, so that a backup is there
// exactly when its manifest is. docs/store-format.md explains each field.
type Manifest struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Kind   string `json:"kind"`

	Cluster ClusterRef `json:"cluster"`
	Member  MemberRef  `json:"member"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`

	Revision        int64  `json:"revision"`
	CompactRevision int64  `json:"compactRevision"`
	RaftTerm        uint64 `json:"raftTerm"`
	RaftIndex       uint64 `json:"raftIndex"`
	TotalKeys       int64  `json:"totalKeys"`
	SizeInUse       int64  `json:"sizeInUse"` // bytes of the db in pages that are not free
	StorageVersion  string `json:"storageVersion,omitempty"`

	StatusHash uint32       `json:"statusHash"` // etcdutl's
	HashKV     ManifestHash `json:"hashKV"`

	DB          seal.Sum         `json:"db"`     // plain, without the digest trailer: its SHA-256 is the trailer
	Stored      StoredObject     `json:"stored"` // as it lies in the store
	Compression seal.Compression `json:"compression"`
	Encryption  *Encryption      `json:"encryption,omitempty"`
	Values      dbfile.Values    `json:"values"`

	Etcdha string `json:"etcdha"` // version that wrote this
}

// ClusterRef says which life of which cluster a backup is of.
type ClusterRef struct {
	Name    string `json:"name"`    // the user's
	ID      string `json:"id"`      // etcd's, in hex
	Lineage string `json:"lineage"` // one life of the cluster; see docs/store-format.md
}

// MemberRef is the member that was streamed from.
type MemberRef struct {
	ID      string `json:"id"` // in hex
	Name    string `json:"name"`
	Version string `json:"version"` // of etcd
}

// ManifestHash is the HashKV of the snapshot, and what the live member said.
type ManifestHash struct {
	Hash            uint32  `json:"hash"`
	Revision        int64   `json:"revision"`
	CompactRevision int64   `json:"compactRevision"`
	Live            Verdict `json:"live"` // comparison with the member it came from
	Reason          string  `json:"reason,omitempty"`
}

// StoredObject is an object beside the manifest.
type StoredObject struct {
	Name string `json:"name"`
	seal.Sum
}

// encryptionFormat is the only one: https://age-encryption.org/v1.
const encryptionFormat = "age"

// Encryption says how a stored object is encrypted.
type Encryption struct {
	Format     string   `json:"format"`
	Recipients []string `json:"recipients"` // fingerprints of the keys that it is encrypted to
}

// ErrNewerFormat says that a record was written by a newer etcdha.
var ErrNewerFormat = errors.New("unknown format")

// parseManifest reads a manifest and checks that it is the one of id.
func parseManifest(data []byte, id string) (*Manifest, error) {
	m := new(Manifest)
	if err := decodeRecord(data, m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, m.check(id)
}

func (m *Manifest) check(id string) error {
	switch {
	case m.ID != id:
		return fail.Verificationf("manifest of %q lies under id %q", m.ID, id)
	case m.Kind != KindOrdinary && m.Kind != KindEmergency:
		return fail.Verificationf("manifest has unknown kind %q", m.Kind)
	case m.Compression != seal.Zstd && m.Compression != seal.None, m.Encryption != nil && m.Encryption.Format != encryptionFormat,
		m.Stored.Name != dataName(m.format()):
		return fail.Verificationf("manifest names object %q, compression %q, and an encryption that does not fit", m.Stored.Name, m.Compression)
	case len(m.DB.SHA256) != 2*dbfile.DigestSize || len(m.Stored.SHA256) != 2*dbfile.DigestSize || m.DB.Size <= 0 || m.Stored.Size <= 0:
		return fail.Verificationf("manifest has no complete sums")
	}
	return nil
}

// format is how the stored object is opened.
func (m *Manifest) format() seal.Format {
	return seal.Format{Compression: m.Compression, Encrypted: m.Encryption != nil}
}

// newManifest fills in what the file itself tells.
func newManifest(r *dbfile.Report) *Manifest {
	return &Manifest{
		Format:          Format,
		Kind:            KindOrdinary,
		Revision:        r.Revision,
		CompactRevision: r.CompactRevision,
		RaftTerm:        r.RaftTerm,
		RaftIndex:       r.RaftIndex,
		TotalKeys:       r.TotalKeys,
		SizeInUse:       r.SizeInUse,
		StorageVersion:  r.StorageVersion,
		StatusHash:      r.Hash,
		HashKV:          ManifestHash{Hash: r.HashKV, Revision: r.Revision, CompactRevision: r.CompactRevision},
		Values:          r.Values,
	}
}
