package s3test

import (
	"cmp"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// Proxy stands between a store and a [Server], and breaks the requests that a
// test has planned to break. The store trusts it as it trusts the server.
type Proxy struct {
	Endpoint string

	server  *Server
	forward *httputil.ReverseProxy
	broken  chan struct{} // closed when the test ends, for those that stall

	underWay sync.WaitGroup

	mu       sync.Mutex
	faults   []*planned
	requests []string
	answer   func(*http.Response)
}

// Fault is what happens to some requests.
type Fault struct {
	Kind  Kind
	Match func(*http.Request) bool // nil: every request
	Nth   int                      // the first of those that match to be broken, from 1; 0 is 1
	Times int                      // how many in a row; 0 is 1, a negative number all that come
	Then  func()                   // called where it begins to stall or wait; may be nil
}

type planned struct {
	Fault
	seen int
}

// NewProxy starts a proxy; it ends with the test.
func (s *Server) NewProxy(t testing.TB) *Proxy {
	t.Helper()
	target, err := url.Parse(s.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: s, broken: make(chan struct{})}
	transport := s.authority.transport()
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: p.modify,
		Transport:      transport,
		// An answer that is cut off is cut off for the client as well, and not worth a line.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { reset(w) },
		ErrorLog:     silent,
	}
	front := httptest.NewUnstartedServer(p)
	front.Config.ErrorLog = silent
	front.TLS = &tls.Config{Certificates: []tls.Certificate{s.authority.cert}, MinVersion: tls.VersionTLS12}
	front.StartTLS()
	t.Cleanup(func() {
		close(p.broken)
		front.CloseClientConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	p.Endpoint = front.URL
	return p
}

// URL is [Server.URL] by way of the proxy.
func (p *Proxy) URL(bucket, prefix string, settings ...string) *url.URL {
	return p.server.urlAt(p.Endpoint, bucket, prefix, settings)
}

// Plan replaces what was planned, and forgets the requests that there were.
func (p *Proxy) Plan(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.requests = nil, nil
	for _, f := range faults {
		f.Nth, f.Times = max(f.Nth, 1), cmp.Or(f.Times, 1)
		p.faults = append(p.faults, &planned{Fault: f})
	}
}

// Requests returns method and query of the requests since the last plan, such
// as "PUT x-id=PutObject".
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Wait waits until no request is under way, also of clients that have gone.
func (p *Proxy) Wait() { p.underWay.Wait() }

// Answer changes what the server answers, from now on: a server that claims what
// it does not do, or the reverse. nil is nothing.
func (p *Proxy) Answer(change func(*http.Response)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = change
}

func (p *Proxy) modify(response *http.Response) error {
	p.mu.Lock()
	change := p.answer
	p.mu.Unlock()
	if change != nil {
		change(response)
	}
	return nil
}

// faultOf counts a request and returns what happens to it.
func (p *Proxy) faultOf(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r.Method+" "+r.URL.RawQuery)
	var fault Fault
	for _, f := range p.faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		f.seen++
		if f.seen >= f.Nth && (f.Times < 0 || f.seen < f.Nth+f.Times) {
			fault = f.Fault
		}
	}
	return fault
}

// ServeHTTP does to a request what was planned.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.underWay.Add(1)
	defer p.underWay.Done()
	switch fault := p.faultOf(r); fault.Kind {
	case None:
		p.forward.ServeHTTP(w, r)
	case ResetBefore:
		reset(w)
	case ResetAfter:
		p.forward.ServeHTTP(&unheard{header: http.Header{}}, r)
		reset(w)
	case ResetRequest:
		p.resetRequest(w, r)
	case CorruptRequest:
		r.Body = io.NopCloser(&changing{r: r.Body, at: r.ContentLength / 2, then: flip})
		p.forward.ServeHTTP(w, r)
	case LateRequest:
		p.late(w, r, fault)
	case Stall:
		p.stall(r, fault)
		reset(w)
	case InternalError:
		refuse(w, r, http.StatusInternalServerError, "InternalError")
	case SlowDown:
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
	case ResetAnswer, StallAnswer, SlowAnswer, CorruptAnswer:
		p.spoil(w, r, fault)
	}
}

// Matching returns a Match by method and a part of the query; "" matches all.
func Matching(method, query string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return (method == "" || r.Method == method) && (query == "" || r.URL.Query().Has(query) || r.URL.Query().Get("x-id") == query)
	}
}
