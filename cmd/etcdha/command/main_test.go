package command

import (
	"context"
	"os"
	"testing"
)

// TestMain lets the test binary be etcd, too, as etcdha is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		_ = Run(context.Background(), os.Args, "test") // ends with the process
		return
	}
	m.Run()
}
