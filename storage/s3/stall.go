package s3

import (
	"context"
	"net"
	"time"
)

// watched dials connections that end when nothing moves on them for timeout.
func watched(dialer *net.Dialer, timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		w := &watchedConn{Conn: conn, timeout: timeout}
		w.stalled = time.AfterFunc(timeout, func() { _ = conn.SetDeadline(longAgo) })
		return w, nil
	}
}

// longAgo is a deadline that ends what waits, with an error that is a timeout.
var longAgo = time.Unix(1, 0)

// watchedConn has one watch for both directions: the transport waits for an
// answer all the while that it sends a request, however long that takes. It
// waits on a pooled connection too, which is thereby closed after an idle
// timeout; the next request dials another.
type watchedConn struct {
	net.Conn
	timeout time.Duration
	stalled *time.Timer
}

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.stalled.Reset(w.timeout)
	}
	return n, err
}

// Write starts the watch anew also before it writes: a connection that was idle
// has the whole timeout for the next request.
func (w *watchedConn) Write(p []byte) (int, error) {
	w.stalled.Reset(w.timeout)
	n, err := w.Conn.Write(p)
	if n > 0 {
		w.stalled.Reset(w.timeout)
	}
	return n, err
}

func (w *watchedConn) Close() error {
	w.stalled.Stop()
	return w.Conn.Close()
}
