package s3

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/etcdha/etcdha/storage"
)

// cleanUpTime is what a Put that has failed spends on leaving nothing behind,
// also when its context is done.
const cleanUpTime = 10 * time.Second

// Put creates the object by one PutObject, or one CompleteMultipartUpload, that
// is refused if the key exists. Then it reads back what was asked of the server.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if err := s.put(ctx, key, r); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, r io.Reader) error {
	if err := s.absent(ctx, key); err != nil {
		return err
	}
	u, err := s.newUpload(ctx, key, r)
	if err != nil {
		return err
	}
	sent := u.send(ctx)
	err = u.outcome(ctx, sent)
	if sent != nil || err != nil || u.orphans {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		u.abort(clean)
		if err != nil {
			u.discard(clean)
		}
	}
	return err
}

// absent says early that an object exists, before megabytes are sent for
// nothing. A listing also tells a wrong bucket, key or clock by its name, which
// an answer to HEAD has no room for.
func (s *Store) absent(ctx context.Context, key string) error {
	name := s.prefixed(key)
	page, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &name, MaxKeys: aws.Int32(1)})
	if err != nil {
		return failed(ctx, err)
	}
	if len(page.Contents) > 0 && aws.ToString(page.Contents[0].Key) == name {
		return storage.ErrExist
	}
	return nil
}

// outcome decides how a Put has ended. What the server has said last is not
// enough: an answer may be lost, and the repeated request is then refused by
// what the first one has created.
func (u *upload) outcome(ctx context.Context, sent error) error {
	switch {
	case u.in.err != nil:
		return u.in.err
	case sent != nil && (!u.decided || ctx.Err() != nil):
		return failed(ctx, sent)
	}
	object, err := u.head(ctx, u.key)
	switch {
	case sent == nil && err != nil:
		return fmt.Errorf("confirm what was put: %w", err)
	case err == nil && u.owns(object):
		return u.confirm(object)
	case err == nil, code(sent) == codeExists:
		return storage.ErrExist
	}
	return failed(ctx, sent)
}

// owns tells by our own id whether we have created an object.
func (u *upload) owns(object *s3.HeadObjectOutput) bool { return object.Metadata[idName] == u.id }

// discard removes what a Put has created that did not succeed after all. If it
// is locked, a delete hides it at least, where versions are kept.
func (u *upload) discard(ctx context.Context) {
	if !u.decided {
		return
	}
	if !u.created {
		object, err := u.head(ctx, u.key)
		if err != nil || !u.owns(object) {
			return
		}
		u.version = object.VersionId
	}
	name := u.prefixed(u.key)
	if u.version != nil {
		if _, err := u.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &u.Bucket, Key: &name, VersionId: u.version}); err == nil {
			return
		}
	}
	// Nothing is left to be done about a failure: the Put has one of its own to tell.
	_, _ = u.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &u.Bucket, Key: &name})
}

// head asks for what is known about an object; [storage.ErrNotExist] if it is not there.
func (s *Store) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	name := s.prefixed(key)
	object, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.Bucket, Key: &name, ChecksumMode: s.checksumMode()})
	return object, failed(ctx, err)
}
