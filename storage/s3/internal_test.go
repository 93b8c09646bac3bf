package s3

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

// Twice what is announced fits into the parts, and the parts into memory.
func TestParts(t *testing.T) {
	for _, maxSize := range []int64{0, 1, part - 1, part, 8 << 30, 40 << 30, 58 << 30} {
		size, concurrency := parts(maxSize)
		if size < 5<<20 || size*maxParts < 2*maxSize || concurrency < 1 {
			t.Errorf("%d bytes: %d at a time of %d", maxSize, concurrency, size)
		}
		if buffers := int64(concurrency+spareBuffers) * size; buffers > maxBuffers {
			t.Errorf("%d bytes take buffers of %d bytes, want %d at most", maxSize, buffers, maxBuffers)
		}
	}
}

const part = defaultPart

// A key is named by its id, its ARN or an alias; the server answers an ARN.
func TestSameKey(t *testing.T) {
	const arn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"
	for asked, want := range map[string]bool{
		"1234abcd": true, arn: true, "alias/backups": true, "arn:aws:kms:eu-central-1:111122223333:alias/backups": true,
		"abcd": false, "": false, "arn:aws:kms:eu-west-1:111122223333:key/1234abcd": false, arn + "e": false,
	} {
		if is := sameKey(asked, arn); is != want {
			t.Errorf("sameKey(%q): %v, want %v", asked, is, want)
		}
		if sameKey(asked, "") {
			t.Errorf("sameKey(%q) of no key", asked)
		}
	}
	if !sameKey("backups", "backups") || !sameKey("backups", "arn:aws:kms:backups") {
		t.Error("a server that names its keys otherwise is not understood")
	}
}

// The transport repeats the URL of a proxy that it cannot read.
func TestMalformedProxyIsNotRepeated(t *testing.T) {
	refused := &url.Error{Op: "Get", URL: "https://s3.example.com", Err: errors.New(`invalid proxy address "http://user:hunter2@:bad": no port`)}
	if err := failed(t.Context(), refused); strings.Contains(err.Error(), "hunter2") || !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the error is %v", err)
	}
}

// Whatever the proxy is, credentials are not asked for through it.
func TestWhatIsReachedWithoutAProxy(t *testing.T) {
	t.Setenv("NO_PROXY", "internal.example.com,10.0.0.0/8")
	t.Setenv("HTTP_PROXY", "http://proxy.example.com:3128")
	t.Setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
	for _, setting := range []string{"", "http://proxy.example.com:3128"} {
		choose := proxyFor(setting)
		for asked, want := range map[string]bool{
			"https://s3.eu-central-1.amazonaws.com/backups": true,
			"http://s3.example.com:9000/":                   true,
			"https://192.0.2.1/":                            true,
			"https://sts.amazonaws.com/":                    true,
			"https://[2001:db8::1]/":                        true,
			"http://169.254.169.254/latest/api/token":       false, // of an instance
			"http://[fd00:ec2::254]/latest/api/token":       false,
			"http://169.254.170.2/v2/credentials":           false, // of a container
			"http://169.254.170.23/v1/credentials":          false, // of a pod
			"http://[fd00:ec2::23]/v1/credentials":          false,
			"http://[fe80::1%25eth0]/":                      false,
			"http://[::ffff:169.254.169.254]/":              false,
			"http://127.0.0.1:9000/":                        false,
			"https://localhost:9000/":                       false,
			"http://[::1]/":                                 false,
			"https://s3.internal.example.com/":              false,
			"https://10.1.2.3/":                             false,
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, asked, nil)
			if err != nil {
				t.Fatal(err)
			}
			if proxy, err := choose(r); (proxy != nil) != want || err != nil {
				t.Errorf("with setting %q, %s goes through %v (%v)", setting, asked, proxy, err)
			}
		}
	}
}
