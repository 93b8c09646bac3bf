package apiserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// Members of these tests: m1 to m5 are at 10.0.0.1 to 10.0.0.5, and this host is
// 10.0.0.1.
func members(count int, change ...func([]Member)) []Member {
	var all []Member
	for i := 1; i <= count; i++ {
		all = append(all, Member{ID: uint64(i), Name: fmt.Sprintf("m%d", i), Healthy: true,
			ClientURLs: []string{fmt.Sprintf("https://10.0.0.%d:2379", i)}})
	}
	for _, c := range change {
		c(all)
	}
	return all
}

func on(i int, change func(*Member)) func([]Member) {
	return func(all []Member) { change(&all[i-1]) }
}

func withURLs(urls ...string) func(*Member) { return func(m *Member) { m.ClientURLs = urls } }

func learner(m *Member)   { m.Learner = true }
func withdrawn(m *Member) { m.Withdrawn = true }
func unstarted(m *Member) { m.Name, m.ClientURLs, m.Healthy = "", nil, false }
func down(m *Member)      { m.Healthy, m.Trouble = false, "connection refused" }

const here = "https://127.0.0.1:2379"

func TestChoose(t *testing.T) {
	at := func(ids ...int) []string {
		var all []string
		for _, id := range ids {
			all = append(all, fmt.Sprintf("https://10.0.0.%d:2379", id))
		}
		return all
	}
	for _, c := range []struct {
		name     string
		current  []string
		topology Topology
		members  []Member
		plain    bool
		want     []string
		left     string // "m4 is a learner; ..."
		refused  string
	}{
		{"in step", at(2, 3, 1), "", members(3), false, at(2, 3, 1), "", ""},
		{"additions come last, by name", at(3, 1), "", members(5, on(2, func(m *Member) { m.Name = "z" })), false, at(3, 1, 4, 5, 2), "", ""},
		{"removed ones go", at(1, 2, 3), "", members(5)[2:], false, at(3, 4, 5), "https://10.0.0.1:2379 is no member's; https://10.0.0.2:2379 is no member's", ""},
		{"learners and such", at(1, 2), "", members(5, on(3, learner), on(4, unstarted), on(5, withdrawn)), false, at(1, 2), "m3 is a learner; 4 has not been started; m5 is withdrawn, to be removed", ""},
		{"listed ones that are to go", at(1, 2, 3), "", members(3, on(2, withdrawn), on(3, learner)), false, at(1), "m2 is withdrawn, to be removed; m3 is a learner", ""},
		{"an unhealthy one stays", at(1, 2, 3), "", members(4, on(2, down)), false, at(1, 2, 3, 4), "", ""},
		{"an unhealthy one is not added", at(1, 2, 3), "", members(4, on(4, down)), false, at(1, 2, 3), "m4 is not healthy: connection refused", ""},
		{"how URLs are written is kept", []string{"https://10.0.0.2:2379/", "HTTPS://10.0.0.1:2379"}, "", members(2), false, []string{"https://10.0.0.2:2379/", "HTTPS://10.0.0.1:2379"}, "", ""},
		{"the URL that is there is kept", []string{"https://etcd1.example:2379", "https://10.0.0.2:2379"}, "", members(3, on(1, withURLs("https://10.0.0.1:2379", "https://etcd1.example:2379"))), false,
			[]string{"https://etcd1.example:2379", "https://10.0.0.2:2379", "https://10.0.0.3:2379"}, "", ""},
		{"loopback in an external list", []string{here, at(2)[0]}, "", members(3), false, []string{here, at(2)[0], at(3)[0]}, "", ""},
		{"loopback elsewhere", at(1, 2), "", members(3, on(3, withURLs("https://localhost:2379"))), false, at(1, 2), "m3 has the client URL https://localhost:2379, which is for its own host only", ""},
		{"a socket", at(1, 2), "", members(3, on(3, withURLs("unix:///run/etcd.sock"))), false, at(1, 2), "m3 has the client URL unix:///run/etcd.sock, which is for its own host only", ""},
		{"loopback and an address", at(1, 2), "", members(3, on(3, withURLs("https://[::1]:2379", "https://10.0.0.3:2379"))), false, at(1, 2, 3), "", ""},
		{"without TLS", at(1, 2), "", members(3, on(3, withURLs("http://10.0.0.3:2379"))), false, at(1, 2), "m3 has the client URL http://10.0.0.3:2379, and the apiserver speaks TLS to etcd", ""},
		{"with TLS, and no certificates", []string{"http://10.0.0.1:2379", "http://10.0.0.9:2379"}, "", members(2, on(1, withURLs("http://10.0.0.1:2379"))), true,
			[]string{"http://10.0.0.1:2379"}, "m2 has the client URL https://10.0.0.2:2379, and the apiserver has no CA or certificate for etcd; http://10.0.0.9:2379 is no member's", ""},
		{"a cluster on one host", []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, "", members(3, on(1, withURLs("http://127.0.0.1:1")), on(2, withURLs("http://127.0.0.1:2")), on(3, withURLs("http://127.0.0.1:3"))), true,
			[]string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}, "", ""},
		{"all at the same loopback", []string{"http://localhost:2379", "http://localhost:2380"}, "", members(2, on(1, withURLs("http://localhost:2379")), on(2, withURLs("http://localhost:2379"))), true, nil, "", "no server would be left in the list: m1 has the client URL http://localhost:2379, which is for its own host only"},
		{"nobody is left", at(1, 2), "", members(2, on(1, learner), on(2, unstarted)), false, nil, "", "no server would be left in the list: m1 is a learner, 2 has not been started"},

		{"stacked", []string{here}, "", members(3), false, []string{here}, "", ""},
		{"stacked by its address", at(1), "", members(3), false, at(1), "", ""},
		{"stacked and unhealthy", []string{here}, "", members(3, on(1, down)), false, []string{here}, "", ""},
		{"stacked, and withdrawn", []string{here}, "", members(3, on(1, withdrawn)), false, nil, "", "m1, the member on this host, is withdrawn, to be removed"},
		{"stacked, and a learner", []string{here}, "", members(3, on(1, learner)), false, nil, "", "m1, the member on this host, is a learner"},
		{"stacked, and gone", []string{here}, "", members(3)[1:], false, nil, "", "no member of etcd runs on this host"},
		{"to external", []string{here}, External, members(3), false, at(1, 2, 3), "", ""},
		{"to external, without its own", []string{here}, External, members(3)[1:], false, at(2, 3), here + " is no member's", ""},
		{"to stacked", at(3, 1, 2), Stacked, members(3), false, []string{here}, "", ""},
		{"to stacked, with another port", at(2), Stacked, members(2, on(1, withURLs("https://10.0.0.1:12379"))), false, []string{"https://127.0.0.1:12379"}, "", ""},
		{"to stacked, IPv6", at(2), Stacked, members(2, on(1, withURLs("https://[fd00::1]:2379"))), false, []string{"https://[::1]:2379"}, "", ""},
		{"to stacked, and unhealthy", at(1, 2), Stacked, members(2, on(1, down)), false, nil, "", "m1, the member on this host, is not healthy: connection refused"},
		{"to stacked, and none is here", at(2, 3), Stacked, members(3)[1:], false, nil, "", "no member of etcd runs on this host"},
		{"to stacked, and there are two", at(2, 3), Stacked, members(3, on(2, withURLs("https://10.0.0.1:22379"))), false, nil, "", "several members of etcd run on this host, m1 and m2"},
		{"to stacked, while one is replaced on its host", at(2, 3), Stacked, members(3, on(2, withURLs("https://10.0.0.1:22379")), on(2, withdrawn)), false, []string{here}, "https://10.0.0.2:2379 is no member's", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := Wish{Current: c.current, Topology: c.topology, Members: c.members, Addresses: []string{"10.0.0.1", "fd00:0::1"}, Secure: !c.plain}
			got, err := Choose(w)
			if c.refused != "" {
				if !errors.Is(err, fail.ErrUnsafe) || !strings.HasPrefix(err.Error(), c.refused) || got.Servers != nil {
					t.Errorf("%v, %v; want %s", got, err, c.refused)
				}
				if stays := strings.Contains(c.refused, "this host, is w") || strings.HasPrefix(c.refused, "no member"); stays && !strings.Contains(fail.Hint(err), "--topology external") {
					t.Errorf("hint: %s", fail.Hint(err))
				}
				return
			}
			if err != nil || !slices.Equal(got.Servers, c.want) || describe(got.LeftOut) != c.left {
				t.Errorf("%q, left out: %s, %v\nwant %q, left out: %s", got.Servers, describe(got.LeftOut), err, c.want, c.left)
			}
		})
	}
	if _, err := Choose(Wish{Current: at(1), Topology: "ring", Members: members(1)}); !errors.Is(err, fail.ErrUsage) {
		t.Error(err)
	}
}

func describe(left []LeftOut) string {
	var all []string
	for _, l := range left {
		all = append(all, l.What+" "+l.Reason)
	}
	return strings.Join(all, "; ")
}

// Whatever the members and the list are, what holds of every choice is seen by
// looking at each server by itself.
func TestWhatHoldsOfEveryChoice(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 7))
	chosen := 0
	for range 20000 {
		w := randomWish(r)
		c, err := Choose(w)
		if err != nil {
			if !errors.Is(err, fail.ErrUnsafe) {
				t.Fatalf("%+v: %v", w, err)
			}
			continue
		}
		chosen++
		if why := wrong(w, c); why != "" {
			t.Fatalf("%s:\n%+v\n%+v", why, w, c)
		}
		again := w
		again.Current, again.Topology = c.Servers, c.Topology
		if d, err := Choose(again); err != nil || !slices.Equal(d.Servers, c.Servers) {
			t.Fatalf("chosen again it is %q, %v:\n%+v\n%+v", d.Servers, err, w, c)
		}
	}
	if chosen < 10000 {
		t.Errorf("only %d lists were chosen", chosen)
	}
}

func randomWish(r *rand.Rand) Wish {
	w := Wish{Addresses: []string{"10.0.0.1"}, Secure: true, Members: members(2 + r.IntN(5))}
	for i := range w.Members {
		for _, change := range []func(*Member){learner, withdrawn, unstarted, down, withURLs("https://127.0.0.1:2379"), withURLs("http://10.0.0.9:2379")} {
			if r.IntN(9) == 0 {
				change(&w.Members[i])
			}
		}
	}
	for _, i := range r.Perm(8)[:1+r.IntN(5)] {
		w.Current = append(w.Current, fmt.Sprintf("https://10.0.0.%d:2379", i+1))
	}
	switch r.IntN(4) {
	case 0:
		w.Current = []string{here}
	case 1:
		w.Topology = External
	}
	return w
}

// wrong says what is wrong with a choice.
func wrong(w Wish, c Choice) string {
	if c.Topology == Stacked {
		if len(c.Servers) != 1 || c.Servers[0] != here && c.Servers[0] != "https://10.0.0.1:2379" {
			return "a stacked list is not the member of this host"
		}
		return ""
	}
	kept := slices.DeleteFunc(slices.Clone(w.Current), func(s string) bool { return !slices.Contains(c.Servers, s) })
	if !slices.Equal(kept, c.Servers[:len(kept)]) && !slices.Equal(w.Current, []string{here}) {
		return "the present order is not kept"
	}
	for _, m := range w.Members {
		listed := slices.ContainsFunc(c.Servers, func(s string) bool { return slices.Contains(m.ClientURLs, s) })
		left := slices.ContainsFunc(c.LeftOut, func(l LeftOut) bool { return l.What == m.Label() })
		switch {
		case len(m.ClientURLs) > 0 && strings.Contains(m.ClientURLs[0], "127.0.0.1"):
			continue // whether it can be used depends on where it is, which the table shows
		case listed == left:
			return m.Label() + " is both in the list and left out, or neither"
		case listed && (m.Learner || m.Withdrawn || m.Name == ""):
			return m.Label() + " must not be in the list"
		case listed && !m.Healthy && !slices.Contains(w.Current, m.ClientURLs[0]) && !slices.Equal(w.Current, []string{here}):
			return m.Label() + " was added and is not healthy"
		}
	}
	return ""
}

func TestTopologyOf(t *testing.T) {
	for want, lists := range map[Topology][][]string{
		Stacked:  {{here}, {"https://localhost:2379"}, {"https://[::1]:2379"}, {"https://10.0.0.1:2379"}, {"https://[fd00:0:0::1]:2379"}},
		External: {{"https://10.0.0.2:2379"}, {here, "https://10.0.0.2:2379"}, {"https://etcd.example:2379"}, {"http://127.0.0.1:1", "http://127.0.0.1:2"}},
	} {
		for _, servers := range lists {
			if got := TopologyOf(servers, []string{"10.0.0.1", "fd00::1"}); got != want {
				t.Errorf("%q is %s, want %s", servers, got, want)
			}
		}
	}
}

func TestSameServers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"https://a:1,https://b:1", "https://b:1,https://a:1", true},
		{"https://A:1/", "HTTPS://a:1", true},
		{"https://[FD00:0::1]:1", "https://[fd00::1]:1", true},
		{"https://a:1,https://a:1", "https://a:1", true},
		{"https://a:1", "http://a:1", false},
		{"https://a:1", "https://a:2", false},
		{"https://a:1", "https://a:1,https://b:1", false},
	} {
		if got := SameServers(strings.Split(c.a, ","), strings.Split(c.b, ",")); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
