package apiserver

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// seen is a host whose processes are others at each look, and its prober.
type seen struct {
	processes [][]Process
	ready     error
}

func (s *seen) APIServers(context.Context) ([]Process, error) {
	if len(s.processes) == 0 {
		return nil, errors.New("list processes: permission denied")
	}
	next := s.processes[0]
	s.processes = s.processes[1:]
	return next, nil
}

func (*seen) Addresses() ([]string, error) { return nil, nil }

func (s *seen) Ready(context.Context, string) error { return s.ready }

func TestServing(t *testing.T) {
	args := func(address string, servers []string) []string {
		return []string{"kube-apiserver", "--advertise-address=" + address, "--etcd-servers=" + strings.Join(servers, ",")}
	}
	f := &etcdservers.File{Path: followedFile, Servers: urls(1, 2), Args: args("10.0.0.11", urls(1, 2))}
	own := Process{PID: 1, Start: 7, Args: f.Args}
	old := Process{PID: 2, Start: 7, Args: args("10.0.0.11", urls(1, 2, 3))}
	other := Process{PID: 3, Start: 7, Args: args("10.0.0.12", urls(3))}
	next := Process{PID: 4, Start: 7, Args: f.Args}
	for _, c := range []struct {
		name      string
		processes [][]Process
		ready     error
		want      string
	}{
		{"it serves", [][]Process{{own}, {own}}, nil, ""},
		{"another apiserver on the same host", [][]Process{{own, other}, {other, own}}, nil, ""},
		{"none", [][]Process{{other}}, nil, "the apiserver is not running"},
		{"the old one still ends", [][]Process{{own, old}}, nil, "process 2 runs with other servers than " + followedFile + " has"},
		{"not ready", [][]Process{{own}, {own}}, errors.New("etcd failed"), "127.0.0.1:6443 is not ready: etcd failed"},
		{"restarted while it was asked", [][]Process{{own}, {next}}, nil, "the apiserver restarts"},
		{"ended while it was asked", [][]Process{{own}, {}}, nil, "the apiserver is not running"},
		{"processes cannot be seen", nil, nil, "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := &seen{c.processes, c.ready}
			err := (&Site{Host: host, Prober: host, Own: "127.0.0.1:6443"}).Serving(t.Context(), f)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serving: %v, want %q", err, c.want)
			}
		})
	}
}
