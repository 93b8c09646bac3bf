package s3test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Kind is a way in which a request can go wrong.
type Kind string

// The kinds of faults.
const (
	None           Kind = ""
	ResetBefore    Kind = "reset before the server has seen the request"
	ResetRequest   Kind = "reset in the middle of the request"
	ResetAfter     Kind = "reset after the server has acted, before it answers"
	ResetAnswer    Kind = "reset in the middle of the answer"
	Stall          Kind = "no answer, and the server has seen nothing"
	StallAnswer    Kind = "stall in the middle of the answer"
	SlowAnswer     Kind = "answer in small pieces"
	InternalError  Kind = "500 InternalError"
	SlowDown       Kind = "503 SlowDown"
	CorruptRequest Kind = "a byte of the request is changed"
	CorruptAnswer  Kind = "a byte of the answer is changed"
	LateRequest    Kind = "the server works on it for a while, also when the client has gone"
)

// Kinds are all kinds of faults.
var Kinds = []Kind{
	ResetBefore, ResetRequest, ResetAfter, ResetAnswer, Stall, StallAnswer, SlowAnswer,
	InternalError, SlowDown, CorruptRequest, CorruptAnswer, LateRequest,
}

var silent = log.New(io.Discard, "", 0)

// reset closes a connection so that the other side sees it reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // that of TLS would say goodbye
		conn = c.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// resetRequest lets the server have half of the body.
func (p *Proxy) resetRequest(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > 0 {
		r.Body = io.NopCloser(&changing{r: r.Body, at: r.ContentLength / 2, then: cut})
		p.forward.ServeHTTP(&unheard{header: http.Header{}}, r)
	}
	reset(w)
}

// lateness is how long the server works on a LateRequest.
const lateness = 500 * time.Millisecond

// late gives the server the whole request but its last byte, and that one later.
func (p *Proxy) late(w http.ResponseWriter, r *http.Request, fault Fault) {
	wait := func() {
		if fault.Then != nil {
			fault.Then()
		}
		select {
		case <-time.After(lateness):
		case <-p.broken:
		}
	}
	if r.ContentLength > 0 {
		last := func(b []byte) (int, error) { wait(); return len(b), nil }
		r.Body = io.NopCloser(&changing{r: r.Body, at: r.ContentLength - 1, then: last})
	} else {
		wait()
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	p.forward.ServeHTTP(w, r.WithContext(ctx))
}

// stall takes a request and waits until the client goes, which is noticed only
// when the body was read.
func (p *Proxy) stall(r *http.Request, fault Fault) {
	_, _ = io.Copy(io.Discard, r.Body)
	if fault.Then != nil {
		fault.Then()
	}
	select {
	case <-r.Context().Done():
	case <-p.broken:
	}
}

// refuse answers as S3 does.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>planned by the test</Message></Error>`, code)
	}
}

// spoil lets the server act, and does something to its answer.
func (p *Proxy) spoil(w http.ResponseWriter, r *http.Request, fault Fault) {
	kind := fault.Kind
	answer := &kept{unheard: unheard{header: http.Header{}}}
	p.forward.ServeHTTP(answer, r)
	half := len(answer.body) / 2
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
	}
	if kind == CorruptAnswer && len(answer.body) > 0 {
		answer.body[half] ^= 1
	}
	if half == 0 && (kind == ResetAnswer || kind == StallAnswer) { // nothing to have half of
		if kind == StallAnswer {
			p.stall(r, fault)
		}
		reset(w)
		return
	}
	w.WriteHeader(answer.status)
	switch kind {
	case SlowAnswer:
		p.trickle(w, answer.body)
	case ResetAnswer, StallAnswer:
		_, _ = w.Write(answer.body[:half])
		_ = http.NewResponseController(w).Flush()
		if kind == StallAnswer {
			p.stall(r, fault)
		}
		reset(w)
	default:
		_, _ = w.Write(answer.body)
	}
}

// trickle makes 50 pieces of a body, and a moment between them.
func (p *Proxy) trickle(w http.ResponseWriter, body []byte) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for piece := len(body)/50 + 1; len(body) > 0; {
		n := min(piece, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		body = body[n:]
		<-tick.C
	}
}

// unheard is where an answer goes that nobody gets.
type unheard struct{ header http.Header }

func (u *unheard) Header() http.Header         { return u.header }
func (u *unheard) WriteHeader(int)             {}
func (u *unheard) Write(p []byte) (int, error) { return len(p), nil }

// kept is an answer before it is spoiled.
type kept struct {
	unheard
	status int
	body   []byte
}

func (k *kept) WriteHeader(status int) { k.status = status }

func (k *kept) Write(p []byte) (int, error) {
	k.body = append(k.body, p...)
	return len(p), nil
}

// changing does something to the byte at an offset of a body.
type changing struct {
	r    io.Reader
	at   int64
	then func(p []byte) (int, error)
}

func (c *changing) Read(p []byte) (int, error) {
	if c.at == 0 {
		n, err := c.r.Read(p[:min(len(p), 1)])
		if n == 1 {
			c.at--
			return c.then(p[:1])
		}
		return n, err
	}
	if c.at > 0 {
		p = p[:min(int64(len(p)), c.at)]
	}
	n, err := c.r.Read(p)
	if c.at > 0 {
		c.at -= int64(n)
	}
	return n, err
}

func flip(p []byte) (int, error) {
	p[0] ^= 1
	return 1, nil
}

func cut([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
