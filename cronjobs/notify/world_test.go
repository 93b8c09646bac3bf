package notify

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// secretPath is what a chat service puts a webhook's password into.
const secretPath = "/services/T0/s3cr3t"

// webhook is a real server that answers as it is told, and keeps what it was sent.
type webhook struct {
	*httptest.Server
	mu       sync.Mutex
	received []Event
	requests []*http.Request
	bodies   []string
	answers  []http.HandlerFunc // one after the other, then 200
}

func newWebhook(t *testing.T, answers ...http.HandlerFunc) *webhook {
	w := &webhook{answers: answers}
	w.Server = httptest.NewTLSServer(w)
	w.Config.ErrorLog = nil
	t.Cleanup(w.Close)
	return w
}

func (w *webhook) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var e Event
	_ = json.Unmarshal(body, &e)
	w.mu.Lock()
	answer := func(http.ResponseWriter, *http.Request) {}
	if len(w.answers) > 0 {
		answer, w.answers = w.answers[0], w.answers[1:]
	}
	w.received, w.requests, w.bodies = append(w.received, e), append(w.requests, r), append(w.bodies, string(body))
	w.mu.Unlock()
	answer(rw, r)
}

func (w *webhook) config(name string) config.Webhook {
	return config.Webhook{Name: name, URL: config.Secret(w.URL + secretPath), Headers: map[string]config.Secret{"Authorization": "Bearer h1dden"}}
}

// clusters are those of the events that came, one for each request.
func (w *webhook) clusters() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, e := range w.received {
		names = append(names, e.Cluster)
	}
	return strings.Join(names, " ")
}

func code(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, "some words")
	}
}

// hang never answers, and ends when the client has gone away.
func hang(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
	panic(http.ErrAbortHandler) // else there would be an answer, which a client in a hurry can still see
}

// reset breaks the connection.
func reset(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// told is a notifier under test, with a clock that goes on by its pauses only.
type told struct {
	t *testing.T
	*Notifier
	log    bytes.Buffer
	stop   context.CancelFunc
	ended  chan struct{}
	done   chan outcome
	mu     sync.Mutex
	now    time.Time
	pauses []time.Duration
}

// outcome is what Done was told.
type outcome struct {
	webhook string
	err     error
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newTold(t *testing.T, trusted ...*webhook) *told {
	n := &told{t: t, now: noon, ended: make(chan struct{}), done: make(chan outcome, 1000)}
	n.Notifier = New(Options{
		Now: n.clock, Sleep: n.sleep,
		Log:  slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Done: func(webhook string, err error) { n.done <- outcome{webhook, err} },
	})
	pool := x509.NewCertPool()
	for _, w := range trusted {
		pool.AddCert(w.Certificate())
	}
	n.client.Transport.(*http.Transport).TLSClientConfig.RootCAs = pool
	return n
}

func (n *told) clock() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

func (n *told) sleep(ctx context.Context, d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pauses = append(n.pauses, d)
	n.now = n.now.Add(d)
	return ctx.Err()
}

// start sends until the test ends, or end is called.
func (n *told) start() {
	ctx, cancel := context.WithCancel(n.t.Context())
	n.stop = cancel
	go func() {
		defer close(n.ended)
		n.Run(ctx, 30*time.Second)
	}()
	n.t.Cleanup(n.end)
}

// end ends it, and checks that nothing secret was said.
func (n *told) end() {
	n.stop()
	<-n.ended
	for _, secret := range []string{"s3cr3t", "h1dden", "127.0.0.1", "https:", "invalid.example"} {
		if strings.Contains(n.log.String(), secret) {
			n.t.Errorf("the log has %s:\n%s", secret, n.log.String())
		}
	}
}

// want waits for the end of one event for a webhook; says is "" if it was sent.
func (n *told) want(webhook, says string) {
	n.t.Helper()
	got := <-n.done
	text := ""
	if got.err != nil {
		text = got.err.Error()
	}
	if got.webhook != webhook || text != says {
		n.t.Errorf("done: %s, %q; want %s, %q", got.webhook, text, webhook, says)
	}
}

func failure(cluster string) Event {
	return Event{
		Kind: Failure, Time: noon, Instance: "cp-1", Cluster: cluster, Job: "snapshot",
		Text: cluster + ": snapshot failed", Error: "no member answers", Hint: "look at the members",
	}
}
