package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// A member whose data differs is corruption in the cluster: it is named.
func TestADisagreeingMemberIsNamed(t *testing.T) {
	c := startCluster(t, "37", 3)
	c.fill(t)
	store := filepath.Join(t.TempDir(), "backups")
	must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", "--store", store)...)

	m3 := c.Members[2]
	c.KillMember(m3)
	corrupt(t, filepath.Join(m3.DataDir, "member/snap/db"))
	if err := c.StartMember(m3); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}

	stdout, stderr, code := etcdha(t, with(c.flags(), "snapshot", "verify", "latest", "--live=all", "--store", store)...)
	if code != 10 {
		t.Errorf("exit %d, expected 10", code)
	}
	if strings.Count(stdout, "ok    live") != 2 || strings.Count(stdout, "FAIL  live") != 1 || !strings.Contains(stderr, "on m3 ("+m3.ClientURL+")") {
		t.Errorf("m3 is not named:\n%s%s", stdout, stderr)
	}
	// Its snapshot is whole in itself, and equal to what it holds itself, but
	// the others tell.
	file := filepath.Join(t.TempDir(), "m3.db")
	must(t, tool("etcdha"), with(c.flags()[1:], "snapshot", "save", file, "--endpoints="+m3.ClientURL, "--live-hash=on")...)
	stdout, _, code = etcdha(t, with(c.flags(), "snapshot", "verify", file, "--live=all")...)
	if code != 10 || strings.Count(stdout, "FAIL  live") != 2 {
		t.Errorf("exit %d:\n%s", code, stdout)
	}
}

// corrupt changes one value in a stopped member's db.
func corrupt(t *testing.T, file string) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("key"))
		key, value := bucket.Cursor().Last()
		changed := append([]byte{}, value...)
		i := strings.LastIndex(string(changed), "compaction")
		changed[i] ^= 1
		return bucket.Put(append([]byte{}, key...), changed)
	})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Which member is streamed from: a follower, never a learner, and never one of
// another cluster.
func TestTheRightMemberIsChosen(t *testing.T) {
	c := startCluster(t, "37", 3)
	file := filepath.Join(t.TempDir(), "s.db")
	status, err := c.client.Status(t.Context(), c.Members[0].ClientURL)
	if err != nil {
		t.Fatal(err)
	}
	leader := ""
	for _, m := range c.Members {
		s, err := c.client.Status(t.Context(), m.ClientURL)
		if err != nil {
			t.Fatal(err)
		}
		if s.Header.MemberId == status.Leader {
			leader = m.ClientURL
		}
	}
	out := must(t, tool("etcdha"), with(c.flags(), "snapshot", "save", file)...)
	if !strings.Contains(out, "a follower") || strings.Contains(out, leader) {
		t.Errorf("the leader was made to work:\n%s", out)
	}
	out = must(t, tool("etcdha"), with(c.flags()[1:], "snapshot", "save", file, "--endpoints="+leader)...)
	if !strings.Contains(out, leader+"), a leader") {
		t.Errorf("one endpoint means that one:\n%s", out)
	}

	_, stranger := c.startExtra(t, "stranger", "new", "")
	c.untilItAnswers(t, stranger)
	_, stderr, code := etcdha(t, with(c.flags()[1:], "snapshot", "save", file, "--endpoints="+c.Members[0].ClientURL+","+stranger)...)
	if code != 2 || !strings.Contains(stderr, "endpoints of different clusters") {
		t.Errorf("endpoints of two clusters: exit %d:\n%s", code, stderr)
	}
	_, stderr, code = etcdha(t, with(c.flags()[1:], "snapshot", "verify", file, "--live", "--endpoints="+stranger)...)
	if code != 2 || !strings.Contains(stderr, "has no member that the snapshot names") {
		t.Errorf("a stranger was asked: exit %d:\n%s", code, stderr)
	}
}

// A learner may lag behind by anything.
func TestALearnerIsRefused(t *testing.T) {
	c := startCluster(t, "37", 1)
	peer, learner := c.startExtra(t, "learner", "existing", c.InitialCluster())
	if _, err := c.client.MemberAddAsLearner(t.Context(), []string{peer}); err != nil {
		t.Fatal(err)
	}
	c.untilItAnswers(t, learner)
	flags := c.flags()[1:]
	file := filepath.Join(t.TempDir(), "s.db")
	_, stderr, code := etcdha(t, with(flags, "snapshot", "save", file, "--endpoints="+learner)...)
	if code != 11 || !strings.Contains(stderr, "is a learner") {
		t.Errorf("exit %d:\n%s", code, stderr)
	}
	out := must(t, tool("etcdha"), with(flags, "snapshot", "save", file, "--endpoints="+learner+","+c.Members[0].ClientURL)...)
	if !strings.Contains(out, c.Members[0].ClientURL+"), a leader") {
		t.Errorf("the voter was not chosen:\n%s", out)
	}
}

// startExtra starts one more etcd with the certificates of c, which ends with
// the test; others are the members that it joins. etcd exits and is started
// again until it is let in.
func (c *cluster) startExtra(t *testing.T, name, state, others string) (peerURL, clientURL string) {
	t.Helper()
	peerURL, clientURL = "https://"+freeAddress(t), "https://"+freeAddress(t)
	initial := name + "=" + peerURL
	if others != "" {
		initial += "," + others
	}
	dir := t.TempDir()
	cert, key, ca := filepath.Join(c.Dir, "member.crt"), filepath.Join(c.Dir, "member.key"), filepath.Join(c.Dir, "ca.crt")
	args := []string{
		"--name=" + name, "--data-dir=" + dir, "--initial-cluster=" + initial, "--initial-cluster-state=" + state, "--initial-cluster-token=" + name,
		"--listen-peer-urls=" + peerURL, "--initial-advertise-peer-urls=" + peerURL,
		"--listen-client-urls=" + clientURL, "--advertise-client-urls=" + clientURL,
		"--cert-file=" + cert, "--key-file=" + key, "--trusted-ca-file=" + ca, "--client-cert-auth",
		"--peer-cert-file=" + cert, "--peer-key-file=" + key, "--peer-trusted-ca-file=" + ca, "--peer-client-cert-auth",
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, tool("etcd37/etcd"), args...).Run()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return peerURL, clientURL
}

// untilItAnswers waits until the etcd at clientURL answers.
func (c *cluster) untilItAnswers(t *testing.T, clientURL string) {
	t.Helper()
	eventually(t, clientURL+" answers", func() bool {
		_, _, code := run(t, tool("etcd37/etcdctl"), with(c.flags()[1:], "endpoint", "status", "--endpoints="+clientURL)...)
		return code == 0
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ports, err := throwaway.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0])
}

// Lives of a cluster: a cluster that was restored with the same names, URLs and
// token has the same id, and its backups must not mix with those from before.
func TestARestoredClusterIsAnotherLife(t *testing.T) {
	first := startCluster(t, "37", 1)
	first.fill(t)
	store := filepath.Join(t.TempDir(), "backups")
	must(t, tool("etcdha"), with(first.flags(), "snapshot", "save", "--store", store)...)
	must(t, tool("etcdha"), with(first.flags(), "snapshot", "save", "--store", store)...)

	m := first.Members[0]
	first.Kill()
	must(t, "mv", filepath.Join(m.DataDir, "member"), filepath.Join(t.TempDir(), "member.old"))
	must(t, tool("etcdha"), "restore", "latest", "--store", store, "--data-dir", m.DataDir, "--name", m.Name,
		"--initial-cluster", first.InitialCluster(), "--initial-cluster-token", first.Token(), "--initial-advertise-peer-urls", m.PeerURL)
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, tool("etcdha"), with(first.flags(), "snapshot", "save", "--store", store)...)

	var backups []struct{ Cluster struct{ ID, Lineage string } }
	unmarshal(t, must(t, tool("etcdha"), "snapshot", "list", "--store", store, "-w", "json"), &backups)
	if len(backups) != 3 {
		t.Fatalf("%d backups, expected 3", len(backups))
	}
	a, b, now := backups[0].Cluster, backups[1].Cluster, backups[2].Cluster
	if a != b || now.ID != a.ID || now.Lineage == a.Lineage {
		t.Errorf("lineages: %v %v %v", a, b, now)
	}

	// With the live cluster at hand its own life is meant; without, it is asked.
	out := must(t, tool("etcdha"), with(first.flags(), "snapshot", "verify", "latest", "--live", "--store", store)...)
	if !strings.Contains(out, "ok    live") {
		t.Errorf("the newest of the present life:\n%s", out)
	}
	_, stderr, code := etcdha(t, "snapshot", "verify", "latest", "--store", store, "--endpoints=127.0.0.1:1")
	if code != 2 || !strings.Contains(stderr, "default/"+a.Lineage) || !strings.Contains(stderr, "hint: --cluster NAME/LINEAGE") {
		t.Errorf("exit %d:\n%s", code, stderr)
	}
	must(t, tool("etcdha"), "snapshot", "verify", "latest", "--store", store, "--cluster", "default/"+a.Lineage)

	// A backup of the old life is not held against the present one.
	_, stderr, code = etcdha(t, with(first.flags(), "snapshot", "verify", "latest", "--live", "--store", store, "--cluster", "default/"+a.Lineage)...)
	if code != 2 || !strings.Contains(stderr, "another life") {
		t.Errorf("exit %d:\n%s", code, stderr)
	}
}
