package apiserver

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// startMembers starts real members, which ask for a client certificate.
func startMembers(t *testing.T, members int) *throwaway.Cluster {
	t.Helper()
	c, err := throwaway.New(throwaway.Options{
		Parent: t.TempDir(), Members: members, Command: []string{os.Args[0], roleMember}, Token: "apiserver", Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// Real members are asked with the files that the flags name. What is wrong with
// them is said in terms of these flags.
func TestAskRealMembers(t *testing.T) {
	t.Parallel()
	c := startMembers(t, 2)
	config := c.Config()
	strange := newAuthority(t)
	strangeCert, strangeKey := strange.issue(t, "strange")
	ca, cert, key := "--etcd-cafile="+config.CACert, "--etcd-certfile="+config.Cert, "--etcd-keyfile="+config.Key
	ask := func(server string, flags ...string) (Server, error) {
		f := &etcdservers.File{Args: append([]string{"kube-apiserver"}, flags...)}
		return NewDialer(f, 5*time.Second).Ask(t.Context(), server)
	}
	one := config.Endpoints[0]
	first, err := ask(one, ca, cert, key)
	if err != nil || first.ClusterID == 0 || first.MemberID == 0 || first.Learner || !first.Leader {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := ask(config.Endpoints[1], ca, cert, key)
	if err != nil || second.ClusterID != first.ClusterID || second.MemberID == first.MemberID {
		t.Errorf("%+v, %v", second, err)
	}
	for _, c := range []struct {
		name  string
		flags []string
		want  []string
	}{
		{"another CA's client certificate", []string{ca, "--etcd-certfile=" + strangeCert, "--etcd-keyfile=" + strangeKey},
			[]string{one + ": the server refuses this client certificate", "hint: --etcd-certfile must be signed by the CA"}},
		{"no client certificate", []string{ca}, []string{one + ": the server asks for a client certificate", "give --etcd-certfile and --etcd-keyfile"}},
		{"another CA", []string{"--etcd-cafile=" + strange.file(), cert, key}, []string{one + ": the server's certificate is signed by another CA than --etcd-cafile"}},
		{"a file that is not there", []string{ca + ".old", cert, key}, []string{one + ": read --etcd-cafile of the apiserver: ", "no such file"}},
		{"no file is there", []string{ca + ".old", cert + ".old", key + ".old"}, []string{one + ": read --etcd-cafile of the apiserver: "}},
		{"a key is missing", []string{ca, cert}, []string{"only one of --etcd-certfile and --etcd-keyfile"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ask(one, c.flags...)
			wantError(t, err, c.want...)
		})
	}

	// One of two is no quorum: it answers, and cannot serve.
	c.KillMember(c.Members[1])
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := ask(one, ca, cert, key)
		if err != nil || !answer.Leader {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it still serves")
		}
	}
	_, err = ask(config.Endpoints[1], ca, cert, key)
	wantError(t, err, config.Endpoints[1]+": connection refused", "hint: is etcd running")
}

func TestTheFlagsOfAnApiserver(t *testing.T) {
	f := &etcdservers.File{Args: []string{"kube-apiserver", "--etcd-cafile", "/pki/ca.crt", "--etcd_certfile=/pki/client.crt"}}
	if ca, cert, key := Certificates(f); ca != "/pki/ca.crt" || cert != "/pki/client.crt" || key != "" || !Secure(f) {
		t.Errorf("%q, %q, %q", ca, cert, key)
	}
	if Secure(&etcdservers.File{Args: []string{"kube-apiserver"}}) {
		t.Error("secure without anything")
	}
	host := announces{"10.0.0.7", "fd00::7"}
	for want, flags := range map[string][]string{
		"192.0.2.10":       {"--advertise-address=192.0.2.10", "--bind-address=192.0.2.11"},
		"192.0.2.11":       {"--bind-address=192.0.2.11"},
		"10.0.0.7,fd00::7": {"--bind-address=0.0.0.0"},
	} {
		f := &etcdservers.File{Args: append([]string{"kube-apiserver"}, flags...)}
		if got, err := Announced(f, host); err != nil || !slices.Equal(got, strings.Split(want, ",")) {
			t.Errorf("%q: %q, %v", flags, got, err)
		}
	}
}

// A member runs on this host at any address of it, and at the one that the apiserver
// is known by elsewhere.
func TestTheAddressesOfTheHost(t *testing.T) {
	host := announces{"10.0.0.7", "fd00::7"}
	for want, flags := range map[string][]string{
		"10.0.0.7,fd00::7,192.0.2.10": {"--advertise-address=192.0.2.10"},
		"10.0.0.7,fd00::7":            {"--advertise-address=10.0.0.7"},
	} {
		f := &etcdservers.File{Args: append([]string{"kube-apiserver"}, flags...)}
		if got, err := OwnAddresses(f, host); err != nil || !slices.Equal(got, strings.Split(want, ",")) {
			t.Errorf("%q: %q, %v", flags, got, err)
		}
	}
}

// announces is a host with these addresses.
type announces []string

func (a announces) APIServers(context.Context) ([]Process, error) { return nil, nil }
func (a announces) Addresses() ([]string, error)                  { return a, nil }
