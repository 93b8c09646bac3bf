package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

const (
	// tryTimeout bounds one try with all of its connection and answer.
	tryTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, and thrown away, so that its connection
	// can be used again.
	maxAnswer = 64 << 10
)

// newClient returns a client that sends what it is given where it is told to: no
// redirect is followed, since it could lead an event and its headers to another host, and would make a
// GET without the event of most of them.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// retry is an error that may go away.
type retry struct {
	what  string
	after time.Duration // not before, as the webhook has asked; may be 0
}

func (r *retry) Error() string { return r.what }

// try sends an event once. Its error never has the URL in it.
func (h *hook) try(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(ctx, h.tryTimeout)
	defer cancel()
	r, err := h.request(ctx, e)
	if err != nil {
		return err
	}
	answer, err := h.client.Do(r)
	if err != nil {
		return &retry{what: h.explain(ctx, err)}
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer)) // the status says all
	return judge(answer, h.o.Now())
}

func (h *hook) request(ctx context.Context, e Event) (*http.Request, error) {
	h.mu.Lock()
	c := h.config
	h.mu.Unlock()
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode the event: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its URL is none") // err has it
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "etcdha")
	for name, value := range c.Headers {
		r.Header.Set(name, value.Reveal())
	}
	return r, nil
}

// judge tells what an answer means for the event.
func judge(answer *http.Response, now time.Time) error {
	what := "it answered " + strconv.Itoa(answer.StatusCode)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return errors.New(what + ", a redirect, which is not followed")
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return &retry{what: what, after: retryAfter(answer.Header.Get("Retry-After"), now)}
	}
	return errors.New(what)
}

// retryAfter reads the header of that name: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// explain says what is wrong in words of its own: errors of net/http and below have the
// URL, its host or its address in them.
func (h *hook) explain(ctx context.Context, err error) string {
	switch ctx.Err() {
	case context.DeadlineExceeded:
		return fmt.Sprintf("no answer within %s", h.tryTimeout)
	case context.Canceled:
		return "this instance ended before it answered"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the name of its host cannot be resolved"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate cannot be trusted"
	}
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		return "it cannot be reached: " + code.Error()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection ended without an answer"
	}
	return "it cannot be reached"
}
