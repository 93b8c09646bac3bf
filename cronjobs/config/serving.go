package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/etcdha/etcdha/internal/fail"
	socket "github.com/etcdha/etcdha/internal/listen"
)

func (r *reader) server(s *section) Server {
	listen := s.text("listen")
	server := Server{
		Listen: listen.text, CertFile: s.file("certFile"), KeyFile: s.file("keyFile"), ClientCAFile: s.file("clientCAFile"), Line: s.line,
	}
	s.pair("certFile", "keyFile")
	if token := s.text("tokenFile"); token.given() {
		r.secretFile(token)
		server.TokenFile = r.inDir(token.text)
	}
	if !listen.checkable() {
		return server
	}
	if path, ok := strings.CutPrefix(listen.text, "unix://"); ok {
		r.checkSocket(s, listen, path)
	} else {
		r.checkAddress(s, listen)
	}
	return server
}

func (r *reader) checkSocket(s *section, listen value, path string) {
	if !filepath.IsAbs(path) {
		r.wrong(listen, "the path of the socket is not absolute", "write three slashes, as in unix:///run/etcdha/daemon.sock")
	} else if err := socket.CheckPath(path); err != nil {
		r.wrong(listen, "the path of the socket is too long", fail.Hint(err))
	}
	for _, key := range []string{"certFile", "keyFile", "clientCAFile"} {
		if s.text(key).given() {
			s.wrong(key, "a Unix socket speaks no TLS", "take it out; only the user of the daemon can use the socket")
		}
	}
}

func (r *reader) checkAddress(s *section, listen value) {
	host, port, err := net.SplitHostPort(listen.text)
	number, notNumber := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		r.wrong(listen, "it is no address", "write HOST:PORT, as in 127.0.0.1:2391, [::1]:2391 or :2391, or unix:///run/etcdha/daemon.sock")
	case notNumber != nil || number == 0:
		r.wrong(listen, "its port is no number from 1 to 65535", "write for example 127.0.0.1:2391")
	case host != "" && !httpguts.ValidHostHeader(host):
		r.wrong(listen, "its host is no IP address and no name", "write for example 127.0.0.1:2391")
	case !loopback(host) && !s.text("tokenFile").given() && !s.text("clientCAFile").given():
		r.wrong(listen, "whoever reaches this address could read all", "set tokenFile or clientCAFile, or listen on 127.0.0.1")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pair refuses one of two keys without the other.
func (s *section) pair(a, b string) {
	for range 2 {
		if s.text(a).given() && !s.text(b).given() {
			s.wrong(a, "it needs "+b, "set "+b+" too, or take "+a+" out")
		}
		a, b = b, a
	}
}

func (r *reader) webhooks(s *section) []Webhook {
	var all []Webhook
	seen := newNames(r)
	for _, w := range s.sections("webhooks") {
		name := w.name("on-call")
		seen.add(name)
		hook := Webhook{Name: name.text, Headers: r.headers(w), Line: w.line}
		var from value
		hook.URL, from = w.secret("url")
		switch {
		case hook.URL == "" && from.path == "":
			w.missing("url", "${ON_CALL_URL}")
		case hook.URL == "":
			r.wrong(from, "it is empty", "write for example url: ${ON_CALL_URL}")
		case !strings.Contains(hook.URL.Reveal(), Placeholder) && !isHTTP(hook.URL.Reveal()):
			r.wrong(from, "it is no URL that begins with https:// or http://", "write the whole URL that the service shows for its webhook")
		}
		all = append(all, hook)
	}
	return all
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// headers are those that a webhook wants. Values are not repeated in errors.
func (r *reader) headers(w *section) map[string]Secret {
	h := w.free("headers")
	if len(h.order) == 0 {
		return nil
	}
	all := make(map[string]Secret)
	for _, name := range h.order {
		v := h.text(name)
		all[name] = Secret(v.text)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			h.wrong(name, "it is no name of a header", "write for example Authorization")
		case !httpguts.ValidHeaderFieldValue(v.text):
			r.wrong(v, "a header cannot have this value", "it may have a line break at its end: use one line")
		}
	}
	return all
}

// names are those that were given in a list.
type names struct {
	r    *reader
	line map[string]int
}

func newNames(r *reader) names { return names{r: r, line: make(map[string]int)} }

// add refuses a name that is there already.
func (n names) add(v value) {
	if !v.checkable() {
		return
	}
	if line, ok := n.line[v.text]; ok {
		n.r.wrong(v, "there is one of this name already", "use another name; the other is in line "+strconv.Itoa(line))
		return
	}
	n.line[v.text] = v.line
}
