package etcdservers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What has no end, or waits for somebody to write, is not read, whoever names it;
// and a message has the name that was given.
func TestFilesThatAreNone(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/kubernetes/manifests/kube-apiserver.yaml", manifest, 0o600)
	write(t, root, "etc/large", strings.Repeat("#", maxSize+1), 0o600)
	write(t, root, unitPath, serviceWith("EnvironmentFile=/etc/fifo", "ExecStart=/etc/fifo $OPTS"), 0o600)
	for _, name := range []string{"etc/fifo", "etc/kubernetes/manifests/fifo"} {
		if err := syscall.Mkfifo(filepath.Join(root, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"etc/endless", "etc/kubernetes/manifests/endless"} {
		if err := os.Symlink("/dev/zero", filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	host := os.DirFS(root)
	for name, reason := range map[string]string{
		"/etc/fifo": "/etc/fifo: is no regular file", "/etc/endless": "is no regular file", "/etc": "/etc: is no regular file",
		"/etc/large": "is too large", unitPath: "/etc/fifo: is no regular file",
	} {
		_, err := Read(host, name)
		refused(t, err, reason)
	}
	if _, err := Read(host, "/etc/none"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), " /etc/none:") {
		t.Errorf("%v", err)
	}
	find(t, host, "/etc/kubernetes/manifests/kube-apiserver.yaml", unitPath)
	if isScript(host, "/etc/fifo") {
		t.Error("a FIFO is a script")
	}
}
