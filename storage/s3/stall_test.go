package s3

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A connection whose request is still being sent has not stalled, although the
// transport has waited for the answer longer than the timeout.
func TestSendingIsProgress(t *testing.T) {
	const timeout = time.Second
	conn, peer := watchedPair(t, timeout)
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	tick := time.NewTicker(timeout / 20)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < 3*timeout/2; <-tick.C {
		if _, err := conn.Write([]byte("request")); err != nil {
			t.Fatalf("write: %v", err)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("read ends with %v while a request is sent", err)
	default:
	}
	if _, err := peer.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("read: %v", err)
	}
}

// When nothing moves, whatever waits ends with a timeout.
func TestStallEnds(t *testing.T) {
	for name, wait := range map[string]func(net.Conn) error{
		"read": func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"write": func(c net.Conn) error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil { // until the buffers of the system are full
					return err
				}
			}
		},
	} {
		conn, _ := watchedPair(t, 100*time.Millisecond)
		if err := wait(conn); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v; want %v", name, err, os.ErrDeadlineExceeded)
		}
	}
}

func watchedPair(t *testing.T, timeout time.Duration) (conn, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err = watched(&net.Dialer{}, timeout)(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return conn, peer
}
