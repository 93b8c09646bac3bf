package s3

import (
	"context"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Open begins to read an object. When a connection breaks, the reader goes on
// where it stopped, on the same object. At the end it compares what it has read
// with the checksum that the server keeps.
//
// The transfer manager is not used here: it fetches whole parts into memory and
// begins a part anew for each byte that is lost.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := storage.CheckKey(key); err != nil {
		return nil, err
	}
	o := &object{Store: s, ctx: ctx, key: key, crc: crc32.NewIEEE()}
	if err := o.request(); err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	return o, nil
}

// object is one that is being read.
type object struct {
	*Store
	ctx context.Context
	key string

	body io.ReadCloser // nil before the first answer
	from int64         // where the body begins
	etag *string       // which object it was at first
	size int64
	want string // CRC-32 of the whole, "" if the server keeps none
	at   int64
	crc  hash.Hash32

	broken int // connections since the last byte
	err    error
}

func (o *object) request() error {
	name := o.prefixed(o.key)
	in := &s3.GetObjectInput{Bucket: &o.Bucket, Key: &name, ChecksumMode: o.checksumMode()}
	if o.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", o.at))
		in.ChecksumMode = "" // there is none of a part
	}
	first := o.body == nil
	in.IfMatch = o.etag
	out, err := o.client.GetObject(o.ctx, in)
	switch {
	case code(err) == codeExists && !first:
		return fail.Verificationf("the object was replaced while it was read")
	case err != nil:
		return failed(o.ctx, err)
	case first:
		o.etag, o.size = out.ETag, aws.ToInt64(out.ContentLength)
		if out.ChecksumType == types.ChecksumTypeFullObject {
			o.want = aws.ToString(out.ChecksumCRC32)
		}
	case o.at > 0 && !strings.HasPrefix(aws.ToString(out.ContentRange), fmt.Sprintf("bytes %d-", o.at)):
		out.Body.Close()
		return fmt.Errorf("%w: the server does not go on where reading stopped", storage.ErrUnavailable)
	}
	o.body, o.from = out.Body, o.at
	return nil
}

func (o *object) Read(p []byte) (int, error) {
	for o.err == nil && len(p) > 0 {
		n, err := o.readBody(p)
		o.at += int64(n)
		_, _ = o.crc.Write(p[:n]) // a hash has no error
		switch {
		case o.at == o.size: // whatever comes after the last byte
			o.err = o.verify()
		case o.at > o.size:
			o.err = fmt.Errorf("read %s: %w: more bytes than the server has announced", o.key, storage.ErrUnavailable)
		case err != nil:
			o.err = o.resume(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, o.err
}

func (o *object) readBody(p []byte) (int, error) {
	if o.at == o.size {
		return 0, io.EOF
	}
	return o.body.Read(p)
}

// verify ends what was read to its last byte.
func (o *object) verify() error {
	if is := base64.StdEncoding.EncodeToString(o.crc.Sum(nil)); o.want != "" && is != o.want {
		return fail.Verificationf("read %s: its CRC-32 is %q, and %q when it was put", o.key, is, o.want)
	}
	return io.EOF
}

// resume asks for the rest of the object. A connection that has brought
// something may break as often as it likes.
func (o *object) resume(cause error) error {
	o.body.Close()
	if o.broken++; o.at > o.from {
		o.broken = 0
	}
	if o.ctx.Err() != nil {
		return fmt.Errorf("read %s: %w", o.key, o.ctx.Err())
	}
	if o.broken >= o.Retries {
		return fmt.Errorf("read %s at byte %d: %w", o.key, o.at, failed(o.ctx, cause))
	}
	if err := o.pause(cause); err != nil {
		return fmt.Errorf("read %s: %w", o.key, err)
	}
	if err := o.request(); err != nil {
		return fmt.Errorf("read %s at byte %d: %w", o.key, o.at, err)
	}
	return nil
}

// pause waits as long as before any other attempt.
func (o *object) pause(cause error) error {
	if o.broken == 0 {
		return nil
	}
	wait, err := o.client.Options().Retryer.RetryDelay(o.broken, cause)
	if err != nil {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-o.ctx.Done():
		return o.ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Close may leave bytes unread.
func (o *object) Close() error {
	o.err = fmt.Errorf("read %s: reader is closed", o.key)
	return o.body.Close()
}
