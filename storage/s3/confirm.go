package s3

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/internal/fail"
)

// confirm compares an object of ours with what was asked of the server. Servers
// take headers that they do not know without a word.
func (u *upload) confirm(object *s3.HeadObjectOutput) error {
	if err := u.confirmContent(object); err != nil {
		return err
	}
	if err := u.confirmEncryption(object); err != nil {
		return err
	}
	return u.confirmLock(object)
}

func (u *upload) confirmContent(object *s3.HeadObjectOutput) error {
	if size := aws.ToInt64(object.ContentLength); size != u.in.size {
		return fail.Verificationf("the server has kept %d bytes of %d", size, u.in.size)
	}
	whole := object.ChecksumType == types.ChecksumTypeFullObject
	if kept := aws.ToString(object.ChecksumCRC32); whole && kept != u.sum() {
		return fail.Verificationf("the server has kept bytes with the CRC-32 %q instead of %q", kept, u.sum())
	}
	return nil
}

func (u *upload) confirmEncryption(object *s3.HeadObjectOutput) error {
	if u.SSE == "" {
		return nil
	}
	if object.ServerSideEncryption != u.SSE {
		return ignored("sse="+string(u.SSE), "keeps the object "+orNone("encrypted with %s", object.ServerSideEncryption, "unencrypted"))
	}
	if key := aws.ToString(object.SSEKMSKeyId); u.SSEKMSKeyID != "" && !sameKey(u.SSEKMSKeyID, key) {
		return ignored("sse-kms-key-id", "encrypts with "+orNone("key %s", key, "a key that it does not name"))
	}
	return nil
}

// sameKey compares a key as it was asked for with the ARN that the server
// answers. An alias is resolved by the server, which does not say how.
func sameKey(asked, key string) bool {
	_, id, isARN := strings.Cut(asked, ":key/")
	if !isARN {
		id = asked
	}
	alias := strings.HasPrefix(asked, "alias/") || strings.Contains(asked, ":alias/")
	return key != "" && (alias || key == asked || !isARN && (strings.HasSuffix(key, "/"+id) || strings.HasSuffix(key, ":"+id)))
}

func (u *upload) confirmLock(object *s3.HeadObjectOutput) error {
	if u.LockMode == "" {
		return nil
	}
	until := aws.ToTime(object.ObjectLockRetainUntilDate)
	if string(object.ObjectLockMode) != string(u.LockMode) || until.Before(u.lockUntil) {
		is := "does not lock the object"
		if object.ObjectLockMode != "" {
			is = fmt.Sprintf("locks the object as %s until %s", object.ObjectLockMode, until.UTC().Format(time.RFC3339))
		}
		return ignored(fmt.Sprintf("lock-mode=%s until %s", u.LockMode, u.lockUntil.Format(time.RFC3339)), is)
	}
	return nil
}

func ignored(asked, is string) error {
	return fail.WithHint(fmt.Errorf("the server was asked for %s and %s", asked, is),
		"change the server or the bucket so that it does what is asked, or do not ask for it")
}

func orNone[T ~string](format string, value T, none string) string {
	if value == "" {
		return none
	}
	return fmt.Sprintf(format, value)
}
