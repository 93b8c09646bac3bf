package atomicfile_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/etcdha/etcdha/internal/atomicfile"
)

// writerCommand makes the test binary a process that writes half a file.
const writerCommand = "half-writer"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == writerCommand {
		writeHalf(os.Args[2])
		return
	}
	m.Run()
}

// writeHalf says when it has written, and then waits to be killed.
func writeHalf(path string) {
	f, err := atomicfile.Create(path)
	if err == nil {
		_, err = f.Write(make([]byte, 1<<20))
	}
	_, _ = fmt.Fprintln(os.Stdout, "written, error:", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A killed process leaves the old file and no part of the new one.
func TestKilledWriterLeavesNothing(t *testing.T) {
	path := existing(t, "old")
	writer := exec.Command(os.Args[0], writerCommand, path)
	stdin, err := writer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if said != "written, error: <nil>\n" {
		t.Errorf("the writer says %q, %v", said, err)
	}
	alone(t, path) // even before, there is no name
	if err := writer.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Wait()
	if status, ok := writer.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Errorf("the writer ended with %v", writer.ProcessState)
	}
	holds(t, path, "old")
	alone(t, path)
}
