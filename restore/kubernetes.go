package restore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

const apiserverHint = "stop every kube-apiserver first (on a kubeadm host: move kube-apiserver.yaml out of /etc/kubernetes/manifests); " +
	"its caches and controllers would act on a past that is gone. --apiserver-stopped goes on all the same"

// CheckNoAPIServer refuses, as [fail.ErrUnsafe], while a kube-apiserver runs on
// this host, or answers at url unless that is "". An apiserver that lives
// through a restore serves from its cache what etcd no longer holds.
func CheckNoAPIServer(ctx context.Context, url string) error {
	if pid := findProcess("/proc", "kube-apiserver"); pid != "" {
		return fail.WithHint(fail.Unsafef("a kube-apiserver runs on this host (process %s)", pid), apiserverHint)
	}
	if url == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return fail.Usagef("--apiserver: %v", err)
	}
	// Any answer at all shows that it runs, so that nothing has to be trusted.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	resp, err := client.Do(req)
	if err != nil {
		if !speaksTLS(err) {
			return nil // nobody is there, or a load balancer with nobody behind it
		}
	} else {
		_ = resp.Body.Close()
	}
	return fail.WithHint(fail.Unsafef("a kube-apiserver answers at %s", url), apiserverHint)
}

// speaksTLS tells whether err is a server's word about the connection.
func speaksTLS(err error) bool {
	_, alert := errors.AsType[tls.AlertError](err)
	_, header := errors.AsType[tls.RecordHeaderError](err)
	return alert || header || strings.Contains(err.Error(), "remote error: tls")
}

// findProcess returns the id of a process whose command has the base name, or "".
// On systems without proc there is none to be found.
func findProcess(proc, name string) string {
	lines, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline"))
	for _, file := range lines {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		command, _, _ := strings.Cut(string(data), "\x00")
		if filepath.Base(command) == name {
			return filepath.Base(filepath.Dir(file))
		}
	}
	return ""
}

// Digest returns what identifies the content of a snapshot for [NewToken]: the
// SHA-256 of the db without its trailer, as manifests have it.
func Digest(f *os.File) (string, error) {
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	size := fi.Size()
	if size%512 == sha256.Size {
		size -= sha256.Size
	}
	h := sha256.New()
	if _, err := io.Copy(h, bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<20)); err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
