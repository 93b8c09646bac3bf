package membership_test

import (
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

// With authentication on, an error says which right is missing.
func TestARealClusterWithAuthentication(t *testing.T) {
	t.Parallel()
	c, root := startCluster(t, 1, 0)
	at := c.Members[0].ClientURL
	etcd := dial(t, c.Config(), at)
	for _, do := range []func() error{
		func() error { _, err := etcd.UserAdd(t.Context(), "root", "hunter2"); return err },
		func() error { _, err := etcd.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := etcd.UserAdd(t.Context(), "reader", "hunter3"); return err },
		func() error { _, err := etcd.AuthEnable(t.Context()); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	config := c.Config()
	config.User, config.Password, config.DialTimeout = "reader", "hunter3", patience // a login costs etcd much computing
	reader := connect(t, config)
	_, lockErr := reader.Lock(t.Context(), []string{at}, "reader")
	_, hashErr := reader.Hash(t.Context(), at, 0)
	promote := membership.Step{Step: quorum.Step{Kind: quorum.Promote, ID: 1}}
	for want, err := range map[string]error{
		"etcdctl role grant-permission ROLE readwrite etcdha/": lockErr,
		"hashes need the role root":                            hashErr,
		"changes of the membership need the role root":         reader.Change(t.Context(), at, promote),
		"defragmentation needs the role root":                  reader.Defragment(t.Context(), at),
		"disarming needs the role root":                        reader.Disarm(t.Context(), at, membership.Alarm{MemberID: 1, Type: membership.NoSpace}),
	} {
		if err == nil || !strings.Contains(fail.Hint(err), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%v (hint: %s), want %s", err, fail.Hint(err), want)
		}
	}
	if got := seen(look(t, reader, at)); got != "m1 leader able" {
		t.Errorf("the reader sees %s", got)
	}
	lock, err := root.Lock(t.Context(), []string{at}, "root") // by the name in its certificate
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(t.Context()); err != nil {
		t.Error(err)
	}
}
