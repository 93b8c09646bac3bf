// Package server answers for a daemon: the page, metrics, and health.
//
// It speaks TLS, with a certificate made at the start if none is given, or HTTP at a
// socket that only its owner can use. Beyond loopback, everything but health needs the
// token or a client certificate; on loopback and at a socket it does if one is configured.
// Files are read again for each connection and request, so that rotated ones are in use at once.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
)

const (
	// headerTimeout bounds the handshake, too.
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	// writeTimeout lets a slow line fetch the metrics of many hundred clusters.
	writeTimeout = time.Minute
	idleTimeout  = 2 * time.Minute
	// maxHeader is enough for a token and a browser's headers.
	maxHeader = 16 << 10
	// shutdownTimeout is how long answers that go on may take after the end.
	shutdownTimeout = 5 * time.Second
)

// Options are what is served.
type Options struct {
	Config  config.Server
	Page    http.Handler
	Metrics http.Handler
	// Ready is an error unless the daemon is able to work. Everybody can read it.
	Ready func() error
	// Healthy is an error if the daemon stands still. Everybody can read it.
	Healthy func() error
	Now     func() time.Time
	Log     *slog.Logger
}

// Serve answers at l, which [Listen] has opened with the same options, until ctx ends,
// which is no error. It closes l, and lets answers that go on come to their end.
func Serve(ctx context.Context, l net.Listener, o Options) error {
	server := &http.Server{
		Handler:           handler(o, l.Addr()),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// Whoever does not trust the certificate tells it himself.
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // who still reads is too slow
		}
	})
	err := server.Serve(l)
	if stop() {
		return fmt.Errorf("answer at %s: %w", l.Addr(), errors.Join(err, server.Close()))
	}
	<-ended
	return nil
}

// handler is everything that is served at an address.
func handler(o Options, at net.Addr) http.Handler {
	g := guard{token: secretFile{path: o.Config.TokenFile, log: o.Log}, needed: asks(o.Config, at), loopback: isLoopback(at)}
	mux := http.NewServeMux()
	mux.Handle("/healthz", tells(o.Healthy))
	mux.Handle("/readyz", tells(o.Ready))
	mux.Handle("/metrics", g.wrap(o.Metrics))
	mux.Handle("/", g.wrap(o.Page))
	return hardened(mux)
}

// tells answers ok, or the reason why not.
func tells(check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = fmt.Fprintln(w, "ok") // who has gone away needs no answer
	})
}

// policy lets a page use what this server has, and nothing else. The filter of the page
// is a form.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// hardened lets nothing be changed by a request, kept by a cache, or shown by another site.
func hardened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}
