package listen

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// Two daemons with one path would take the socket from each other, and the first would never know.
func TestASocketThatAnswersIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unix(path); !errors.Is(err, fail.ErrUsage) || fail.Hint(err) == "" {
		t.Errorf("a second one: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first one: %v", err)
	} else {
		c.Close()
	}
	l.Close()
	again, err := Unix(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// The longest path that is allowed works, and a longer one is refused before anything is made.
func TestALongPath(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	long := filepath.Join(dir, strings.Repeat("d", maxPath-len(dir)-len("/")-len("/"+prefix+"/"+first)-digits))
	for _, d := range []string{long, long + "d"} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Unix(filepath.Join(long, "s.sock"))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Unix(filepath.Join(long+"d", "s")); !errors.Is(err, fail.ErrUsage) || fail.Hint(err) == "" {
		t.Errorf("one byte more: %v", err)
	}
	if _, err := Unix(filepath.Join(dir, strings.Repeat("n", maxPath))); !errors.Is(err, fail.ErrUsage) {
		t.Errorf("a long name: %v", err)
	}
}
