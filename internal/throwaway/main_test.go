package throwaway_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// What else the test binary is, by its first argument.
const (
	memberCommand = "throwaway-member" // etcd
	parentCommand = "cluster-parent"   // a process that has a cluster, and waits
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == memberCommand:
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
	case len(os.Args) > 2 && os.Args[1] == parentCommand:
		haveCluster(os.Args[2])
	default:
		m.Run()
	}
}

// haveCluster starts a cluster below parent, says where it is, and does not
// end by itself.
func haveCluster(parent string) {
	c, err := throwaway.New(options(parent, 2))
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		err = c.Start(ctx)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "error:", err)
		return
	}
	_, _ = fmt.Fprintln(os.Stdout, c.Dir)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// patience is for what takes a second or two on a machine that has time.
const patience = time.Minute

func options(parent string, members int) throwaway.Options {
	return throwaway.Options{
		Parent:  parent,
		Members: members,
		Command: []string{os.Args[0], memberCommand},
		Token:   "test",
		Now:     time.Now,
	}
}

// newCluster makes a cluster that ends with the test. Nothing runs yet.
func newCluster(t *testing.T, o throwaway.Options) *throwaway.Cluster {
	t.Helper()
	c, err := throwaway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill) // Close is for the test to see
	return c
}
