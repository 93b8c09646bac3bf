package membership_test

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

func TestParseTarget(t *testing.T) {
	got, err := membership.ParseTarget([]byte(`
members:
- name: m1
  peerURLs: [https://10.0.0.1:2380]
  zone: a
- name: m2
  peerURLs: ["https://[2001:db8::2]:2380", "http://m2.example:2380"]
- {name: m3, peerURLs: [https://10.0.0.3:2380], learner: true, zone: b}
`))
	want := membership.Target{Members: []membership.TargetMember{
		{Name: "m1", PeerURLs: []string{"https://10.0.0.1:2380"}, Zone: "a"},
		{Name: "m2", PeerURLs: []string{"https://[2001:db8::2]:2380", "http://m2.example:2380"}},
		{Name: "m3", PeerURLs: []string{"https://10.0.0.3:2380"}, Zone: "b", Learner: true},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if zones := got.Zones(); !maps.Equal(zones, map[string]string{"m1": "a", "m3": "b"}) {
		t.Errorf("zones %v", zones)
	}
}

func TestTargetsThatNoClusterCanBe(t *testing.T) {
	const m1 = "- {name: m1, peerURLs: [https://h1:2380]}\n"
	for text, want := range map[string]string{
		"":                     "target: there is no voter",
		"members:\n":           "target: there is no voter",
		"members:\n" + m1 + m1: "target: two members are named m1",
		"members:\n" + m1 + "- {name: m2, peerURLs: [https://h2:2380, https://h1:2380]}":                                                 "target: peer URL https://h1:2380 of member m2 is also that of m1",
		"members:\n" + m1 + "- {name: m2, peerURLs: []}":                                                                                 "target: member m2 has no peer URLs",
		"members:\n" + m1 + "- {peerURLs: [https://h2:2380]}":                                                                            `target: a member name cannot be "": it has to be written in an initial cluster, name=URL,name=URL`,
		"members:\n" + m1 + `- {name: "a\nb", peerURLs: [https://h2:2380]}`:                                                              `target: a member name cannot be "a\nb": it has to be written in an initial cluster, name=URL,name=URL`,
		"members:\n- {name: m1, peerURLs: [https://h1:2380], learner: true}":                                                             "target: there is no voter",
		"members:\n" + m1 + "- {name: a, peerURLs: [https://a:1], learner: true}\n- {name: b, peerURLs: [https://b:1], learner: true}\n": "target: 2 learners, but etcd allows one",
		"members:\n- {name: m1, peerURL: https://h1:2380}":                                                                               `read target: error unmarshaling JSON: while decoding JSON: json: unknown field "peerURL"`,
		"members:\n- {name: m1, name: m2, peerURLs: [https://h1:2380]}":                                                                  "read target: ",
		"member: [": "read target: ",
	} {
		_, err := membership.ParseTarget([]byte(text))
		if !errors.Is(err, fail.ErrUsage) || err.Error() != want && (want != "read target: " || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s\nerror %v\nwant  %s", text, err, want)
		}
	}
	for _, url := range []string{"h1:2380", "https://h1", "https://:2380", "ftp://h1:2380", "https://h1:2380/", "https://h1:2380?a", "https://u@h1:2380", "https://h1:2380#a", "unix://s:0", "https://h1:port"} {
		if _, err := membership.ParseTarget([]byte("members: [{name: m1, peerURLs: ['" + url + "']}]")); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), url) {
			t.Errorf("peer URL %s: error %v", url, err)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("members: [{name: m1, peerURLs: [https://h1:2380], zone: a, learner: false}]")
	f.Add("members: [{name: m1, peerURLs: ['https://[::1]:2380', http://b:1]}, {name: m2, peerURLs: [http://a:1], learner: true}]")
	f.Fuzz(func(t *testing.T, text string) {
		target, err := membership.ParseTarget([]byte(text))
		if err != nil {
			if !errors.Is(err, fail.ErrUsage) {
				t.Errorf("error %v is none of usage", err)
			}
			return
		}
		// A target that is accepted can be reached from a cluster of another member.
		o := &membership.Observation{Members: []membership.Member{{Listed: membership.Listed{ID: 1, PeerURLs: []string{"https://other:2380"}}}}, HasQuorum: true}
		if _, err := membership.Reach(target).Steps(o); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
