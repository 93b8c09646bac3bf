//go:build linux

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bin is where the Makefile has built what runs here.
var bin string

// The test binary plays three parts, told by this variable: that of whoever
// calls it, that of the lab, in which the tests run, and that of a host.
const partVariable = "ETCDHA_TEST_PART"

func TestMain(m *testing.M) {
	code, err := play(m, os.Getenv(partVariable))
	if err != nil {
		fmt.Fprintf(os.Stderr, "controlplane: %v\n", err)
		os.Exit(2) //nolint:forbidigo // a test binary's own exit
	}
	os.Exit(code) //nolint:forbidigo // likewise
}

func play(m *testing.M, part string) (int, error) {
	var err error
	if bin, err = filepath.Abs("../../bin"); err != nil {
		return 0, err
	}
	switch part {
	case "host":
		return 0, playHost()
	case "lab":
		if err := openLab(); err != nil {
			return 0, fmt.Errorf("make a network: %w", err)
		}
		return m.Run(), nil
	}
	for _, name := range []string{"etcdha", "kubernetes/kube-apiserver", "kubernetes/kubeadm", "kubeadm130/kubeadm", "etcd37/etcd"} {
		if _, err := os.Stat(tool(name)); err != nil {
			return 0, fmt.Errorf("%w\nhint: make test-kubernetes builds what these tests run", err)
		}
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return 0, fmt.Errorf("%w\nhint: it is in Debian's package iproute2", err)
	}
	return enterLab()
}

// tool is the path of a built binary, such as "etcd37/etcdctl".
func tool(name string) string { return filepath.Join(bin, name) }

// output runs a command in the lab, and returns what it says.
func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// patience is more than anything takes that is waited for here.
const patience = 3 * time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	if err := wait(t.Context(), patience, condition); err != nil {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

var errPatience = errors.New("it took too long")

// wait looks again and again whether a condition holds.
func wait(ctx context.Context, limit time.Duration, condition func() bool) error {
	deadline := time.Now().Add(limit)
	for !condition() {
		if ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(errPatience, ctx.Err())
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// check ends the test unless err is nil.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
