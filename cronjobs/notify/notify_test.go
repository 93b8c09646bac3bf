package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

func TestAWebhookIsTold(t *testing.T) {
	chat, other := newWebhook(t), newWebhook(t)
	n := newTold(t, chat, other)
	n.Use([]config.Webhook{chat.config("chat"), other.config("other")})
	n.start()
	sent := failure("a")
	n.Tell(sent)
	<-n.done
	<-n.done
	if other.clusters() != "a" || len(chat.received) != 1 || !reflect.DeepEqual(chat.received[0], sent) {
		t.Errorf("received: %+v, %q", chat.received, other.clusters())
	}
	r := chat.requests[0]
	if r.Method != http.MethodPost || r.URL.Path != secretPath || r.Header.Get("Authorization") != "Bearer h1dden" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("request: %s %s %v", r.Method, r.URL, r.Header)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(chat.bodies[0]), &fields); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"kind": "failure", "time": "2026-03-01T12:00:00Z", "instance": "cp-1", "cluster": "a", "job": "snapshot",
		"text": "a: snapshot failed", "error": "no member answers", "hint": "look at the members",
	}
	if !reflect.DeepEqual(fields, want) {
		t.Errorf("body: %s", chat.bodies[0])
	}
}

// What goes away is tried again, in the same order, after growing pauses.
func TestAWebhookInTrouble(t *testing.T) {
	w := newWebhook(t, code(500), reset, code(503), code(429), code(408), code(200), code(204))
	n := newTold(t, w)
	n.Use([]config.Webhook{w.config("chat")})
	n.Tell(failure("a"))
	n.Tell(failure("b"))
	n.start()
	n.want("chat", "")
	n.want("chat", "")
	if got := w.clusters(); got != "a a a a a a b" {
		t.Errorf("received: %s", got)
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}; !reflect.DeepEqual(n.pauses, want) {
		t.Errorf("pauses: %v", n.pauses)
	}
	n.end()
	for _, says := range []string{"it answered 500", "the connection ended without an answer", "it answered 429"} {
		if !strings.Contains(n.log.String(), says) {
			t.Errorf("no %q in the log:\n%s", says, n.log.String())
		}
	}
}

func TestWhatNobodyWillTake(t *testing.T) {
	for status, says := range map[int]string{
		400: "it answered 400", 401: "it answered 401", 404: "it answered 404", 410: "it answered 410",
		302: "it answered 302, a redirect, which is not followed", 307: "it answered 307, a redirect, which is not followed",
	} {
		elsewhere := newWebhook(t)
		w := newWebhook(t, code(status, "Location", elsewhere.URL+"/stolen"))
		n := newTold(t, w, elsewhere)
		n.Use([]config.Webhook{w.config("chat")})
		n.start()
		n.Tell(failure("a"))
		n.want("chat", says)
		n.Tell(failure("b")) // the next one is another matter
		n.want("chat", "")
		if got := w.clusters(); got != "a b" || elsewhere.clusters() != "" {
			t.Errorf("%d: received: %q, elsewhere %q", status, got, elsewhere.clusters())
		}
		n.end()
	}
}

func TestItIsAskedToWait(t *testing.T) {
	date := noon.Add(1030 * time.Second).Format(http.TimeFormat)
	w := newWebhook(t, code(429, "Retry-After", "1000"), code(503, "Retry-After", date), code(503, "Retry-After", "soon"),
		code(503, "Retry-After", "-1"), code(429, "Retry-After", "7200"))
	n := newTold(t, w)
	n.Use([]config.Webhook{w.config("chat")})
	n.start()
	n.Tell(failure("a"))
	n.want("chat", "") // two hours are too long: it is tried before
	if want := []time.Duration{1000 * time.Second, 30 * time.Second, 4 * time.Second, 8 * time.Second, maxPause}; !reflect.DeepEqual(n.pauses, want) {
		t.Errorf("pauses: %v", n.pauses)
	}
}

func TestAWebhookThatHangs(t *testing.T) {
	w := newWebhook(t, hang)
	n := newTold(t, w)
	n.tryTimeout = 200 * time.Millisecond
	n.Use([]config.Webhook{w.config("chat")})
	n.start()
	n.Tell(failure("a"))
	n.want("chat", "")
	if got := w.clusters(); got != "a a" {
		t.Errorf("received: %s", got)
	}
	n.end()
	if !strings.Contains(n.log.String(), "no answer within 200ms") {
		t.Errorf("log:\n%s", n.log.String())
	}
}

// None of these may be tried in the clear, or be named.
func TestWebhooksThatCannotBeReached(t *testing.T) {
	untrusted := newWebhook(t)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for url, says := range map[string]string{
		untrusted.URL + secretPath:               "its certificate cannot be trusted",
		gone.URL + secretPath:                    "it cannot be reached: connection refused",
		"https://invalid.example\x7f/s3cr3t":     "its URL is none",
		"nothing://invalid.example" + secretPath: "it cannot be reached",
	} {
		n := newTold(t)
		n.Use([]config.Webhook{{Name: "chat", URL: config.Secret(url)}})
		n.start()
		n.Tell(failure("a"))
		n.want("chat", says) // after an hour by the test's clock
		n.end()
		if untrusted.clusters() != "" {
			t.Errorf("it was told %s", untrusted.clusters())
		}
	}
}

// told once an hour of trying is over, each event is dropped by itself.
func TestEventsGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTold(t)
		n.o.Now, n.o.Sleep = time.Now, pauseFor
		var tries []time.Duration
		began := time.Now()
		n.client.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			tries = append(tries, time.Since(began))
			return nil, fmt.Errorf("down")
		})
		n.Use([]config.Webhook{{Name: "chat", URL: "https://invalid.example" + secretPath}})
		n.start()
		n.Tell(failure("a"))
		n.want("chat", "it cannot be reached")
		last := tries[len(tries)-1]
		if last > time.Hour || last < 55*time.Minute || len(tries) != 20 {
			t.Errorf("%d tries, the last one after %s: %v", len(tries), last, tries)
		}
		if gap := tries[len(tries)-1] - tries[len(tries)-2]; gap != maxPause {
			t.Errorf("the last pause is %s", gap)
		}
		n.end()
	})
}

// roundTrip is a transport without a network, for fake time.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The oldest ones make room, and all that waits keeps its order.
func TestTooManyEvents(t *testing.T) {
	w := newWebhook(t)
	n := newTold(t, w)
	n.Use([]config.Webhook{w.config("chat")})
	for i := range maxWaiting + 2 {
		n.Tell(failure(fmt.Sprint(i)))
	}
	n.want("chat", "too many events wait for it")
	n.want("chat", "too many events wait for it")
	n.start()
	for range maxWaiting {
		n.want("chat", "")
	}
	if got := strings.Fields(w.clusters()); len(got) != maxWaiting || got[0] != "2" || got[maxWaiting-1] != "101" {
		t.Errorf("received: %v", got)
	}
	n.end()
	if c := strings.Count(n.log.String(), "a webhook was not told"); c != 2 {
		t.Errorf("logged %d times:\n%s", c, n.log.String())
	}
}

func TestAnotherConfiguration(t *testing.T) {
	first, second := newWebhook(t), newWebhook(t)
	n := newTold(t, first, second)
	stays := first.config("stays")
	n.Use([]config.Webhook{stays, first.config("goes")})
	n.Tell(failure("a"))
	stays.URL = config.Secret(second.URL + secretPath)
	n.Use([]config.Webhook{stays, second.config("comes")})
	n.want("goes", "it is not in the configuration any more")
	n.Tell(failure("b"))
	n.start()
	for range 3 {
		if got := <-n.done; got.err != nil {
			t.Errorf("%+v", got)
		}
	}
	if first.clusters() != "" || !strings.Contains(second.clusters(), "a") || strings.Count(second.clusters(), "b") != 2 {
		t.Errorf("received: %q, %q", first.clusters(), second.clusters())
	}
	n.Use(nil) // while it runs
	n.Tell(failure("c"))
	n.Use([]config.Webhook{first.config("again")})
	n.Tell(failure("d"))
	n.want("again", "")
	if first.clusters() != "d" {
		t.Errorf("received: %q", first.clusters())
	}
}

// A webhook that is taken out while it is in trouble is not tried again.
func TestAWebhookGoesInTheMiddle(t *testing.T) {
	w := newWebhook(t, code(500))
	n := newTold(t, w)
	pausing := make(chan struct{})
	n.o.Sleep = func(ctx context.Context, _ time.Duration) error {
		close(pausing)
		<-ctx.Done()
		return ctx.Err()
	}
	n.Use([]config.Webhook{w.config("chat")})
	n.start()
	n.Tell(failure("a"))
	<-pausing
	n.Use(nil)
	n.want("chat", "it is not in the configuration any more")
	if got := w.clusters(); got != "a" {
		t.Errorf("received: %s", got)
	}
}

// What waits at the end is tried once more: what is in a pause, and what is behind it.
func TestTheEnd(t *testing.T) {
	w := newWebhook(t, code(500), code(500))
	n := newTold(t, w)
	pausing := make(chan struct{})
	n.o.Sleep = func(ctx context.Context, _ time.Duration) error {
		close(pausing)
		<-ctx.Done()
		return ctx.Err()
	}
	n.Use([]config.Webhook{w.config("chat")})
	n.Tell(failure("a"))
	n.Tell(failure("b"))
	n.start()
	<-pausing
	n.end()
	n.want("chat", "it answered 500")
	n.want("chat", "")
	if got := w.clusters(); got != "a a b" {
		t.Errorf("received: %s", got)
	}
}

// A try that goes on at the end has the grace, and no longer.
func TestTheGrace(t *testing.T) {
	asked := make(chan struct{})
	w := newWebhook(t, func(rw http.ResponseWriter, r *http.Request) { close(asked); hang(rw, r) }, hang)
	n := newTold(t, w)
	n.Use([]config.Webhook{w.config("chat")})
	n.Tell(failure("a"))
	n.Tell(failure("b"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx, 50*time.Millisecond) }()
	<-asked
	cancel()
	<-ended
	n.want("chat", "this instance ended before it answered")
	n.want("chat", "this instance ended before it answered")
}
