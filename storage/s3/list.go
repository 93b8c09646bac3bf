package s3

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/storage"
)

// List yields what S3 lists, page by page. What no Put can have made is left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		name := s.prefixed(prefix)
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &name})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(storage.Object{}, fmt.Errorf("list %q: %w", prefix, failed(ctx, err)))
				return
			}
			for _, o := range page.Contents {
				key, ok := s.key(o.Key)
				if ok && !yield(storage.Object{Key: key, Size: aws.ToInt64(o.Size), Modified: aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Leftovers are the multipart uploads below the prefix that no part was added
// to since before: those of a Put that was killed.
func (s *Store) Leftovers(ctx context.Context, before time.Time) ([]storage.Leftover, error) {
	var found []storage.Leftover
	for u, err := range s.uploads(ctx, s.prefixed("")) {
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", err)
		}
		key, ok := s.key(u.Key)
		if !ok || !aws.ToTime(u.Initiated).Before(before) {
			continue
		}
		switch since, err := s.lastPart(ctx, u); {
		case code(err) == codeNoSuchUpload: // it has come to its end since
		case err != nil:
			return nil, fmt.Errorf("list parts of %s: %w", key, failed(ctx, err))
		case since.Before(before):
			remove := func(ctx context.Context) error { return s.abortUpload(ctx, *u.Key, u.UploadId) }
			found = append(found, storage.Leftover{Name: key, Since: since, Remove: remove})
		}
	}
	return found, nil
}

// lastPart is when something was added to an upload for the last time.
func (s *Store) lastPart(ctx context.Context, u types.MultipartUpload) (time.Time, error) {
	last := aws.ToTime(u.Initiated)
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &s.Bucket, Key: u.Key, UploadId: u.UploadId})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return last, err
		}
		for _, part := range page.Parts {
			if modified := aws.ToTime(part.LastModified); modified.After(last) {
				last = modified
			}
		}
	}
	return last, nil
}

// uploads yields the multipart uploads of keys in the bucket that begin with prefix.
func (s *Store) uploads(ctx context.Context, prefix string) iter.Seq2[types.MultipartUpload, error] {
	return func(yield func(types.MultipartUpload, error) bool) {
		pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.Bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(types.MultipartUpload{}, failed(ctx, err))
				return
			}
			for _, u := range page.Uploads {
				if !yield(u, nil) {
					return
				}
			}
		}
	}
}

func (s *Store) abortUpload(ctx context.Context, name string, id *string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.Bucket, Key: &name, UploadId: id})
	if code(err) == codeNoSuchUpload {
		return nil
	}
	if err != nil {
		return fmt.Errorf("abort the upload of %s: %w", name, failed(ctx, err))
	}
	return nil
}
