package main

import (
	"io"
	"os/exec"
	"testing"
)

// The memory of a pipeline is that of all its commands together.
func TestMemoryIsSummed(t *testing.T) {
	const each = 32 << 20
	var pids []int
	for range 3 {
		cmd := exec.CommandContext(t.Context(), "dd", "if=/dev/zero", "bs=32M", "count=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test has ended it
		// It has read all before it writes, and then waits for us.
		if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	done := make(chan struct{})
	close(done)
	u := watchMemory(pids, done)
	for what, peak := range map[string]int64{"anonymous": u.anon, "resident": u.rss} {
		if peak < 3*each || peak > 4*each {
			t.Errorf("the %s peak is %d bytes, want little more than %d", what, peak, 3*each)
		}
	}
}
