package throwaway_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// A member that is added later joins with data of its own, and reaches the
// first one through the proxy that it is given. It can be paused and goes on.
func TestMemberThatJoinsLater(t *testing.T) {
	var asked atomic.Int32
	o := options(t.TempDir(), 1)
	proxy := connectProxy(t, &asked)
	o.PeerProxy = func(string) string { return proxy }
	c := newCluster(t, o)
	start(t, c)
	first := c.Members[0]
	put(t, first, c, "key", "value")

	m, err := c.NewMember("late")
	if err != nil {
		t.Fatal(err)
	}
	if !m.Exited() || m.Pause() == nil {
		t.Error("it runs before it was started")
	}
	if !strings.HasPrefix(m.PeerURL, "https://"+throwaway.PeerAddress+":") {
		t.Errorf("its peer URL is %s", m.PeerURL)
	}
	if _, err := dial(t, first, c).MemberAddAsLearner(t.Context(), []string{m.PeerURL}); err != nil {
		t.Fatal(err)
	}
	if err := c.Join(m, "m1="+first.PeerURL+",late="+m.PeerURL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the late member to have the value", func() bool { return answers(t, m, c) == nil })
	if asked.Load() == 0 {
		t.Error("nobody asked the proxy")
	}

	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	if answers(t, m, c) == nil {
		t.Error("it answers while it is paused")
	}
	if err := m.Resume(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it to answer again", func() bool { return answers(t, m, c) == nil })
	c.KillMember(m)
	if !m.Exited() || !errors.Is(m.Resume(), os.ErrProcessDone) {
		t.Error("it runs after it was killed")
	}
}

// answers asks a member alone for its status.
func answers(t *testing.T, m *throwaway.Member, c *throwaway.Cluster) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	status, err := pb.NewMaintenanceClient(dial(t, m, c).ActiveConnection()).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return err
	}
	if status.Leader == 0 {
		return errors.New("it has no leader")
	}
	return nil
}

// connectProxy is an HTTP proxy that connects to the same port on loopback.
func connectProxy(t *testing.T, asked *atomic.Int32) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			go connect(conn)
		}
	}()
	return "http://" + l.Addr().String()
}

func connect(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	req, err := http.ReadRequest(reader)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	peer, err := net.Dial("tcp", strings.Replace(req.Host, throwaway.PeerAddress, "127.0.0.1", 1))
	if err != nil {
		return
	}
	defer peer.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(peer, reader)
		_ = peer.Close()
	}()
	_, _ = io.Copy(conn, peer)
}
