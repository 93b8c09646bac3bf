// Package s3 keeps objects in a bucket of Amazon S3 or of a server that speaks
// its protocol.
//
// An object is created by one conditional request, so that it is there whole or
// not at all and replaces none. Every upload carries an id of its own in the
// object's metadata: when the answer to that request is lost, the id says whose
// the object is. What was asked of the server - encryption, a lock, a checksum -
// is read back before Put returns, and a server that has ignored it is an error.
package s3

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/time/rate"

	"github.com/etcdha/etcdha/storage"
)

// Opener opens stores on S3.
type Opener struct {
	Now    func() time.Time
	Random io.Reader // for the ids of uploads

	// AccessKey and SecretKey are the credentials, with the token of their session if
	// they have one. "" takes them from where every AWS tool does.
	AccessKey, SecretKey, SessionToken string

	retryWait time.Duration // the longest; 0 is maxRetryWait
}

// Open opens the store that [Parse] reads from u. It asks nothing of the server
// yet. A bucket is never made, whatever create says: who owns it, where it is
// and what it forbids is not for a backup tool to decide.
func (o Opener) Open(ctx context.Context, u *url.URL, _ bool) (storage.Store, error) {
	settings, err := Parse(u)
	if err != nil {
		return nil, err
	}
	client, err := o.newClient(ctx, settings)
	if err != nil {
		return nil, err
	}
	s := &Store{Settings: settings, client: client, now: o.Now, random: &shared{r: o.Random}}
	if settings.RateLimit > 0 {
		s.limit = rate.NewLimiter(rate.Limit(settings.RateLimit), burst(settings.RateLimit))
	}
	return s, nil
}

// Store is a prefix of a bucket. See [storage.Store].
type Store struct {
	Settings
	client *s3.Client
	now    func() time.Time
	limit  *rate.Limiter // of all uploads together; nil for none
	random *shared
}

// shared is a reader for several goroutines.
type shared struct {
	mu sync.Mutex
	r  io.Reader
}

var (
	_ storage.Store   = (*Store)(nil)
	_ storage.Locker  = (*Store)(nil)
	_ storage.Sweeper = (*Store)(nil)
	_ storage.Clock   = (*Store)(nil)
	_ storage.Prober  = (*Store)(nil)
)

// String names the place, and the server if it is not AWS.
func (s *Store) String() string {
	return Settings{Bucket: s.Bucket, Prefix: s.Prefix, Endpoint: s.Endpoint, Checksum: ChecksumCRC32, Retries: defaultRetries, Timeout: defaultTimeout}.String()
}

// newID is what an upload marks its object with.
func (s *Store) newID() (string, error) {
	s.random.mu.Lock()
	defer s.random.mu.Unlock()
	var id [16]byte
	if _, err := io.ReadFull(s.random.r, id[:]); err != nil {
		return "", fmt.Errorf("random id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// key takes the prefix off a key in the bucket. It is false for what no Put of
// this store has made.
func (s *Store) key(name *string) (string, bool) {
	key := aws.ToString(name)
	if s.Prefix != "" {
		var ours bool
		if key, ours = strings.CutPrefix(key, s.Prefix+"/"); !ours {
			return "", false
		}
	}
	return key, storage.CheckKey(key) == nil
}
