package e2e

import (
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// startS3 starts an S3 server, which ends with the test. The binary finds its
// credentials in the environment.
func startS3(t *testing.T) *s3test.Server {
	t.Helper()
	server := s3test.Start(t, tool("versitygw"))
	server.Setenv(t)
	return server
}

// fillPlain puts keys whose values cannot be compressed, 2 KiB each.
func (c *cluster) fillPlain(t *testing.T, keys int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(3, 4))
	for first := 0; first < keys; first += 100 {
		var ops []clientv3.Op
		for i := first; i < min(keys, first+100); i++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("/registry/pods/ns/pod-%05d", i), noise(rnd, 2<<10)))
		}
		if _, err := c.client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// everything is what a cluster holds.
func everything(t *testing.T, client *clientv3.Client) map[string]string {
	t.Helper()
	out, err := client.Get(t.Context(), "", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, kv := range out.Kvs {
		all[string(kv.Key)] = string(kv.Value)
	}
	return all
}

// download copies the objects below a prefix of a bucket into a directory, by
// the plain SDK.
func download(t *testing.T, server *s3test.Server, bucket, prefix, dir string) {
	t.Helper()
	client := server.Client()
	for _, object := range server.Objects(t, bucket) {
		name, err := filepath.Rel(prefix, *object.Key)
		if err != nil || !filepath.IsLocal(name) {
			continue // of another prefix
		}
		out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: object.Key})
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(out.Body)
		out.Body.Close()
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copied is a copy of a file, in a directory of its own.
func copied(t *testing.T, file string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(file))
	must(t, "cp", file, to)
	return to
}

func fileSize(t *testing.T, file string) int64 {
	t.Helper()
	fi, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

// places are every step-th byte of size, and the last one.
func places(size, step int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for at := int64(0); at < size-1; at += step {
			if !yield(at) {
				return
			}
		}
		yield(size - 1)
	}
}
