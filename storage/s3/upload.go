package s3

import (
	"context"
	"encoding/base64"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/storage"
)

// idName is the name of our own id in the metadata of an object.
const idName = "etcdha-upload"

const (
	// defaultPart is enough for 80 GB in the parts that S3 allows, and more than
	// the 5 MiB that it wants of a part.
	defaultPart = 8 << 20

	maxParts = 10_000

	// maxBuffers bounds the parts in memory: one for each request under way, and
	// spareBuffers more - one that is being filled, the first one, which the
	// transfer manager keeps, and what that one took to grow.
	maxBuffers   = 48 << 20
	spareBuffers = 3

	maxConcurrency = 4
)

// parts are chosen so that twice as much as was announced would fit: what is
// announced is a db that may grow while it is streamed. Up to 40 GB that makes 6
// buffers of 8 MiB, up to 60 GB no more than maxBuffers; above that a part is so
// large that the fewest buffers, 4, exceed them. maxSize 0 is not known.
func parts(maxSize int64) (size int64, concurrency int) {
	size = max(defaultPart, maxSize/(maxParts/2)+1)
	concurrency = int(min(max(maxBuffers/size-spareBuffers, 1), maxConcurrency))
	if maxSize > 0 { // the transfer manager makes all its buffers at once
		concurrency = int(min(int64(concurrency), maxSize/size+1))
	}
	return size, concurrency
}

// upload is one Put. It stands between the transfer manager and S3, so that the
// end of the upload is ours: the manager would write its failure to the standard
// logger, and lose the reason if the abort fails as well.
type upload struct {
	*Store
	key string
	in  *stream
	id  string // our own, in the metadata

	size        int64 // of a part
	concurrency int
	lockUntil   time.Time // zero without a lock

	multipart *string // the server's id
	orphans   bool    // there may be uploads whose id was lost with an answer
	decided   bool    // a request that creates the object was sent
	err       error   // of that request
	created   bool    // the server has said so
	version   *string // of the object, where versions are kept
}

func (s *Store) newUpload(ctx context.Context, key string, r io.Reader) (*upload, error) {
	u := &upload{Store: s, key: key, in: newStream(ctx, r, s.limit)}
	var announced int64
	if sized, ok := r.(storage.Sized); ok {
		announced = sized.MaxSize()
	}
	u.size, u.concurrency = parts(announced)
	if s.LockFor > 0 {
		u.lockUntil = s.now().UTC().Add(s.LockFor).Truncate(time.Second)
	}
	var err error
	u.id, err = s.newID()
	return u, err
}

// send ends when the object is created, or with why it may not be.
func (u *upload) send(ctx context.Context) error {
	manager := transfermanager.New(requests{u.client, u}, func(o *transfermanager.Options) {
		o.PartSizeBytes = u.size
		o.MultipartUploadThreshold = u.size
		o.Concurrency = u.concurrency
		o.MaxUploadParts = maxParts
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	})
	name := u.prefixed(u.key)
	input := &transfermanager.UploadObjectInput{
		Bucket: &u.Bucket, Key: &name, Body: u.in,
		IfNoneMatch:          aws.String("*"),
		Metadata:             map[string]string{idName: u.id},
		ServerSideEncryption: tmtypes.ServerSideEncryption(u.SSE),
		StorageClass:         tmtypes.StorageClass(u.StorageClass),
		ObjectLockMode:       tmtypes.ObjectLockMode(u.LockMode),
	}
	if u.SSEKMSKeyID != "" {
		input.SSEKMSKeyID = &u.SSEKMSKeyID
	}
	if !u.lockUntil.IsZero() {
		input.ObjectLockRetainUntilDate = &u.lockUntil
	}
	if u.Checksum == ChecksumCRC32 {
		input.ChecksumAlgorithm, input.ChecksumType = tmtypes.ChecksumAlgorithmCrc32, tmtypes.ChecksumTypeFullObject
	}
	out, err := manager.UploadObject(ctx, input)
	if err == nil {
		err = u.err
	}
	if err == nil {
		u.created, u.version = true, out.VersionID
	}
	return err
}

// requests are those of the transfer manager, as an upload wants them.
type requests struct {
	*s3.Client
	u *upload
}

func (r requests) PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	r.u.decided = true
	in.Body = cutOff(ctx, in.Body)
	ctx, cancel := lingering(ctx)
	defer cancel()
	return r.Client.PutObject(ctx, in, opts...)
}

// UploadPart waits for the answer, since a part that the server is still storing
// may bring an upload back that is aborted meanwhile.
func (r requests) UploadPart(ctx context.Context, in *s3.UploadPartInput, opts ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	in.Body = cutOff(ctx, in.Body)
	ctx, cancel := lingering(ctx)
	defer cancel()
	return r.Client.UploadPart(ctx, in, opts...)
}

// CreateMultipartUpload notes when a server may have made more uploads than we
// know: a request whose answer is lost is repeated, and makes another.
func (r requests) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	out, err := r.Client.CreateMultipartUpload(ctx, in, opts...)
	if err != nil {
		r.u.orphans = true
		return nil, err
	}
	attempts, ok := retry.GetAttemptResults(out.ResultMetadata)
	r.u.orphans = ok && len(attempts.Results) > 1
	r.u.multipart = out.UploadId
	return out, nil
}

// lingering is ctx that is done [cleanUpTime] later. A request that was sent
// gets that time for its answer: while the server works on it, nothing can be
// said of what it leaves, and what is removed meanwhile may come back.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(cleanUpTime, cancel) })
	return later, func() { stop(); cancel() }
}

// cutOff is a body that is not sent any further when ctx is done.
func cutOff(ctx context.Context, body io.Reader) io.Reader {
	seeker, ok := body.(io.ReadSeeker)
	if !ok { // nothing to send
		return body
	}
	return &cutBody{ctx, seeker}
}

type cutBody struct {
	ctx context.Context
	io.ReadSeeker
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, &aws.RequestCanceledError{Err: c.ctx.Err()} // which is not tried again
	}
	return c.ReadSeeker.Read(p)
}

// CompleteMultipartUpload tells the server the checksum of what was read, and
// the transfer manager that all is well: the error is looked at later.
func (r requests) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	r.u.decided = true
	if r.u.Checksum == ChecksumCRC32 {
		in.ChecksumCRC32 = aws.String(r.u.sum())
	}
	ctx, cancel := lingering(ctx)
	defer cancel()
	out, err := r.Client.CompleteMultipartUpload(ctx, in, opts...)
	if err != nil {
		r.u.err = err
		return &s3.CompleteMultipartUploadOutput{}, nil
	}
	return out, nil
}

// AbortMultipartUpload does nothing: [upload.abort] does it.
func (r requests) AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	return &s3.AbortMultipartUploadOutput{}, nil
}

// abort removes the parts of an upload that has failed, and of those whose id
// was lost. It removes every upload of this key then: keys are not used twice,
// and of two who put the same one at the same time one has to fail anyway.
func (u *upload) abort(ctx context.Context) {
	if u.multipart != nil {
		_ = u.abortUpload(ctx, u.prefixed(u.key), u.multipart) // what stays is swept later: see Leftovers
	}
	if !u.orphans {
		return
	}
	for found, err := range u.uploads(ctx, u.prefixed(u.key)) {
		if err == nil && aws.ToString(found.Key) == u.prefixed(u.key) {
			_ = u.abortUpload(ctx, u.prefixed(u.key), found.UploadId)
		}
	}
}

// sum is the CRC-32 of what was read, as S3 writes it.
func (u *upload) sum() string { return base64.StdEncoding.EncodeToString(u.in.crc.Sum(nil)) }

func (s *Store) checksumMode() types.ChecksumMode {
	if s.Checksum == ChecksumCRC32 {
		return types.ChecksumModeEnabled
	}
	return ""
}
