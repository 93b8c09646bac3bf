package s3

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// probeMultipart completes uploads that must be refused. Servers that keep the
// condition and the checksum of a small object may know neither of a large one,
// and a db is large.
func (s *Store) probeMultipart(ctx context.Context, key string) (string, error) {
	if err := s.probeReplace(ctx, key); err != nil {
		return "", err
	}
	detail := "an upload in parts replaces no object"
	if s.Checksum == ChecksumNone {
		return detail, nil
	}
	refusal, err := s.probePartsChecksum(ctx, key+"-checksum")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, and a corrupted one is refused: %s", detail, refusal), nil
}

// probeReplace completes an upload of a key that exists.
func (s *Store) probeReplace(ctx context.Context, key string) error {
	const first, other = "was there first", "came later"
	alone := *s // whatever else is asked for has a finding of its own
	alone.SSE, alone.SSEKMSKeyID, alone.LockMode, alone.LockFor = "", "", "", 0
	if err := alone.Put(ctx, key, strings.NewReader(first)); err != nil {
		return err
	}
	defer func() { _ = s.Delete(ctx, key) }() // a lock or a lack of rights is seen elsewhere
	err := s.completeInParts(ctx, key, other, crc32.ChecksumIEEE([]byte(other)))
	switch {
	case err == nil:
		return errors.New("an upload in parts replaces an object that exists: backups could overwrite each other")
	case code(err) != codeExists:
		return failed(ctx, err)
	}
	r, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	is, err := io.ReadAll(io.LimitReader(r, int64(len(first))+1))
	if err == nil && string(is) != first {
		err = errors.New("an upload in parts that was refused has changed the object that exists")
	}
	return err
}

// probePartsChecksum completes an upload with the checksum of other bytes.
func (s *Store) probePartsChecksum(ctx context.Context, key string) (string, error) {
	const text = "changed on the way"
	err := s.completeInParts(ctx, key, text, crc32.ChecksumIEEE([]byte("what it was")))
	if err == nil {
		return "", errors.Join(errors.New("the server completes an upload whose bytes do not fit its checksum"), s.Delete(ctx, key))
	}
	if !slices.Contains(refusals, code(err)) {
		return "", failed(ctx, err)
	}
	return code(err), nil
}

// completeInParts uploads text as one part and completes it, with the checksum
// sum if there are to be any. Nothing is left of it unless it succeeds. Its
// error is the SDK's, for the code in it.
func (s *Store) completeInParts(ctx context.Context, key, text string, sum uint32) (err error) {
	name := s.prefixed(key)
	begin := &s3.CreateMultipartUploadInput{Bucket: &s.Bucket, Key: &name}
	part := &s3.UploadPartInput{Bucket: &s.Bucket, Key: &name, PartNumber: aws.Int32(1), Body: strings.NewReader(text)}
	end := &s3.CompleteMultipartUploadInput{Bucket: &s.Bucket, Key: &name, IfNoneMatch: aws.String("*")}
	if s.Checksum == ChecksumCRC32 { // as an upload of [Store.Put] has it
		begin.ChecksumAlgorithm, begin.ChecksumType = types.ChecksumAlgorithmCrc32, types.ChecksumTypeFullObject
		part.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
		end.ChecksumType, end.ChecksumCRC32 = types.ChecksumTypeFullObject, aws.String(formatSum(sum))
	}
	begun, err := s.client.CreateMultipartUpload(ctx, begin)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
			defer cancel()
			_ = s.abortUpload(clean, name, begun.UploadId) // whether that works is probed by itself
		}
	}()
	part.UploadId, end.UploadId = begun.UploadId, begun.UploadId
	sent, err := s.client.UploadPart(ctx, part)
	if err != nil {
		return err
	}
	end.MultipartUpload = &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: sent.ETag, PartNumber: part.PartNumber, ChecksumCRC32: sent.ChecksumCRC32}}}
	_, err = s.client.CompleteMultipartUpload(ctx, end)
	return err
}

// formatSum is a CRC-32 as S3 writes it.
func formatSum(sum uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}
