package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// asks tells whether somebody who connects to at has to say who he is.
func asks(c config.Server, at net.Addr) bool {
	return c.TokenFile != "" || c.ClientCAFile != "" || !isLoopback(at) && !isSocket(at)
}

func isSocket(at net.Addr) bool { return at.Network() == "unix" }

func isLoopback(at net.Addr) bool {
	tcp, ok := at.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// guard lets those through who may see the state of the clusters.
type guard struct {
	token    secretFile
	needed   bool // the token, or a client certificate
	loopback bool
}

func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !g.needed && g.loopback && !ofThisHost(r.Host):
			// A name that leads to loopback now was another site's a moment ago: its page, in a
			// browser of this host, asks in the name of whoever sits there.
			http.Error(w, "ask for localhost, or by address", http.StatusMisdirectedRequest)
		case g.needed && !certified(r) && !g.knows(r):
			w.Header().Add("WWW-Authenticate", `Bearer realm="etcdha"`)
			// A script that refreshes the page gets its answer: a browser that is asked for a password by
			// it would ask whoever sits there, and answer the script nothing until then.
			if r.Header.Get("Sec-Fetch-Dest") != "empty" {
				w.Header().Add("WWW-Authenticate", `Basic realm="etcdha: the token is the password", charset="UTF-8"`)
			}
			http.Error(w, "the token, or a client certificate, is needed", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// certified tells whether the client has shown a certificate of the CA: the handshake has
// verified it.
func certified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }

// knows tells whether the request has the token: as a bearer's, or as a password with any
// user name, which is what a browser can ask for.
func (g *guard) knows(r *http.Request) bool {
	token := g.token.read()
	if len(token) == 0 {
		return false
	}
	_, given, ok := r.BasicAuth()
	if !ok {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		given = strings.TrimSpace(rest)
	}
	// Digests have one length, so that the comparison tells nothing about that of the token.
	want, got := sha256.Sum256(token), sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// ofThisHost tells whether a Host header is an address or a name of loopback: nobody
// else's names can be either.
func ofThisHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
