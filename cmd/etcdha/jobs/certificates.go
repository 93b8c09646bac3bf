package jobs

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/membership"
)

// certificateAge is how old the news of a server's certificate may be: one is renewed
// weeks before it expires.
const certificateAge = time.Hour

// certificates are those that the connections to a cluster rest on.
type certificates struct {
	mu      sync.Mutex
	servers map[string]shown // by endpoint
}

// shown is what a server has shown last.
type shown struct {
	asked   time.Time // when it answered
	expires time.Time // zero: never seen
	silent  bool      // it has not answered since
}

func newCertificates() *certificates { return &certificates{servers: make(map[string]shown)} }

// all are the certificates in use, those of members as far as they are in o, which may be nil.
func (c *certificates) all(ctx context.Context, w *Worker, o *membership.Observation) []status.Certificate {
	var all []status.Certificate
	for _, f := range []struct{ name, file string }{{"client", w.cluster.Cert}, {"CA", w.cluster.CACert}} {
		// A file that cannot be read is told by whoever connects with it.
		if expires, err := earliest(f.file); err == nil {
			all = append(all, status.Certificate{Name: f.name, Expires: expires})
		}
	}
	if o == nil {
		return all
	}
	servers := make([]shown, len(o.Members))
	var asking sync.WaitGroup
	for i := range o.Members {
		if m := &o.Members[i]; m.Endpoint != "" && !m.Ghost {
			asking.Go(func() { servers[i] = c.server(ctx, w, m.Endpoint) })
		}
	}
	asking.Wait()
	for i, s := range servers {
		if !s.expires.IsZero() {
			all = append(all, status.Certificate{Name: "server of " + o.Members[i].Label(), Expires: s.expires})
		}
	}
	return all
}

// server asks one that has not answered within the hour. One that does not say keeps what
// it had, and is asked again by the next look; that is logged once.
func (c *certificates) server(ctx context.Context, w *Worker, endpoint string) shown {
	c.mu.Lock()
	s := c.servers[endpoint]
	c.mu.Unlock()
	now := w.Now()
	if !s.asked.IsZero() && now.Sub(s.asked) < certificateAge {
		return s
	}
	certificate, err := w.etcd.ServerCertificate(ctx, endpoint)
	if err != nil {
		if !s.silent {
			w.Log.Warn("the certificate of a server cannot be seen", "error", err)
		}
		s.silent = true
	} else {
		s = shown{asked: now}
		if certificate != nil {
			s.expires = certificate.NotAfter
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers[endpoint] = s
	return s
}

// earliest is when the first certificate of a PEM file expires.
func earliest(file string) (time.Time, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, err
	}
	var first time.Time
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s: %w", file, err)
		}
		if first.IsZero() || certificate.NotAfter.Before(first) {
			first = certificate.NotAfter
		}
	}
	if first.IsZero() {
		return first, fmt.Errorf("%s holds no certificate", file)
	}
	return first, nil
}
