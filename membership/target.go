package membership

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
)

// Target is what a cluster should be.
type Target struct {
	Members []TargetMember `json:"members"`
}

// TargetMember is a member as it should be. Its name is that of its etcd
// (--name), which no change of the membership can alter.
type TargetMember struct {
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
	Zone     string   `json:"zone,omitempty"`
	Learner  bool     `json:"learner,omitempty"` // stays one
}

// ParseTarget reads a target from YAML (or JSON):
//
//	members:
//	- name: m1
//	  peerURLs: [https://10.0.0.1:2380]
//	  zone: a          # optional: what fails together
//	  learner: false   # optional
//
// Fields that it does not know are errors, and so is a target that no cluster
// could be: names and URLs that occur twice, no voter, more than the one learner
// that etcd allows.
func ParseTarget(data []byte) (Target, error) {
	var t Target
	if err := yaml.UnmarshalStrict(data, &t); err != nil {
		return Target{}, fail.As(fail.ErrUsage, fmt.Errorf("read target: %w", err))
	}
	return t, t.check()
}

// Zones are the zones of the target by name of member, for observations.
func (t Target) Zones() map[string]string {
	zones := make(map[string]string)
	for _, m := range t.Members {
		if m.Zone != "" {
			zones[m.Name] = m.Zone
		}
	}
	return zones
}

func (t Target) check() error {
	names, urls := make(map[string]bool), make(map[string]string)
	learners := 0
	for _, m := range t.Members {
		switch {
		case checkNew(m.Name, m.PeerURLs) != nil:
			return fmt.Errorf("target: %w", checkNew(m.Name, m.PeerURLs))
		case names[m.Name]:
			return fail.Usagef("target: two members are named %s", m.Name)
		}
		names[m.Name] = true
		if m.Learner {
			learners++
		}
		for _, u := range m.PeerURLs {
			if other, taken := urls[u]; taken {
				return fail.Usagef("target: peer URL %s of member %s is also that of %s", u, m.Name, other)
			}
			urls[u] = m.Name
		}
	}
	switch {
	case learners == len(t.Members):
		return fail.Usagef("target: there is no voter")
	case learners > 1:
		return fail.Usagef("target: %d learners, but etcd allows one", learners)
	}
	return nil
}

// checkNew refuses what etcd would refuse of a member, or take for something
// else, when it is started.
func checkNew(name string, peerURLs []string) error {
	if name == "" || strings.ContainsAny(name, ",=") || strings.ContainsFunc(name, unicode.IsControl) {
		return fail.Usagef("a member name cannot be %q: it has to be written in an initial cluster, name=URL,name=URL", name)
	}
	if len(peerURLs) == 0 {
		return fail.Usagef("member %s has no peer URLs", name)
	}
	return checkPeerURLs(peerURLs)
}

func checkPeerURLs(urls []string) error {
	for _, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return fail.As(fail.ErrUsage, fmt.Errorf("peer URL: %w", err))
		case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Port() == "",
			u.Path != "", u.User != nil, u.RawQuery != "", u.Fragment != "":
			return fail.Usagef("peer URL %q is not of the form https://host:port", s)
		}
	}
	return nil
}
