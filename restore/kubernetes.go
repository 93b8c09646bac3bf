package restore

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	return checkNotAnswering(ctx, url)
}

func checkNotAnswering(ctx context.Context, url string) error {
	if !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
		return fail.WithHint(fail.Usagef("--apiserver %q is no URL", url), "for example https://127.0.0.1:6443")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// An apiserver without etcd can take its time to answer. Who accepts a
	// connection and keeps it lives; only who closes it is nobody.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				connected.Store(true)
			}
		},
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/readyz", nil)
	if err != nil {
		return fail.Usagef("--apiserver: %v", err)
	}
	// Any answer at all shows that it runs, so that nothing has to be trusted.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // see above
	resp, err := client.Do(req)
	if err != nil {
		silent := connected.Load() && errors.Is(err, context.DeadlineExceeded)
		if !silent && !speaksTLS(err) {
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
