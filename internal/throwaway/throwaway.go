// Package throwaway runs etcd clusters that live no longer than the process
// that made them: real child processes on loopback, with mutual TLS from
// certificates made on the spot, in one directory with mode 0700.
//
// What always holds: no member listens without TLS and client certificates;
// when the parent is gone, however it ended, so are the members; a directory
// that a killed parent left behind is removed by the next [Sweep].
package throwaway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/etcdclient"
)

// Options describe a cluster.
type Options struct {
	Parent  string   // directory in which to make the cluster's own
	Members int      // number of members
	Command []string // runs etcd; flags are appended
	Token   string   // cluster token
	Quota   int64    // backend quota in bytes
	Now     func() time.Time

	// PeerProxy, if there is one, returns the URL of the HTTP proxy through
	// which the member of that name reaches the others. Peer URLs are then at
	// [PeerAddress], where nothing is: the proxy connects to the same port on
	// loopback, or does not.
	PeerProxy func(member string) string
}

// PeerAddress stands for loopback in peer URLs where there are proxies, since
// Go's HTTP client asks none for a loopback address. It is of a range that is
// reserved for documentation; see RFC 5737.
const PeerAddress = "192.0.2.1"

// Member is one member of a throwaway cluster.
type Member struct {
	Name      string
	ClientURL string
	PeerURL   string
	DataDir   string
	LogFile   string
	Command   []string // runs its etcd; flags are appended

	listenPeer string // URL
	config     string
	process    *process
}

// Cluster is a throwaway cluster. Close it after use.
type Cluster struct {
	Dir     string
	Members []*Member

	options Options
	dir     *Dir
	config  etcdclient.Config
}

// New makes the directory of a cluster with certificates and configurations.
// Nothing runs yet, so that data directories can be put in place.
func New(o Options) (*Cluster, error) {
	dir, err := NewDir(o.Parent)
	if err != nil {
		return nil, fmt.Errorf("make throwaway cluster: %w", err)
	}
	c := &Cluster{Dir: dir.Path, options: o, dir: dir}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("make throwaway cluster: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cluster) prepare() error {
	if err := writeCertificates(c.Dir, c.options.Now()); err != nil {
		return err
	}
	ports, err := FreePorts(2 * c.options.Members)
	if err != nil {
		return err
	}
	for i := range c.options.Members {
		c.Members = append(c.Members, c.member(fmt.Sprintf("m%d", i+1), ports[2*i], ports[2*i+1]))
	}
	c.config = etcdclient.Config{
		CACert:         filepath.Join(c.Dir, caCert),
		Cert:           filepath.Join(c.Dir, clientCert),
		Key:            filepath.Join(c.Dir, clientKey),
		DialTimeout:    5 * time.Second,
		CommandTimeout: 10 * time.Second,
	}
	for _, m := range c.Members {
		c.config.Endpoints = append(c.config.Endpoints, m.ClientURL)
		if err := os.Mkdir(filepath.Dir(m.DataDir), 0o700); err != nil {
			return err
		}
		if err := c.writeConfig(m, "new", c.InitialCluster()); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) member(name string, clientPort, peerPort int) *Member {
	dir := filepath.Join(c.Dir, name)
	m := &Member{
		Name:       name,
		ClientURL:  fmt.Sprintf("https://127.0.0.1:%d", clientPort),
		PeerURL:    fmt.Sprintf("https://127.0.0.1:%d", peerPort),
		DataDir:    filepath.Join(dir, "data"),
		LogFile:    filepath.Join(dir, "etcd.log"),
		Command:    c.options.Command,
		listenPeer: fmt.Sprintf("https://127.0.0.1:%d", peerPort),
		config:     filepath.Join(dir, "etcd.yaml"),
	}
	if c.options.PeerProxy != nil {
		m.PeerURL = fmt.Sprintf("https://%s:%d", PeerAddress, peerPort)
	}
	return m
}

// InitialCluster is the value of etcd's flag of that name.
func (c *Cluster) InitialCluster() string {
	var parts []string
	for _, m := range c.Members {
		parts = append(parts, m.Name+"="+m.PeerURL)
	}
	return strings.Join(parts, ",")
}

// Token is the cluster token.
func (c *Cluster) Token() string { return c.options.Token }

// Config connects to the cluster, as the user root where authentication is on.
func (c *Cluster) Config() etcdclient.Config { return c.config }

// Start starts every member and waits until all of them follow one leader.
func (c *Cluster) Start(ctx context.Context) error {
	for _, m := range c.Members {
		if err := c.StartMember(m); err != nil {
			return err
		}
	}
	return c.WaitReady(ctx)
}

// StartMember starts one member.
func (c *Cluster) StartMember(m *Member) error {
	log, err := os.OpenFile(m.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(append([]string{}, m.Command...), "--config-file="+m.config)
	var env []string
	if c.options.PeerProxy != nil {
		env = append(env, "HTTPS_PROXY="+c.options.PeerProxy(m.Name))
	}
	m.process, err = start(args, env, log)
	if err != nil {
		return &hostError{fmt.Errorf("start etcd: %w", err)}
	}
	return nil
}

// pollInterval is short beside an election, which takes half a second.
const pollInterval = 50 * time.Millisecond

// WaitReady waits until every member names the same leader. If any has
// exited, that is an error with the end of its log.
func (c *Cluster) WaitReady(ctx context.Context) error {
	var clients []*clientv3.Client
	for _, m := range c.Members {
		client, err := c.config.Dial(m.ClientURL)
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}
	for {
		err := c.checkReady(ctx, clients)
		if err == nil {
			return nil
		}
		for _, m := range c.Members {
			if m.process.exited() {
				return m.exitError()
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a leader: %w (%w)", ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

func (c *Cluster) checkReady(ctx context.Context, clients []*clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var leader uint64
	for i, m := range c.Members {
		s, err := pb.NewMaintenanceClient(clients[i].ActiveConnection()).Status(ctx, &pb.StatusRequest{})
		switch {
		case err != nil:
			return etcdclient.Explain(m.ClientURL, err)
		case s.Leader == 0:
			return fmt.Errorf("%s has no leader", m.Name)
		case i > 0 && s.Leader != leader:
			return fmt.Errorf("%s follows another leader than %s", m.Name, c.Members[i-1].Name)
		}
		leader = s.Leader
	}
	return nil
}

// ErrHost says that a cluster failed for a reason that lies in this host, not in
// the data: no etcd to run, no room, a port that somebody else has taken.
var ErrHost = errors.New("this host is the reason")

type hostError struct{ error }

func (e *hostError) Unwrap() error { return e.error }

func (e *hostError) Is(target error) bool { return target == ErrHost }

// exitError says why a member has exited: by the end of its log, or, if it
// never said a word, as what is hardly an etcd.
func (m *Member) exitError() error {
	line := lastLine(m.LogFile)
	if line == "" {
		return &hostError{fmt.Errorf("etcd %s has exited: %s", m.Name, m.process.cmd.ProcessState)}
	}
	err := fmt.Errorf("etcd %s has exited: %s", m.Name, line)
	if strings.Contains(line, "address already in use") || strings.Contains(line, "no space left on device") {
		return &hostError{err}
	}
	return err
}

// PID is the id of a started member's process.
func (m *Member) PID() int { return m.process.cmd.Process.Pid }

// KillMember ends one member at once. Its data stays.
func (c *Cluster) KillMember(m *Member) { m.process.kill() }

// Kill ends every member at once. Their data stays until Close.
func (c *Cluster) Kill() {
	for _, m := range c.Members {
		m.process.kill()
	}
}

// Close ends every member and removes the directory.
func (c *Cluster) Close() error {
	c.Kill()
	return c.dir.Close()
}

// KeepLogs copies the members' logs to dir before Close removes them, and
// returns their names.
func (c *Cluster) KeepLogs(dir string) ([]string, error) {
	var kept []string
	for _, m := range c.Members {
		data, err := os.ReadFile(m.LogFile)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return kept, err
		}
		name := filepath.Join(dir, filepath.Base(c.Dir)+"-"+m.Name+".log")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return kept, err
		}
		kept = append(kept, name)
	}
	return kept, nil
}

// lastLine returns the end of a log, where the reason of an exit is.
func lastLine(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const tail = 2048
	if fi, err := f.Stat(); err == nil && fi.Size() > tail {
		_, _ = f.Seek(-tail, io.SeekEnd)
	}
	data, _ := io.ReadAll(f)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return lines[len(lines)-1]
}
