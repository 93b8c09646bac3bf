package s3

import (
	"errors"
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
