package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
)

// network carries what the members of a site say to each other. Each reaches
// the others through a proxy of its own, so that a link can be cut in one
// direction: who may connect to whom. Once connected, both talk.
type network struct {
	mu      sync.Mutex
	names   map[string]string // of members, by their peer port
	proxies map[string]net.Listener
	cut     map[link]bool
	open    map[net.Conn]link
}

type link struct{ from, to string }

func newNetwork(t *testing.T) *network {
	n := &network{names: make(map[string]string), proxies: make(map[string]net.Listener), cut: make(map[link]bool), open: make(map[net.Conn]link)}
	t.Cleanup(n.close)
	return n
}

// proxy returns the URL of the proxy of a member, which it makes at first.
func (n *network) proxy(from string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.proxies[from]
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			panic(err) // no test goes on without loopback
		}
		n.proxies[from] = l
		go n.serve(l, from)
	}
	return "http://" + l.Addr().String()
}

// know tells the network whose peer URL that is.
func (n *network) know(name, peerURL string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if u, err := url.Parse(peerURL); err == nil {
		n.names[u.Port()] = name
	}
}

func (n *network) serve(l net.Listener, from string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go n.connect(conn, from)
	}
}

// connect does what a CONNECT asks for, unless that link is cut.
func (n *network) connect(conn net.Conn, from string) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	req, err := http.ReadRequest(reader)
	if err != nil || req.Method != http.MethodConnect {
		return
	}
	_, port, err := net.SplitHostPort(req.Host)
	if err != nil {
		return
	}
	if !n.join(conn, from, port) {
		return
	}
	defer n.leave(conn)
	peer, err := net.Dial("tcp", "127.0.0.1:"+port)
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

func (n *network) join(conn net.Conn, from, port string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := link{from, n.names[port]}
	if n.cut[l] {
		return false
	}
	n.open[conn] = l
	return true
}

func (n *network) leave(conn net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, conn)
}

// cutLink ends the connections that one member has made to another, and lets
// it make no more.
func (n *network) cutLink(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[link{from, to}] = true
	for conn, l := range n.open {
		if l == (link{from, to}) {
			_ = conn.Close()
		}
	}
}

// isolate cuts a member off from all others, in both directions.
func (n *network) isolate(name string) {
	for _, other := range n.known() {
		if other != name {
			n.cutLink(name, other)
			n.cutLink(other, name)
		}
	}
}

func (n *network) known() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []string
	for _, name := range n.names {
		names = append(names, name)
	}
	return names
}

// heal mends every link.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

func (n *network) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.proxies {
		_ = l.Close()
	}
	for conn := range n.open {
		_ = conn.Close()
	}
}
