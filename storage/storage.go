// Package storage is where backups are kept: objects with slash-separated keys
// that are written once and never changed.
//
// What always holds for every [Store]: an object is visible only when it is
// complete and durable; it is never overwritten; a failed or interrupted Put
// leaves nothing that List or Open would show. The package storagetest proves
// it for each adapter.
//
// What only some stores have is an interface of one method that they implement
// beside Store: [Locker], [Sweeper], [Clock] and [Prober].
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Store keeps objects. It is safe for concurrent use. A method whose context is
// done ends soon, with the context's error; a context given to Open must live
// as long as what is read.
type Store interface {
	// Put creates the object key with everything that r yields until io.EOF.
	// If r fails, so does Put, with r's error, and nothing is stored.
	// An object that is there already is [ErrExist] and stays as it is.
	// A reader that knows how much it will yield says so: see [Sized].
	Put(ctx context.Context, key string, r io.Reader) error

	// Open returns the content of an object; the caller closes it.
	// An object that is not there is [ErrNotExist].
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// List yields the objects whose key begins with prefix, in the order of
	// their keys. It ends at the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Delete removes an object. One that is not there is no error; one that
	// the store keeps locked is [ErrLocked] and stays.
	Delete(ctx context.Context, key string) error

	// String is the store's URL, without anything secret in it.
	fmt.Stringer
}

// Object is what a listing tells about an object.
type Object struct {
	Key      string
	Size     int64     // bytes
	Modified time.Time // when it was put, by the store's clock
}

// Sized is what a reader given to Put may be. MaxSize is the most bytes that it
// should yield: what is divided into parts is divided by it.
type Sized interface{ MaxSize() int64 }

// Locker is a Store that can keep objects from being deleted for a time.
type Locker interface {
	// Lock says how an object is locked, for a person to read, or "".
	Lock(ctx context.Context, key string) (string, error)
}

// Sweeper is a Store in which a Put that was killed leaves what List does not
// show: temporary files, or parts of an upload.
type Sweeper interface {
	// Leftovers returns those that nothing was added to since before.
	Leftovers(ctx context.Context, before time.Time) ([]Leftover, error)
}

// Leftover is what a Put that was killed has left.
type Leftover struct {
	Name   string
	Since  time.Time // nothing was added after that
	Remove func(ctx context.Context) error
}

// Clock is a Store that tells its own time: what [Object.Modified] is reckoned
// with. It may be ahead of the caller's clock, or behind it.
type Clock interface {
	Now(ctx context.Context) (time.Time, error)
}

// Prober is a Store that can try out on itself more than the contract tells.
type Prober interface {
	// Probe tries it with objects below prefix, and removes them again as far
	// as the store lets it.
	Probe(ctx context.Context, prefix string) []Finding
}

// ProbePrefix is where a check of the store tries things out.
const ProbePrefix = "storage-check/"

// Finding is what was seen of one ability of a store.
type Finding struct {
	Name   string
	Asked  bool   // it has to be there; else it is only good to know
	Detail string // what was seen, for a person to read
	Err    error  // nil: the store has it
	Took   time.Duration
}

// Errors that callers branch on. Adapters wrap them with operation and key.
var (
	ErrExist       = errors.New("object exists already")
	ErrNotExist    = errors.New("no such object")
	ErrLocked      = errors.New("object is locked")
	ErrUnavailable = errors.New("store unavailable") // it does not answer, or is none
	ErrInvalidKey  = errors.New("invalid object key")
)

// maxKey leaves room for a prefix in the 1024 bytes that S3 gives a key.
const maxKey = 700

// CheckKey refuses keys that some store could not keep: at most 700 bytes in
// all, of elements of 1 to 255 of the characters A-Z a-z 0-9 . _ - that do not
// start with a dot.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w %.40q…, of %d bytes", ErrInvalidKey, key, len(key))
	}
	for element := range strings.SplitSeq(key, "/") {
		if err := CheckElement(element); err != nil {
			return fmt.Errorf("%w %q", err, key)
		}
	}
	return nil
}

// CheckElement is [CheckKey] for one element.
func CheckElement(element string) error {
	ok := element != "" && len(element) <= 255 && element[0] != '.'
	for _, c := range []byte(element) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-", c) >= 0)
	}
	if !ok {
		return ErrInvalidKey
	}
	return nil
}

// Opener opens a store of one URL scheme. create allows it to make what is
// missing, for a first backup.
type Opener func(ctx context.Context, u *url.URL, create bool) (Store, error)

// Openers are the stores that a program knows, by URL scheme. A plain
// directory has the scheme "file".
type Openers map[string]Opener

// Open opens the store at rawURL: a URL with a known scheme, or a directory.
func (o Openers) Open(ctx context.Context, rawURL string, create bool) (Store, error) {
	u := &url.URL{Scheme: "file", Path: rawURL}
	if strings.Contains(rawURL, "://") {
		var err error
		if u, err = url.Parse(rawURL); err != nil {
			// The parser's own error repeats the URL, which may hold a secret.
			return nil, fmt.Errorf("%w: store URL is malformed", ErrUnavailable)
		}
	}
	open, ok := o[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("%w: unknown scheme %q, known are: %s", ErrUnavailable, u.Scheme, strings.Join(o.schemes(), ", "))
	}
	return open(ctx, u, create)
}

func (o Openers) schemes() []string {
	var names []string
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
