package throwaway

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// NewMember prepares a member beyond the first ones. It does not run: somebody
// has to add it to the cluster, and then [Cluster.Join] starts it. [Cluster.Start]
// and [Cluster.WaitReady] are of no use any more once there is one.
func (c *Cluster) NewMember(name string) (*Member, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	m := c.member(name, ports[0], ports[1])
	if err := os.Mkdir(filepath.Dir(m.DataDir), 0o700); err != nil {
		return nil, err
	}
	c.Members = append(c.Members, m)
	return m, nil
}

// Join starts a member that has been added to the cluster, with an empty data
// directory. initialCluster has to name exactly the members that there are.
func (c *Cluster) Join(m *Member, initialCluster string) error {
	if err := c.writeConfig(m, "existing", initialCluster); err != nil {
		return err
	}
	return c.StartMember(m)
}

// Exited tells whether the member does not run, or never did.
func (m *Member) Exited() bool { return m.process.exited() }

// Pause stops a member in its tracks, connections and all, until [Member.Resume].
// Like that one it is an error if the member does not run.
func (m *Member) Pause() error { return m.signal(unix.SIGSTOP) }

// Resume lets a paused member go on.
func (m *Member) Resume() error { return m.signal(unix.SIGCONT) }

// signal is sent to the group of the member, of which its supervisor is one too.
func (m *Member) signal(s unix.Signal) error {
	if m.process.exited() {
		return os.ErrProcessDone
	}
	return unix.Kill(-m.PID(), s)
}
