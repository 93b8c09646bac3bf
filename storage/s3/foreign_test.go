package s3_test

import (
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// putForeign puts objects as another tool would.
func putForeign(t *testing.T, server *s3test.Server, names ...string) {
	t.Helper()
	for _, name := range names {
		bucket := bucket
		if _, err := server.Client().PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &bucket, Key: &name, Body: strings.NewReader("foreign")}); err != nil {
			t.Fatalf("put %q: %v", name, err)
		}
	}
}
