// Package storage is where backups are kept: objects with slash-separated keys
// that are written once and never changed.
//
// What always holds for every [Store]: an object is visible only when it is
// complete and durable; it is never overwritten; a failed or interrupted Put
// leaves nothing that List or Open would show. The package storagetest proves
// it for each adapter.
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
)

// Store keeps objects. It is safe for concurrent use.
type Store interface {
	// Put creates the object key with everything that r yields until io.EOF.
	// If r fails, so does Put, with r's error, and nothing is stored.
	// An object that is there already is [ErrExist] and stays as it is.
	Put(ctx context.Context, key string, r io.Reader) error

	// Open returns the content of an object; the caller closes it.
	// An object that is not there is [ErrNotExist].
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// List yields the objects whose key begins with prefix, in the order of
	// their keys. It ends at the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// String is the store's URL, without anything secret in it.
	String() string
}

// Object is what a listing tells about an object.
type Object struct {
	Key  string
	Size int64 // bytes
}

// Errors that callers branch on. Adapters wrap them with operation and key.
var (
	ErrExist       = errors.New("object exists already")
	ErrNotExist    = errors.New("no such object")
	ErrUnavailable = errors.New("store unavailable") // it does not answer, or is none
	ErrInvalidKey  = errors.New("invalid object key")
)

// CheckKey refuses keys that some store could not keep: elements must be 1 to
// 255 of the characters A-Z a-z 0-9 . _ - and not start with a dot.
func CheckKey(key string) error {
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
