package s3_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
	"github.com/etcdha/etcdha/storage/s3"
)

var defaults = s3.Settings{Bucket: "backups", Checksum: s3.ChecksumCRC32, Retries: 5, Timeout: time.Minute}

func with(change func(*s3.Settings)) s3.Settings {
	s := defaults
	change(&s)
	return s
}

var valid = []struct {
	url, canonical string // "" is the same
	want           s3.Settings
}{
	{"s3://backups", "", defaults},
	{"s3://backups/", "s3://backups", defaults},
	{"s3://backups/etcd/prod/", "s3://backups/etcd/prod", with(func(s *s3.Settings) { s.Prefix = "etcd/prod" })},
	{"s3://my.bucket-1", "", with(func(s *s3.Settings) { s.Bucket = "my.bucket-1" })},
	{"s3://backups?endpoint=https%3A%2F%2Fs3.example.com%3A9000&path-style=true", "s3://backups?endpoint=https://s3.example.com:9000&path-style=true",
		with(func(s *s3.Settings) { s.Endpoint, s.PathStyle = "https://s3.example.com:9000", true })},
	{"s3://backups?path-style", "s3://backups?path-style=true", with(func(s *s3.Settings) { s.PathStyle = true })},
	{"s3://backups?path-style=0", "s3://backups", defaults},
	{"s3://backups?profile=etcd+backup&region=eu-central-1", "", with(func(s *s3.Settings) { s.Profile, s.Region = "etcd backup", "eu-central-1" })},
	{"s3://backups?ca-file=/etc/ca.pem&proxy=http://proxy:3128", "", with(func(s *s3.Settings) { s.CAFile, s.Proxy = "/etc/ca.pem", "http://proxy:3128" })},
	{"s3://backups?sse=AES256", "", with(func(s *s3.Settings) { s.SSE = types.ServerSideEncryptionAes256 })},
	{"s3://backups?sse=aws:kms&sse-kms-key-id=alias/backups", "", with(func(s *s3.Settings) {
		s.SSE, s.SSEKMSKeyID = types.ServerSideEncryptionAwsKms, "alias/backups"
	})},
	{"s3://backups?lock-for=720h&lock-mode=COMPLIANCE", "s3://backups?lock-for=30d&lock-mode=COMPLIANCE", with(func(s *s3.Settings) {
		s.LockMode, s.LockFor = types.ObjectLockModeCompliance, 30*24*time.Hour
	})},
	{"s3://backups?lock-for=90m&lock-mode=GOVERNANCE", "s3://backups?lock-for=1h30m0s&lock-mode=GOVERNANCE", with(func(s *s3.Settings) {
		s.LockMode, s.LockFor = types.ObjectLockModeGovernance, 90*time.Minute
	})},
	{"s3://backups?storage-class=STANDARD_IA", "", with(func(s *s3.Settings) { s.StorageClass = types.StorageClassStandardIa })},
	{"s3://backups?checksum=none", "", with(func(s *s3.Settings) { s.Checksum = s3.ChecksumNone })},
	{"s3://backups?checksum=crc32&retries=5&timeout=60s&rate-limit=0", "s3://backups", defaults},
	{"s3://backups?rate-limit=10MiB&retries=1&timeout=1h", "s3://backups?rate-limit=10485760&retries=1&timeout=1h0m0s", with(func(s *s3.Settings) {
		s.RateLimit, s.Retries, s.Timeout = 10<<20, 1, time.Hour
	})},
}

func TestSettings(t *testing.T) {
	for _, c := range valid {
		is, err := s3.Parse(parseURL(t, c.url))
		if err != nil || is != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.url, is, err, c.want)
			continue
		}
		if c.canonical == "" {
			c.canonical = c.url
		}
		if is.String() != c.canonical {
			t.Errorf("%s is written %s, want %s", c.url, is, c.canonical)
		}
	}
}

var invalid = []struct{ url, complaint string }{
	{"file://backups", "not the URL of a store on S3"},
	{"s3:backups", "not the URL of a store on S3"},
	{"s3://backups#hunter2", "not the URL of a store on S3"},
	{"s3://AKID:hunter2@backups", "holds credentials"},
	{"s3://hunter2@backups", "holds credentials"},
	{"s3://", "no valid bucket"},
	{"s3:///prefix", "no valid bucket"},
	{"s3://backups:9000", "no valid bucket"},
	{"s3://ab", "no valid bucket"},
	{"s3://Backups", "no valid bucket"},
	{"s3://back_ups", "no valid bucket"},
	{"s3://back..ups", "no valid bucket"},
	{"s3://-backups", "no valid bucket"},
	{"s3://backups-", "no valid bucket"},
	{"s3://backups.", "no valid bucket"},
	{"s3://127.0.0.1", "no valid bucket"},
	{"s3://" + strings.Repeat("b", 64), "no valid bucket"},
	{"s3://backups/a//b", "prefix in the S3 URL is invalid"},
	{"s3://backups/a/../b", "prefix in the S3 URL is invalid"},
	{"s3://backups/.hidden", "prefix in the S3 URL is invalid"},
	{"s3://backups/a%20b", "prefix in the S3 URL is invalid"},
	{"s3://backups/" + strings.Repeat("long/", 52), "has 259 bytes, 256 are the most"},
	{"s3://backups?regoin=hunter2", "unknown S3 setting regoin"},
	{"s3://backups?access-key=hunter2", "unknown S3 setting access-key"},
	{"s3://backups?hunter2", "unknown setting"},
	{"s3://backups?a=%zz", "malformed"},
	{"s3://backups?region=a;b", "malformed"},
	{"s3://backups?region=a&region=b", "setting region is given 2 times"},
	{"s3://backups?region=", "setting region: want a name"},
	{"s3://backups?lock-mode=&lock-for=30d", "setting lock-mode: want GOVERNANCE or COMPLIANCE"},
	{"s3://backups?lock-mode=compliance&lock-for=30d", "setting lock-mode: want GOVERNANCE or COMPLIANCE"},
	{"s3://backups?lock-mode=COMPLIANCE", "lock-mode needs lock-for"},
	{"s3://backups?lock-for=30d", "lock-for needs lock-mode"},
	{"s3://backups?lock-mode=COMPLIANCE&lock-for=0d", "setting lock-for: want a duration"},
	{"s3://backups?lock-mode=COMPLIANCE&lock-for=-1d", "setting lock-for: want a duration"},
	{"s3://backups?lock-mode=COMPLIANCE&lock-for=36501d", "setting lock-for: want a duration"},
	{"s3://backups?lock-mode=COMPLIANCE&lock-for=1.5d", "setting lock-for: want a duration"},
	{"s3://backups?lock-mode=COMPLIANCE&lock-for=1d&checksum=none", "exclude each other"},
	{"s3://backups?sse=AES128", "setting sse: want AES256"},
	{"s3://backups?sse-kms-key-id=hunter2", "sse-kms-key-id needs sse=aws:kms"},
	{"s3://backups?sse=AES256&sse-kms-key-id=hunter2", "sse-kms-key-id needs sse=aws:kms"},
	{"s3://backups?storage-class=GLACIER", "an archive cannot be read at once"},
	{"s3://backups?storage-class=deep", "setting storage-class: want a class"},
	{"s3://backups?checksum=md5", "setting checksum: want crc32 or none"},
	{"s3://backups?endpoint=s3.example.com:9000", "setting endpoint: want a URL"},
	{"s3://backups?endpoint=https://AKID:hunter2@s3.example.com", "setting endpoint: want a URL"},
	{"s3://backups?endpoint=https://s3.example.com?a=hunter2", "setting endpoint: want a URL"},
	{"s3://backups?proxy=http://user:hunter2@proxy:3128", "setting proxy: want a URL"},
	{"s3://backups?path-style=hunter2", "setting path-style: want true or false"},
	{"s3://backups?retries=0", "setting retries: want a number"},
	{"s3://backups?timeout=1ms", "setting timeout: want a duration"},
	{"s3://backups?rate-limit=-1", "setting rate-limit: want a number of bytes"},
	{"s3://backups?rate-limit=fast", "setting rate-limit: want a number of bytes"},
}

func TestInvalidSettings(t *testing.T) {
	for _, c := range invalid {
		is, err := s3.Parse(parseURL(t, c.url))
		if !errors.Is(err, fail.ErrUsage) || is != (s3.Settings{}) || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%s: %+v, %v; want %q", c.url, is, err, c.complaint)
		}
		if err != nil && strings.Contains(err.Error()+fail.Hint(err), "hunter2") {
			t.Errorf("%s: the complaint tells a secret: %v", c.url, err)
		}
	}
}

// What is parsed is written so that it is parsed to the same, and leaves room
// for every key.
func FuzzSettings(f *testing.F) {
	for _, c := range valid {
		f.Add(c.url)
	}
	for _, c := range invalid {
		f.Add(c.url)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		is, err := s3.Parse(u)
		if err != nil {
			if !errors.Is(err, fail.ErrUsage) {
				t.Errorf("%q: %v is no %v", raw, err, fail.ErrUsage)
			}
			return
		}
		again, err := s3.Parse(parseURL(t, is.String()))
		if err != nil || again != is {
			t.Errorf("%q is %+v, written %s, and then %+v, %v", raw, is, is, again, err)
		}
		longest := strings.Repeat("k", 255) + "/" + strings.Repeat("k", 255) + "/" + strings.Repeat("k", 188)
		if err := storage.CheckKey(longest); err != nil {
			t.Fatal(err)
		}
		if n := len(is.Prefix) + 1 + len(longest); n > 1024 {
			t.Errorf("%q makes keys of %d bytes", raw, n)
		}
	})
}

// The table is what flags and variables are made of.
func TestParams(t *testing.T) {
	for _, p := range s3.Params {
		if p.Usage == "" || strings.ToLower(p.Name) != p.Name || strings.ContainsAny(p.Name, "_ =") {
			t.Errorf("setting %+v", p.Name)
		}
	}
}

func parseURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
