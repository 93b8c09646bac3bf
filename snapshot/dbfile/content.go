package dbfile

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/protowire"
)

// Bucket names (server/storage/schema of etcd).
const (
	BucketKey            = "key"
	bucketMeta           = "meta"
	bucketLease          = "lease"
	bucketAlarm          = "alarm"
	bucketCluster        = "cluster"
	bucketMembers        = "members"
	bucketMembersRemoved = "members_removed"
	bucketAuth           = "auth"
)

// Content is what the small buckets say about the cluster.
type Content struct {
	// CompactRevision is the revision below which history is gone: the newest
	// scheduled compaction, finished or not. 0 if there was none.
	CompactRevision int64
	// FinishedCompact is the newest compaction that removed all it had to.
	FinishedCompact int64

	RaftTerm       uint64 // of the last applied entry; 0 before etcd 3.5
	RaftIndex      uint64 // consistent index
	StorageVersion string // "3.6.0"; empty before etcd 3.6
	ClusterVersion string

	Members []Member
	Removed int // members that were removed in the life of the cluster
	Leases  int
	Alarms  []Alarm

	AuthEnabled bool
}

// Member is an entry of the members bucket.
type Member struct {
	ID         uint64   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	IsLearner  bool     `json:"isLearner"`
}

// Alarm is an alarm that was active in the cluster.
type Alarm struct {
	MemberID uint64
	Type     etcdserverpb.AlarmType
}

// Lease is an entry of the lease bucket.
type Lease struct {
	ID  int64
	TTL int64 // seconds, as granted

	// RemainingTTL is what a checkpoint left of it, in seconds; 0 for all.
	RemainingTTL int64
}

// Content reads the small buckets. Entries that etcd would not have written
// are a [*CorruptError].
func (f *File) Content(ctx context.Context) (*Content, error) {
	c := new(Content)
	readers := []struct {
		bucket string
		entry  func(key, value []byte) error
	}{
		{bucketMeta, c.addMeta},
		{bucketCluster, c.addCluster},
		{bucketMembers, c.addMember},
		{bucketMembersRemoved, func(_, _ []byte) error { c.Removed++; return nil }},
		{bucketLease, c.addLease},
		{bucketAlarm, c.addAlarm},
		{bucketAuth, c.addAuth},
	}
	for _, r := range readers {
		err := f.ForEach(ctx, r.bucket, nil, r.entry)
		if err != nil && !errors.Is(err, ErrNoBucket) {
			return nil, err
		}
	}
	c.CompactRevision = max(c.CompactRevision, c.FinishedCompact)
	return c, nil
}

func (c *Content) addMeta(key, value []byte) error {
	switch string(key) {
	case "consistent_index":
		return readUint64(value, "consistent index", &c.RaftIndex)
	case "term":
		return readUint64(value, "raft term", &c.RaftTerm)
	case "storageVersion":
		c.StorageVersion = string(value)
	case "scheduledCompactRev", "finishedCompactRev":
		r, err := parseRevision(value)
		if err != nil {
			return err
		}
		if string(key) == "finishedCompactRev" {
			c.FinishedCompact = r.Main
		} else {
			c.CompactRevision = r.Main
		}
	}
	return nil
}

func readUint64(b []byte, what string, to *uint64) error {
	if len(b) != 8 {
		return corruptRecord("%s of %d bytes", what, len(b))
	}
	*to = binary.BigEndian.Uint64(b)
	return nil
}

func (c *Content) addCluster(key, value []byte) error {
	if string(key) == "clusterVersion" {
		c.ClusterVersion = string(value)
	}
	return nil
}

func (c *Content) addMember(key, value []byte) error {
	var m Member
	if err := json.Unmarshal(value, &m); err != nil {
		return corruptRecord("member %q is not readable: %v", abbreviate(key), err)
	}
	c.Members = append(c.Members, m)
	return nil
}

func (c *Content) addLease(key, value []byte) error {
	_, err := parseLease(key, value)
	c.Leases++
	return err
}

func (c *Content) addAlarm(key, _ []byte) error {
	var a Alarm
	err := parseFields(key, func(num protowire.Number, bytes []byte, varint int64) bool {
		switch num {
		case 1:
			a.MemberID = uint64(varint)
		case 2:
			a.Type = etcdserverpb.AlarmType(varint)
		default:
			return false
		}
		return bytes == nil
	})
	c.Alarms = append(c.Alarms, a)
	return err
}

func (c *Content) addAuth(key, value []byte) error {
	if string(key) == "authEnabled" {
		c.AuthEnabled = len(value) == 1 && value[0] == 1
	}
	return nil
}

// ForEachLease calls fn for every lease in the order of their ids.
func (f *File) ForEachLease(ctx context.Context, fn func(Lease) error) error {
	err := f.ForEach(ctx, bucketLease, nil, func(key, value []byte) error {
		l, err := parseLease(key, value)
		if err != nil {
			return err
		}
		return fn(l)
	})
	if errors.Is(err, ErrNoBucket) {
		return nil
	}
	return err
}

// parseLease reads leasepb.Lease: ID, TTL, and the remaining TTL that a
// checkpoint left. The key repeats the id.
func parseLease(key, value []byte) (Lease, error) {
	var l Lease
	err := parseFields(value, func(num protowire.Number, bytes []byte, varint int64) bool {
		switch num {
		case 1:
			l.ID = varint
		case 2:
			l.TTL = varint
		case 3:
			l.RemainingTTL = varint
		default:
			return false
		}
		return bytes == nil
	})
	if err != nil {
		return l, err
	}
	if len(key) != 8 || int64(binary.BigEndian.Uint64(key)) != l.ID {
		return l, corruptRecord("lease %x lies under key %x", l.ID, abbreviate(key))
	}
	return l, nil
}
