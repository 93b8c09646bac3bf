package s3_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/storage/s3"
	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// Credentials that are given are used, and not those of the environment.
func TestGivenCredentials(t *testing.T) {
	server := s3test.Start(t, binary)
	server.MakeBucket(t, "backups")
	server.Setenv(t)
	right := [2]string{server.AccessKey, server.SecretKey}
	wrong := [2]string{server.AccessKey, "a secret of somebody else"}
	for _, c := range []struct {
		name               string
		given, environment [2]string
		works              bool
	}{
		{"given", right, wrong, true},
		{"given, and nothing in the environment", right, [2]string{}, true},
		{"given are wrong ones", wrong, right, false},
		{"in the environment", [2]string{}, right, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", c.environment[0])
			t.Setenv("AWS_SECRET_ACCESS_KEY", c.environment[1])
			o := s3.Opener{Now: time.Now, AccessKey: c.given[0], SecretKey: c.given[1]}
			store, err := o.Open(t.Context(), server.URL("backups", "etcd"), false)
			if err != nil {
				t.Fatal(err)
			}
			for _, err = range store.List(t.Context(), "") {
			}
			if (err == nil) != c.works {
				t.Errorf("list: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), wrong[1]) || strings.Contains(err.Error(), right[1])) {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}
