package s3_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// Objects are locked for as long as was asked, in one part or several.
func TestLockedObjectsStay(t *testing.T) {
	server := startServer(t)
	server.MakeLockBucket(t, "locked")
	s := open(t, server.URL("locked", "prefix", "lock-mode=GOVERNANCE", "lock-for=30d"))
	for key, size := range map[string]int{"small": 1000, "multipart": part + 1000} {
		before := time.Now().Truncate(time.Second)
		put(t, s, key, random(1, size))
		until, ok := strings.CutPrefix(lock(t, s, key), "GOVERNANCE until ")
		at, err := time.Parse(time.RFC3339, until)
		if in := at.Sub(before); !ok || err != nil || in < 30*24*time.Hour || in > 30*24*time.Hour+time.Minute {
			t.Errorf("%s is locked until %q; want 30 days from %v", key, until, before)
		}
		if err := s.Delete(t.Context(), key); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "GOVERNANCE until") {
			t.Errorf("delete: %v; want %v", err, storage.ErrLocked)
		}
		holds(t, s, key, random(1, size))
	}
}

// The server's clock ends a lock, and ours only where the server tells no time.
func TestLocksEndByTheClockOfTheServer(t *testing.T) {
	server := startServer(t)
	server.MakeLockBucket(t, "locked")
	prefix := newPrefix()
	put(t, open(t, server.URL("locked", prefix, "lock-mode=GOVERNANCE", "lock-for=30d")), "object", []byte("content"))
	later := time.Now().AddDate(1, 0, 0)
	for _, c := range []struct {
		name   string
		now    time.Time
		date   string // of the answer; "" is the server's own
		locked bool
	}{
		{"both agree", time.Now(), "", true},
		{"our clock is fast", later, "", true},
		{"the server has reached the end", time.Now(), later.UTC().Format(http.TimeFormat), false},
		{"no time is told, and ours is before the end", time.Now(), "none", true},
		{"no time is told, and ours has reached the end", later, "none", false},
	} {
		proxy := server.NewProxy(t)
		proxy.Answer(func(r *http.Response) {
			if c.date != "" {
				r.Header.Set("Date", c.date)
			}
		})
		s := openAt(t, proxy.URL("locked", prefix), c.now)
		if is := lock(t, s, "object"); (is != "") != c.locked {
			t.Errorf("%s: the lock is %q, want one: %v", c.name, is, c.locked)
		}
	}
}

// openAt opens a store on a host whose clock stands at now.
func openAt(t *testing.T, u *url.URL, now time.Time) storage.Store {
	t.Helper()
	wrong := opener
	wrong.Now = func() time.Time { return now }
	s, err := wrong.Open(t.Context(), u, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLegalHold(t *testing.T) {
	server := startServer(t)
	server.MakeLockBucket(t, "locked")
	s := open(t, server.URL("locked", "prefix"))
	put(t, s, "object", []byte("content"))
	if is := lock(t, s, "object"); is != "" {
		t.Errorf("an object that nobody has locked is under %q", is)
	}
	hold(t, server, types.ObjectLockLegalHoldStatusOn)
	if is := lock(t, s, "object"); is != "legal hold" {
		t.Errorf("an object on hold is under %q", is)
	}
	if err := s.Delete(t.Context(), "object"); !errors.Is(err, storage.ErrLocked) {
		t.Errorf("delete: %v; want %v", err, storage.ErrLocked)
	}
	hold(t, server, types.ObjectLockLegalHoldStatusOff)
	if err := s.Delete(t.Context(), "object"); err != nil {
		t.Error(err)
	}
	absent(t, s, "object")
	if err := s.Delete(t.Context(), "object"); err != nil {
		t.Errorf("delete of what is not there: %v", err)
	}
	if _, err := s.(storage.Locker).Lock(t.Context(), "object"); !errors.Is(err, storage.ErrNotExist) {
		t.Errorf("lock of what is not there: %v", err)
	}
}

func hold(t *testing.T, server *s3test.Server, status types.ObjectLockLegalHoldStatus) {
	t.Helper()
	_, err := server.Client().PutObjectLegalHold(t.Context(), &sdk.PutObjectLegalHoldInput{
		Bucket: aws.String("locked"), Key: aws.String("prefix/object"), LegalHold: &types.ObjectLockLegalHold{Status: status},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func lock(t *testing.T, s storage.Store, key string) string {
	t.Helper()
	is, err := s.(storage.Locker).Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// A bucket without Object Lock takes the object, and does not lock it.
func TestLockThatTheBucketHasNot(t *testing.T) {
	server := startServer(t)
	s := open(t, server.URL(bucket, newPrefix(), "lock-mode=COMPLIANCE", "lock-for=1d"))
	err := s.Put(t.Context(), "object", strings.NewReader("content"))
	if err == nil || !strings.Contains(err.Error(), "asked for lock-mode=COMPLIANCE until") || !strings.Contains(err.Error(), "does not lock the object") {
		t.Errorf("put: %v", err)
	}
	absent(t, s, "object")
}

// A server that takes what it is asked for and does something else is found
// out, and keeps nothing.
func TestServerDoesNotDoWhatIsAsked(t *testing.T) {
	server := startServer(t)
	server.MakeLockBucket(t, "locked")
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
	for _, c := range []struct {
		name, bucket string
		settings     []string
		answer       map[string]string // what it says instead; "" strikes a header out
		complaint    string            // "" for none
	}{
		{"no encryption", bucket, []string{"sse=AES256"}, nil, "asked for sse=AES256 and keeps the object unencrypted"},
		{"no encryption by KMS", bucket, []string{"sse=aws:kms"}, nil, "asked for sse=aws:kms and keeps the object unencrypted"},
		{"encryption", bucket, []string{"sse=AES256"}, map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}, ""},
		{"another encryption", bucket, []string{"sse=aws:kms"}, map[string]string{"X-Amz-Server-Side-Encryption": "AES256"},
			"asked for sse=aws:kms and keeps the object encrypted with AES256"},
		{"key", bucket, []string{"sse=aws:kms", "sse-kms-key-id=1234abcd"},
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": arn}, ""},
		{"key by ARN", bucket, []string{"sse=aws:kms:dsse", "sse-kms-key-id=" + arn},
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms:dsse", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": arn}, ""},
		{"key by alias", bucket, []string{"sse=aws:kms", "sse-kms-key-id=alias/backups"},
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": arn}, ""},
		{"another key", bucket, []string{"sse=aws:kms", "sse-kms-key-id=abcd"},
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": arn},
			"asked for sse-kms-key-id and encrypts with key " + arn},
		{"no lock", "locked", []string{"lock-mode=GOVERNANCE", "lock-for=1h"},
			map[string]string{"X-Amz-Object-Lock-Mode": "", "X-Amz-Object-Lock-Retain-Until-Date": ""}, "and does not lock the object"},
		{"another lock", "locked", []string{"lock-mode=GOVERNANCE", "lock-for=1h"},
			map[string]string{"X-Amz-Object-Lock-Mode": "COMPLIANCE"}, "and locks the object as COMPLIANCE until 2"},
		{"a shorter lock", "locked", []string{"lock-mode=GOVERNANCE", "lock-for=1h"},
			map[string]string{"X-Amz-Object-Lock-Retain-Until-Date": "2026-01-01T00:00:00Z"}, "and locks the object as GOVERNANCE until 2026-01-01T00:00:00Z"},
		{"another checksum", bucket, nil, map[string]string{"X-Amz-Checksum-Crc32": "AAAAAA=="}, `with the CRC-32 "AAAAAA==" instead of`},
		{"another size", bucket, nil, map[string]string{"Content-Length": "999"}, "has kept 999 bytes of 1000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			prefix := newPrefix()
			proxy := server.NewProxy(t)
			proxy.Answer(func(r *http.Response) {
				for name, value := range c.answer {
					if r.Request.Method != http.MethodHead {
						continue
					}
					if r.Header.Set(name, value); value == "" {
						r.Header.Del(name)
					}
				}
			})
			err := open(t, proxy.URL(c.bucket, prefix, c.settings...)).Put(t.Context(), "object", bytes.NewReader(random(1, 1000)))
			sound := open(t, server.URL(c.bucket, prefix))
			if c.complaint == "" {
				if err != nil {
					t.Errorf("put: %v", err)
				}
				holds(t, sound, "object", random(1, 1000))
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("put: %v; want %q", err, c.complaint)
			}
			if fail.Hint(err) == "" && !errors.Is(err, fail.ErrVerification) {
				t.Errorf("no hint with %v", err)
			}
			absent(t, sound, "object")
		})
	}
}
