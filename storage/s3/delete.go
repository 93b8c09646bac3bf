package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/storage"
)

// Delete looks for a lock first: where versions are kept, a server hides a
// locked object without complaint. A bucket with versions keeps the deleted
// ones until a lifecycle rule removes them.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	switch lock, err := s.lock(ctx, key); {
	case errors.Is(err, storage.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s: %w", key, err)
	case lock != "":
		return fmt.Errorf("delete %s: %w: %s", key, storage.ErrLocked, lock)
	}
	name := s.prefixed(key)
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.Bucket, Key: &name})
	if err = failed(ctx, err); err != nil && !errors.Is(err, storage.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// Lock says until when an object is locked, and whether it is held.
func (s *Store) Lock(ctx context.Context, key string) (string, error) {
	if err := storage.CheckKey(key); err != nil {
		return "", err
	}
	lock, err := s.lock(ctx, key)
	if err != nil {
		return "", fmt.Errorf("look for a lock of %s: %w", key, err)
	}
	return lock, nil
}

// lock goes by the server's clock, which is the one that ends a lock.
func (s *Store) lock(ctx context.Context, key string) (string, error) {
	object, err := s.head(ctx, key)
	if err != nil {
		return "", err
	}
	now, ok := awsmiddleware.GetServerTime(object.ResultMetadata)
	if !ok {
		now = s.now()
	}
	var locks []string
	if until := aws.ToTime(object.ObjectLockRetainUntilDate); until.After(now) {
		locks = append(locks, fmt.Sprintf("%s until %s", object.ObjectLockMode, until.UTC().Format(time.RFC3339)))
	}
	if object.ObjectLockLegalHoldStatus == types.ObjectLockLegalHoldStatusOn {
		locks = append(locks, "legal hold")
	}
	return strings.Join(locks, ", "), nil
}
