package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/storage"
)

// maxSkew is a third of what S3 itself bears. Retention and locks are reckoned
// with both clocks.
const maxSkew = 5 * time.Minute

// Probe tries out what the settings ask of the server, and says of the rest
// what the server does by itself. It also looks at the clock.
func (s *Store) Probe(ctx context.Context, prefix string) []storage.Finding {
	var found []storage.Finding
	for _, p := range []struct {
		name  string
		asked bool
		try   func(ctx context.Context, key string) (string, error)
	}{
		{"checksums", s.Checksum != ChecksumNone, s.probeChecksum},
		{"abort", true, s.probeAbort},
		{"multipart", true, s.probeMultipart},
		{"encryption", s.SSE != "", s.probeEncryption},
		{"object lock", s.LockMode != "", s.probeLock},
		{"clock", true, s.probeClock},
	} {
		start := s.now()
		detail, err := p.try(ctx, path.Join(prefix, strings.ReplaceAll(p.name, " ", "-")))
		found = append(found, storage.Finding{Name: p.name, Asked: p.asked, Detail: detail, Err: err, Took: s.now().Sub(start)})
	}
	return found
}

// probeChecksum sends bytes with the checksum of others: a server that checks
// must not take them.
func (s *Store) probeChecksum(ctx context.Context, key string) (string, error) {
	name := s.prefixed(key)
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.Bucket, Key: &name, Body: strings.NewReader("changed on the way"), IfNoneMatch: aws.String("*"),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumCRC32: aws.String(base64.StdEncoding.EncodeToString([]byte{1, 2, 3, 4})),
	})
	if err == nil {
		return "", errors.Join(errors.New("the server takes bytes that do not fit their checksum"), s.Delete(ctx, key))
	}
	if !slices.Contains(refusals, code(err)) {
		return "", failed(ctx, err)
	}
	return fmt.Sprintf("a corrupted upload is refused: %s", code(err)), nil
}

// refusals are what servers say to a checksum that does not fit.
var refusals = []string{"BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"}

// probeAbort begins an upload, and must find nothing left of it after its end.
func (s *Store) probeAbort(ctx context.Context, key string) (string, error) {
	name := s.prefixed(key)
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.Bucket, Key: &name})
	if err != nil {
		return "", failed(ctx, err)
	}
	_, err = s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &s.Bucket, Key: &name, UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("a part"),
	})
	if err = errors.Join(failed(ctx, err), s.abortUpload(ctx, name, begun.UploadId)); err != nil {
		return "", err
	}
	for u, err := range s.uploads(ctx, name) {
		if err != nil {
			return "", err
		}
		return "", fmt.Errorf("upload %s is still there after it was aborted", aws.ToString(u.UploadId))
	}
	return "nothing is left of an upload that is aborted", nil
}

func (s *Store) probeEncryption(ctx context.Context, key string) (string, error) {
	alone := *s // whatever else is asked for has a finding of its own
	alone.LockMode, alone.LockFor = "", 0
	object, err := alone.putAndHead(ctx, key)
	if err != nil {
		return "", err
	}
	if object.ServerSideEncryption == "" {
		return "", errors.New("not asked for, and the server names none")
	}
	text := string(object.ServerSideEncryption)
	if id := aws.ToString(object.SSEKMSKeyId); id != "" {
		text += " with key " + id
	}
	if s.SSE == "" {
		return text + ", by the server's own choice", nil
	}
	return text + ", as asked", nil
}

func (s *Store) probeLock(ctx context.Context, key string) (string, error) {
	alone := *s
	alone.SSE, alone.SSEKMSKeyID = "", ""
	if _, err := alone.putAndHead(ctx, key); err != nil {
		return "", err
	}
	lock, err := s.lock(ctx, key)
	switch {
	case err != nil:
		return "", err
	case lock != "" && s.LockMode == "":
		return lock + ", by the bucket's own rule", nil
	case lock == "":
		return "", errors.New("not asked for, and the bucket sets none")
	}
	return lock + ": the objects of this check stay until then", nil
}

// putAndHead puts a small object, which confirms what was asked, and looks at it.
func (s *Store) putAndHead(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	if err := s.Put(ctx, key, strings.NewReader(key)); err != nil {
		return nil, err
	}
	return s.head(ctx, key)
}

func (s *Store) probeClock(ctx context.Context, _ string) (string, error) {
	at, err := s.Now(ctx)
	if err != nil {
		return "", err
	}
	skew := s.now().Sub(at).Round(time.Second)
	if skew.Abs() > maxSkew {
		return "", fmt.Errorf("this host's clock and the server's are %v apart", skew.Abs())
	}
	return fmt.Sprintf("within %v of the server's", max(skew.Abs(), time.Second)), nil
}
