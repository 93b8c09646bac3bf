package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the scripts. Besides the commands of testscript they have:
//
//	cluster [N]            start N (default 1) members of etcd 3.7, and point etcdha's environment at them
//	exits CODE CMD...      run a command that has to exit with CODE
//	flipbyte FILE OFFSET   change one byte; FILE may be a pattern
//	truncate FILE SIZE     cut a file; a negative SIZE cuts that many bytes off
//	resum RECORD           correct the SHA-256 that a manifest, report or hold has of itself
//	killmember MEMBER      end a member of the cluster at once
//	s3 BUCKET [lock]       make a bucket, with Object Lock or without, and point etcdha's environment at its server
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cluster":    cmdCluster,
			"exits":      cmdExits,
			"flipbyte":   cmdFlipByte,
			"truncate":   cmdTruncate,
			"resum":      cmdResum,
			"killmember": cmdKillMember,
			"s3":         s3Command(t),
		},
	})
}

func setUpScript(env *testscript.Env) error {
	env.Setenv("PATH", strings.Join([]string{bin, tool("etcd37"), os.Getenv("PATH")}, string(os.PathListSeparator)))
	env.Setenv("TMPDIR", filepath.Join(env.WorkDir, ".tmp"))
	env.Setenv("NO_COLOR", "1")
	return nil
}

func cmdCluster(ts *testscript.TestScript, neg bool, args []string) {
	members := 1
	if len(args) == 1 {
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		members = n
	}
	dir := ts.MkAbs("etcd")
	ts.Check(os.MkdirAll(dir, 0o700))
	c, err := newCluster(context.Background(), dir, "37", members)
	if c != nil {
		ts.Defer(func() { _ = c.close() })
	}
	ts.Check(err)
	config := c.Config()
	for _, prefix := range []string{"ETCDHA_", "ETCDCTL_"} {
		ts.Setenv(prefix+"ENDPOINTS", strings.Join(config.Endpoints, ","))
		ts.Setenv(prefix+"CACERT", config.CACert)
		ts.Setenv(prefix+"CERT", config.Cert)
		ts.Setenv(prefix+"KEY", config.Key)
	}
	for i, endpoint := range config.Endpoints {
		ts.Setenv(fmt.Sprintf("M%d", i+1), endpoint)
		ts.Setenv(fmt.Sprintf("M%d_DATA", i+1), c.Members[i].DataDir)
		ts.Setenv(fmt.Sprintf("M%d_PID", i+1), strconv.Itoa(c.Members[i].PID()))
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE CMD...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // testscript returns it as it is
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, expected %s", code, args[0])
	}
}

// one returns the only file that a pattern matches.
func one(ts *testscript.TestScript, pattern string) string {
	files, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s matches %d files", pattern, len(files))
	}
	return files[0]
}

func cmdFlipByte(ts *testscript.TestScript, neg bool, args []string) {
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(flipByte(one(ts, args[0]), offset))
}

// flipByte changes a byte of a file; a negative offset counts from the end.
func flipByte(file string, offset int64) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if offset < 0 {
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		offset += fi.Size()
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, offset); err != nil {
		return err
	}
	b[0] ^= 0x40
	_, err = f.WriteAt(b, offset)
	return err
}

func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	file := one(ts, args[0])
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	if size < 0 {
		fi, err := os.Stat(file)
		ts.Check(err)
		size += fi.Size()
	}
	ts.Check(os.Truncate(file, size))
}

func cmdKillMember(ts *testscript.TestScript, neg bool, args []string) {
	pid, err := strconv.Atoi(ts.Getenv(strings.ToUpper(args[0]) + "_PID"))
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
}
