package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// sumLength is how long the last member of a record is, with what closes it:
// see docs/recover-by-hand.md.
const sumLength = 83

// cmdResum gives a record that was edited the SHA-256 that it has now, as
// anybody can who may write to a store.
func cmdResum(ts *testscript.TestScript, neg bool, args []string) {
	for _, pattern := range args {
		file := one(ts, pattern)
		data, err := os.ReadFile(file)
		ts.Check(err)
		ts.Check(os.WriteFile(file, resummed(data), 0o600))
	}
}

// resummed is a record with the SHA-256 of what it says now.
func resummed(record []byte) []byte {
	body := record[:len(record)-sumLength]
	return fmt.Appendf(bytes.Clone(body), ",\n  \"sha256\": \"%x\"\n}\n", sha256.Sum256(body))
}

// s3Command is the command s3. All scripts share one server, which the first
// of them starts.
func s3Command(t *testing.T) func(*testscript.TestScript, bool, []string) {
	server := sync.OnceValue(func() *s3test.Server { return s3test.Start(t, tool("versitygw")) })
	return func(ts *testscript.TestScript, neg bool, args []string) {
		lock := len(args) == 2 && args[1] == "lock"
		if neg || len(args) == 0 || len(args) == 2 && !lock || len(args) > 2 {
			ts.Fatalf("usage: s3 BUCKET [lock]")
		}
		if lock {
			server().MakeLockBucket(t, args[0])
		} else {
			server().MakeBucket(t, args[0])
		}
		for _, pair := range server().Env() {
			name, value, _ := strings.Cut(pair, "=")
			ts.Setenv(name, value)
		}
		ts.Setenv("ETCDHA_S3_ENDPOINT", server().Endpoint)
		ts.Setenv("ETCDHA_S3_CA_FILE", server().CAFile)
		ts.Setenv("ETCDHA_S3_PATH_STYLE", "true")
	}
}
