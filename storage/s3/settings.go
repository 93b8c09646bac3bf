package s3

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/etcdha/etcdha/internal/fail"
)

// Settings say where a store is and what is asked of it. They hold nothing
// secret: credentials are the [Opener]'s, or come from where every AWS tool takes them.
type Settings struct {
	Bucket string
	Prefix string // what every key begins with, without slashes at its ends; may be ""

	Endpoint  string // URL of the server; "" is AWS, or what the AWS configuration says
	Region    string // "" is what the AWS configuration says
	Profile   string
	PathStyle bool   // the bucket stands in the path and not in the host name
	CAFile    string // PEM; trusted beside the CAs of the system
	Proxy     string // URL; "" is what HTTPS_PROXY says

	SSE          types.ServerSideEncryption // "" asks for none
	SSEKMSKeyID  string
	LockMode     types.ObjectLockMode // "" asks for no lock
	LockFor      time.Duration        // from the beginning of a Put
	StorageClass types.StorageClass   // "" is the server's choice
	Checksum     string               // ChecksumCRC32 or ChecksumNone

	Retries   int           // attempts a request, the first one included
	Timeout   time.Duration // how long a connection may make no progress
	RateLimit int64         // bytes a second that are uploaded; 0 is no limit
}

// Values of the setting checksum.
const (
	ChecksumCRC32 = "crc32"
	ChecksumNone  = "none"
)

const (
	defaultRetries = 5
	defaultTimeout = time.Minute
)

// Param is a setting by its name in the query of a store's URL. The command
// line makes a flag and an environment variable of each.
type Param struct {
	Name  string
	Usage string
	Bool  bool

	want  string // what its value has to be
	value func(*Settings) value
}

// Params are all the settings that the query of a store's URL may hold.
var Params = []Param{
	{Name: "endpoint", Usage: "URL of the S3 server", want: "a URL such as https://s3.example.com:9000, without credentials",
		value: func(s *Settings) value { return text(&s.Endpoint, isServerURL) }},
	{Name: "region", Usage: "region of the bucket", want: "a name such as eu-central-1",
		value: func(s *Settings) value { return text(&s.Region, isWord) }},
	{Name: "profile", Usage: "profile of the AWS configuration", want: "a name",
		value: func(s *Settings) value { return text(&s.Profile, isLine) }},
	{Name: "path-style", Usage: "name the bucket in the path of a request, not in its host name", Bool: true, want: "true or false",
		value: func(s *Settings) value { return toggle(&s.PathStyle) }},
	{Name: "ca-file", Usage: "PEM `FILE` of CAs to trust beside those of the system", want: "a file name",
		value: func(s *Settings) value { return text(&s.CAFile, isLine) }},
	{Name: "proxy", Usage: "URL of an HTTP proxy; one with a password goes into HTTPS_PROXY", want: "a URL such as http://proxy.example.com:3128, without credentials",
		value: func(s *Settings) value { return text(&s.Proxy, isServerURL) }},
	{Name: "sse", Usage: "encryption by the server: AES256, aws:kms or aws:kms:dsse", want: "AES256, aws:kms or aws:kms:dsse",
		value: func(s *Settings) value {
			return text(&s.SSE, oneOf(types.ServerSideEncryptionAes256, types.ServerSideEncryptionAwsKms, types.ServerSideEncryptionAwsKmsDsse))
		}},
	{Name: "sse-kms-key-id", Usage: "id, ARN or alias of the KMS key", want: "the id, ARN or alias of a key",
		value: func(s *Settings) value { return text(&s.SSEKMSKeyID, isLine) }},
	{Name: "lock-mode", Usage: "object lock: GOVERNANCE or COMPLIANCE", want: "GOVERNANCE or COMPLIANCE",
		value: func(s *Settings) value {
			return text(&s.LockMode, oneOf(types.ObjectLockModeGovernance, types.ObjectLockModeCompliance))
		}},
	{Name: "lock-for", Usage: "how long an object is locked, such as 30d or 720h", want: "a duration such as 30d or 720h, of 100 years at most",
		value: func(s *Settings) value { return span(&s.LockFor, 0, time.Second, maxLock) }},
	{Name: "storage-class", Usage: "storage class, such as STANDARD_IA", want: "a class such as STANDARD_IA",
		value: func(s *Settings) value { return text(&s.StorageClass, isClass) }},
	{Name: "checksum", Usage: "crc32, or none for a server that knows no checksums", want: "crc32 or none",
		value: func(s *Settings) value {
			return defaulted(text(&s.Checksum, oneOf(ChecksumCRC32, ChecksumNone)), ChecksumCRC32)
		}},
	{Name: "retries", Usage: "attempts a request", want: "a number from 1 to 100",
		value: func(s *Settings) value { return count(&s.Retries, defaultRetries, 1, 100) }},
	{Name: "timeout", Usage: "how long a connection may make no progress, such as 1m", want: "a duration from 1s to 1h",
		value: func(s *Settings) value { return span(&s.Timeout, defaultTimeout, time.Second, time.Hour) }},
	{Name: "rate-limit", Usage: "bytes a second to upload at most, such as 10MiB", want: "a number of bytes such as 10MiB",
		value: func(s *Settings) value { return bytes(&s.RateLimit) }},
}

// Parse reads the URL of a store: s3://bucket/prefix?name=value, with the names
// of [Params]. What is wrong with it is a [fail.ErrUsage] that repeats no value.
func Parse(u *url.URL) (Settings, error) {
	s := Settings{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/"), Checksum: ChecksumCRC32, Retries: defaultRetries, Timeout: defaultTimeout}
	if err := s.checkPlace(u); err != nil {
		return Settings{}, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Settings{}, fail.Usagef("the query of the S3 URL is malformed")
	}
	for name, values := range query {
		if err := s.set(name, values); err != nil {
			return Settings{}, err
		}
	}
	if err := s.checkTogether(); err != nil {
		return Settings{}, err
	}
	return s, nil
}

func (s *Settings) set(name string, values []string) error {
	i := slices.IndexFunc(Params, func(p Param) bool { return p.Name == name })
	switch {
	case i < 0:
		return unknown(name)
	case len(values) != 1:
		return fail.Usagef("S3 setting %s is given %d times", name, len(values))
	}
	p := Params[i]
	given := values[0]
	if p.Bool {
		given = cmp.Or(given, "true") // a name alone switches it on
	}
	if given == "" || !p.value(s).set(given) { // an empty one is a variable that was never filled
		return fail.Usagef("S3 setting %s: want %s", name, p.want)
	}
	return nil
}

func unknown(name string) error {
	err := fail.Usagef("the S3 URL has an unknown setting")
	if settingName.MatchString(name) { // and no secret that has lost its name
		err = fail.Usagef("unknown S3 setting %s", name)
	}
	var names []string
	for _, p := range Params {
		names = append(names, p.Name)
	}
	return fail.WithHint(err, "known are: %s; credentials come from the environment, a profile or a role, never from a URL", strings.Join(names, ", "))
}

// URL is what [Parse] reads as these settings. Defaults are left out.
func (s Settings) URL() *url.URL {
	query := url.Values{}
	for _, p := range Params {
		if v := p.value(&s).get(); v != "" {
			query.Set(p.Name, v)
		}
	}
	u := &url.URL{Scheme: "s3", Host: s.Bucket, RawQuery: legible.Replace(query.Encode())}
	if s.Prefix != "" {
		u.Path = "/" + s.Prefix
	}
	return u
}

// legible takes back the escapes that a query can do without.
var legible = strings.NewReplacer("%3A", ":", "%2F", "/")

func (s Settings) String() string { return s.URL().String() }

func (s Settings) wantsKMS() bool {
	return s.SSE == types.ServerSideEncryptionAwsKms || s.SSE == types.ServerSideEncryptionAwsKmsDsse
}

// prefixed is how a key of the contract is called in the bucket.
func (s Settings) prefixed(key string) string {
	if s.Prefix == "" {
		return key
	}
	return s.Prefix + "/" + key
}

func formatDays(d time.Duration) string {
	if d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}
