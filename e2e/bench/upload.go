package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/storage/s3"
)

const (
	requiredUpload  = 4 << 30 // bytes, with which the memory of an upload is measured
	announcedUpload = 8 << 30 // bytes, of the db that the parts are chosen for

	uploadObject = "object"

	// uploadMode, a URL and a size in bytes make this program do the upload, as
	// a process of its own, so that all memory is the upload's.
	uploadMode = "put-random-bytes"
)

// measureUpload measures one Put of a store on S3.
func measureUpload(ctx context.Context, o *options, g *gateway) (result, error) {
	size := o.upload << 20
	r := result{comparison: comparison{ours: contender{name: fmt.Sprintf("put of %.4g GiB on S3", float64(size)/(1<<30))}, uploads: true}}
	program, err := os.Executable()
	if err != nil {
		return r, err
	}
	o.progress("uploading %d MiB", o.upload)
	put := pipeline{{program, uploadMode, g.url("upload"), strconv.FormatInt(size, 10)}}
	u, _, err := measure(ctx, put, append(environment(g.dir), g.env()...))
	if err != nil {
		return r, err
	}
	object, err := os.Stat(g.path("upload", uploadObject))
	if err != nil {
		return r, fmt.Errorf("look at the upload: %w", err)
	}
	if object.Size() != size {
		return r, fmt.Errorf("the upload of %d bytes has left %d", size, object.Size())
	}
	r.oursUsed = []usage{u}
	return r, os.RemoveAll(g.path("upload"))
}

// runUpload is the other process.
func runUpload(rawURL, size string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := upload(ctx, rawURL, size); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitFailed
	}
	return 0
}

func upload(ctx context.Context, rawURL, size string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	store, err := s3.Opener{Now: time.Now, Random: rand.Reader}.Open(ctx, u, false)
	if err != nil {
		return err
	}
	return store.Put(ctx, uploadObject, announced{io.LimitReader(mathrand.NewChaCha8([32]byte{}), n)})
}

// announced is a reader that may yield more than it does.
type announced struct{ io.Reader }

func (announced) MaxSize() int64 { return announcedUpload }
