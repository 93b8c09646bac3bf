package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// toldRegistry is the registry of a story. It is empty until the story names an
// apiserver, as in an etcd without Kubernetes.
type toldRegistry struct {
	cluster  *membershiptest.Cluster
	revision int64
	marks    map[uint64]apiserver.Withdrawal
	servers  []*toldServer
	kept     bool  // Kubernetes, though none of its apiservers is known
	unclear  error // why nobody can tell which apiservers there are
}

// toldServer is a kube-apiserver of a story.
type toldServer struct {
	host, address string
	file          string
	stacked       string        // the member that it uses, the only one; "": all of them
	agent         time.Duration // that its agent takes; 0: it has none
	silent        time.Duration // for so long its agent has not reported any more
	report        *apiserver.Report
}

// dead is an error once etcdha has been killed.
func (r *toldRegistry) dead(ctx context.Context) error {
	if _, err := r.cluster.Status(ctx, r.cluster.Endpoints()[0]); errors.Is(err, membershiptest.ErrCrashed) {
		return err
	}
	return nil
}

func (r *toldRegistry) Withdraw(_ context.Context, marks ...apiserver.Withdrawal) error {
	if r.cluster.Alarmed() {
		return fmt.Errorf("https://192.0.2.1:2379: %w", apiserver.ErrAlarmed)
	}
	r.revision++
	for _, mark := range marks {
		mark.Revision = r.revision
		r.marks[mark.ID] = mark
	}
	for _, s := range r.servers {
		if s.agent > 0 {
			r.cluster.After(s.agent, func() { r.report(s, true) })
		}
	}
	return nil
}

// report tells what an apiserver uses, by now.
func (r *toldRegistry) report(s *toldServer, agent bool) {
	r.revision++
	s.report = &apiserver.Report{Host: s.host, File: s.file, Topology: apiserver.External, ClusterID: 0xcdf818194e3a8c32, Agent: agent, Revision: r.revision, At: r.cluster.Now().Add(-s.silent)}
	if s.stacked != "" {
		s.report.Topology, s.report.Members = apiserver.Stacked, []uint64{uint64(r.cluster.ID(s.stacked))}
		return
	}
	var list membership.List
	for _, endpoint := range r.cluster.Endpoints() {
		if l, err := r.cluster.NewOperator().Members(context.Background(), endpoint, false); err == nil {
			list = l
		}
	}
	for _, m := range list.Members {
		if _, marked := r.marks[uint64(m.ID)]; !marked {
			s.report.Members = append(s.report.Members, uint64(m.ID))
		}
	}
}

func (r *toldRegistry) Readmit(ctx context.Context, ids ...uint64) error {
	if err := r.dead(ctx); err != nil {
		return err
	}
	for _, id := range ids {
		delete(r.marks, id)
	}
	return nil
}

func (r *toldRegistry) Withdrawals(context.Context) ([]apiserver.Withdrawal, int64, error) {
	return slices.Collect(maps.Values(r.marks)), r.revision, nil
}

func (r *toldRegistry) Forget(_ context.Context, report apiserver.Report) error {
	r.servers = slices.DeleteFunc(r.servers, func(s *toldServer) bool { return s.host == report.Host && s.file == report.File })
	return nil
}

func (r *toldRegistry) Kubernetes(context.Context) (bool, error) {
	return r.kept || len(r.servers) > 0, nil
}

func (r *toldRegistry) Report(context.Context, apiserver.Report) error { panic("not in stories") }

func (r *toldRegistry) Endpoints(ctx context.Context) ([]apiserver.Endpoint, error) {
	if err := r.dead(ctx); err != nil {
		return nil, err
	}
	var out []apiserver.Endpoint
	for _, s := range r.servers {
		out = append(out, apiserver.Endpoint{Address: s.address, Port: 6443, Report: s.report})
	}
	return out, r.unclear
}

// apiserver is HOST ADDRESS [agent=TIME] [silent=TIME] [stacked=MEMBER] [file=FILE]: a
// kube-apiserver that uses the cluster, whose agent takes that long, or has ended so
// long ago.
func (r *toldRegistry) apiserver(words []string) error {
	s := &toldServer{host: words[0], address: words[1]}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "agent":
			s.agent, err = time.ParseDuration(value)
		case "silent":
			s.silent, err = time.ParseDuration(value)
		case "stacked":
			s.stacked = value
		case "file":
			s.file = value
		default:
			err = fmt.Errorf("nothing is known of %q", word)
		}
		if err != nil {
			return err
		}
	}
	if s.agent > 0 || s.silent > 0 || s.stacked != "" || s.file != "" {
		r.report(s, s.agent > 0 || s.silent > 0)
	}
	r.servers = append(r.servers, s)
	return nil
}

// rewired is what somebody does who types etcdha apiserver rewire on a host.
func (r *toldRegistry) rewired(host string) {
	for _, s := range r.servers {
		if s.host == host {
			s.stacked, s.silent = "", 0
			r.report(s, false)
		}
	}
}

// unnamed is a host that default/kubernetes does not name any more.
func (r *toldRegistry) unnamed(host string) {
	for _, s := range r.servers {
		if s.host == host {
			s.address = ""
		}
	}
}

// mark is left by somebody who was killed so long ago, and was followed then.
func (r *toldRegistry) mark(member string, ago time.Duration) {
	r.revision++
	id := uint64(r.cluster.ID(member))
	r.marks[id] = apiserver.Withdrawal{ID: id, Name: member, Who: "ops@cp-9 (pid 1)", Since: r.cluster.Now().Add(-ago), Revision: r.revision}
	for _, s := range r.servers {
		if s.report != nil {
			r.report(s, s.report.Agent)
		}
	}
}

// marked shows who is still marked.
func (r *toldRegistry) marked() string {
	var names []string
	for _, mark := range r.marks {
		names = append(names, mark.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// errEncrypted is what the real registry says of endpoints that it cannot read.
var errEncrypted = fail.Unsafef("read which apiservers there are: it is encrypted at rest")
