package listen

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

func TestASocketIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	killed, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	killed.(*net.UnixListener).SetUnlinkOnClose(false)
	killed.Close() // a process that was killed leaves its socket

	l, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v", info, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	accepted := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = c.Write([]byte("here"))
			c.Close()
		}
		accepted <- err
	}()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	said := make([]byte, 4)
	if _, err := c.Read(said); string(said) != "here" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

func TestAFileIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Unix(path); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("at a file: %v", err)
	}
	if data, err := os.ReadFile(path); string(data) != "kept" {
		t.Errorf("the file: %q, %v", data, err)
	}
}

func TestADirectoryThatIsNotThere(t *testing.T) {
	if _, err := Unix(filepath.Join(t.TempDir(), "none", "s.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
