package s3

import (
	"math"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/dustin/go-humanize"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

const (
	day = 24 * time.Hour

	// maxLock is the longest that S3 keeps a lock, 100 years.
	maxLock = 36500 * day

	// maxPrefix and the longest key of the contract, 700 bytes, stay below the
	// 1024 bytes that S3 gives a key.
	maxPrefix = 256
)

var (
	settingName = regexp.MustCompile(`^[a-z]+(-[a-z]+){0,3}$`)
	bucketName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	word        = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	class       = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
)

// value is one field of [Settings] as text.
type value struct {
	get func() string     // "" for the default
	set func(string) bool // false: not a value that the field can have
}

func text[T ~string](field *T, valid func(string) bool) value {
	return value{
		get: func() string { return string(*field) },
		set: func(v string) bool { *field = T(v); return valid(v) },
	}
}

func toggle(field *bool) value {
	return value{
		get: func() string {
			if !*field {
				return ""
			}
			return "true"
		},
		set: func(v string) (ok bool) {
			on, err := strconv.ParseBool(v)
			*field = on
			return err == nil
		},
	}
}

func count(field *int, byDefault, least, most int) value {
	return defaulted(value{
		get: func() string { return strconv.Itoa(*field) },
		set: func(v string) bool {
			n, err := strconv.Atoi(v)
			*field = n
			return err == nil && n >= least && n <= most
		},
	}, strconv.Itoa(byDefault))
}

func span(field *time.Duration, byDefault, least, most time.Duration) value {
	return defaulted(value{
		get: func() string { return formatDays(*field) },
		set: func(v string) (ok bool) {
			*field, ok = parseDays(v)
			return ok && *field >= least && *field <= most
		},
	}, formatDays(byDefault))
}

func bytes(field *int64) value {
	return defaulted(value{
		get: func() string { return strconv.FormatInt(*field, 10) },
		set: func(v string) bool {
			n, err := humanize.ParseBytes(v)
			if err != nil || n > math.MaxInt64 {
				return false
			}
			*field = int64(n)
			return true
		},
	}, "0")
}

// defaulted leaves a default out of the text.
func defaulted(v value, byDefault string) value {
	get := v.get
	v.get = func() string {
		if is := get(); is != byDefault {
			return is
		}
		return ""
	}
	return v
}

// parseDays is [time.ParseDuration], and whole days.
func parseDays(v string) (time.Duration, bool) {
	if n, ok := strings.CutSuffix(v, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		return time.Duration(days) * day, err == nil
	}
	d, err := time.ParseDuration(v)
	return d, err == nil
}

func oneOf[T ~string](values ...T) func(string) bool {
	return func(v string) bool { return slices.Contains(values, T(v)) }
}

func isWord(v string) bool  { return word.MatchString(v) }
func isClass(v string) bool { return class.MatchString(v) }

func isLine(v string) bool {
	return strings.TrimSpace(v) == v && !strings.ContainsFunc(v, unicode.IsControl)
}

// isServerURL refuses what a server is not found by, and what is secret.
func isServerURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && isLine(v)
}

// checkPlace refuses what is no place in a bucket.
func (s *Settings) checkPlace(u *url.URL) error {
	const form = "a store on S3 is s3://bucket/prefix?setting=value"
	switch {
	case u.User != nil:
		return fail.WithHint(fail.Usagef("the S3 URL holds credentials"), "credentials come from the environment, a profile or a role, never from a URL")
	case u.Scheme != "s3", u.Opaque != "", u.Fragment != "":
		return fail.WithHint(fail.Usagef("not the URL of a store on S3"), form)
	case !bucketName.MatchString(s.Bucket), strings.Contains(s.Bucket, ".."), net.ParseIP(s.Bucket) != nil:
		return fail.WithHint(fail.Usagef("the S3 URL names no valid bucket"), form)
	case len(s.Prefix) > maxPrefix:
		return fail.Usagef("the prefix in the S3 URL has %d bytes, %d are the most", len(s.Prefix), maxPrefix)
	case s.Prefix == "":
		return nil
	}
	for element := range strings.SplitSeq(s.Prefix, "/") {
		if storage.CheckElement(element) != nil {
			return fail.WithHint(fail.Usagef("the prefix in the S3 URL is invalid"), "its elements are made of A-Z a-z 0-9 . _ - and start with no dot")
		}
	}
	return nil
}

// checkTogether refuses settings that contradict each other.
func (s *Settings) checkTogether() error {
	switch {
	case s.LockMode != "" && s.LockFor == 0:
		return fail.Usagef("S3 setting lock-mode needs lock-for")
	case s.LockMode == "" && s.LockFor != 0:
		return fail.Usagef("S3 setting lock-for needs lock-mode")
	case s.SSEKMSKeyID != "" && !s.wantsKMS():
		return fail.Usagef("S3 setting sse-kms-key-id needs sse=%s", types.ServerSideEncryptionAwsKms)
	case s.LockMode != "" && s.Checksum == ChecksumNone:
		return fail.Usagef("S3 settings lock-mode and checksum=none exclude each other: S3 locks only what comes with a checksum")
	case s.StorageClass == types.StorageClassGlacier, s.StorageClass == types.StorageClassDeepArchive:
		return fail.WithHint(fail.Usagef("S3 setting storage-class: an archive cannot be read at once"), "a backup is read back when it is made, and must be there in a disaster: GLACIER_IR can")
	}
	return nil
}
