package membership

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// clockTimeout is short: the answer is for a finding, not for a decision.
const clockTimeout = time.Second

// clock returns how far the clock of the host behind an endpoint is ahead of
// ours, or nil. etcd tells the time in no message, but every HTTP server does in
// its Date header, by the second; "/version" is served to everyone who may
// connect, unless etcd was told to serve HTTP elsewhere. An endpoint is asked
// once: clocks do not drift apart within a command.
func (c *EtcdClient) clock(ctx context.Context, endpoint string) *time.Duration {
	c.mu.Lock()
	ahead, asked := c.clocks[endpoint]
	c.mu.Unlock()
	if asked {
		return ahead
	}
	ahead = c.askClock(ctx, endpoint)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clocks[endpoint] = ahead
	return ahead
}

func (c *EtcdClient) askClock(ctx context.Context, endpoint string) *time.Duration {
	transport, url := c.versionURL(endpoint)
	if transport == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil
	}
	begin := c.now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	end := c.now()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return nil
	}
	// The header cuts off the fraction of the second, which is half a one on average.
	ahead := date.Add(time.Second / 2).Sub(begin.Add(end.Sub(begin) / 2).Round(0))
	return &ahead
}

// versionURL is where an endpoint tells its version, and how it is asked; nil if
// the configuration does not say.
func (c *EtcdClient) versionURL(endpoint string) (*http.Transport, string) {
	config, err := clientv3.NewClientConfig(&clientv3.ConfigSpec{Secure: &clientv3.SecureConfig{
		Cert:               c.config.Cert,
		Key:                c.config.Key,
		Cacert:             c.config.CACert,
		InsecureTransport:  c.config.InsecureTransport,
		InsecureSkipVerify: c.config.InsecureSkipVerify,
	}}, zap.NewNop())
	if err != nil {
		return nil, ""
	}
	if !strings.Contains(endpoint, "://") {
		scheme := "http://"
		if config.TLS != nil {
			scheme = "https://"
		}
		endpoint = scheme + endpoint
	}
	return &http.Transport{TLSClientConfig: config.TLS, DisableKeepAlives: true}, strings.TrimSuffix(endpoint, "/") + "/version"
}
