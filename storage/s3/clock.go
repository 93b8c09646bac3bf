package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/etcdha/etcdha/storage"
)

// Now is the Date of the server's answer to a listing of one key, in whole
// seconds. A server that sends none is [storage.ErrUnavailable].
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	name := s.prefixed("")
	out, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.Bucket, Prefix: &name, MaxKeys: aws.Int32(1)})
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the server for the time: %w", failed(ctx, err))
	}
	at, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: the server does not say what time it is", storage.ErrUnavailable)
	}
	return at, nil
}
