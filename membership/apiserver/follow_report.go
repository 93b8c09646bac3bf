package apiserver

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// renewal is how often a report that says nothing new is written.
const renewal = time.Hour

// sent is the report that was written last. The zero value is that there is none.
type sent struct{ report Report }

// confirm reports what the apiserver runs with, if there is news or somebody waits
// for it, and if a ready process was seen to have the list of the file.
func (v *visit) confirm(ctx context.Context) error {
	report, err := v.report()
	if err != nil {
		if v.pending.waits() {
			return nil // the list that is coming has members only
		}
		return during("tell the members of the list", err)
	}
	awaited, err := v.awaited(ctx)
	if err != nil {
		return during("read the withdrawals", err)
	}
	if !awaited && !v.sent.outdated(report) {
		return nil
	}
	s, err := v.site(ctx)
	if err != nil {
		return during("confirm the servers", err)
	}
	if err := v.enter(s).Serving(ctx, v.file); err != nil {
		return during("confirm the servers", err)
	}
	if err := v.local.Registry.Report(ctx, report); err != nil {
		return during("report", err)
	}
	v.sent = sent{report}
	v.metrics.reported.Set(seconds(v.Now()))
	return nil
}

// report is what there is to say, once it was seen to be so.
func (v *visit) report() (Report, error) {
	r, err := NewReport(v.file, v.members, v.wish(v.members), v.local.Announced)
	r.Host, r.Agent, r.At, r.Topology = v.Host, true, v.Now().UTC(), v.list.topology
	return r, err
}

// ReportOf is what the host has last said of the apiserver of a file; nil if nothing.
func ReportOf(endpoints []Endpoint, host string, f *etcdservers.File) *Report {
	for _, e := range endpoints {
		if e.Report != nil && e.Report.Host == host && e.Report.File == f.Path {
			return e.Report
		}
	}
	return nil
}

// Retire says in the report of the apiserver, after [Follower.Run], that it has no
// agent any more. If etcd cannot be told, the report says so by its age.
func (f *Follower) Retire(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := f.retire(ctx); err != nil {
		f.Log.Warn("cannot report that following has ended", "why", err)
	}
}

func (f *Follower) retire(ctx context.Context) error {
	file, err := etcdservers.Read(f.FS, f.File)
	if err != nil {
		return err
	}
	local, err := f.Open(ctx, file)
	if err != nil {
		return err
	}
	defer local.Close()
	endpoints, err := local.Registry.Endpoints(ctx)
	if err != nil {
		return err
	}
	r := ReportOf(endpoints, f.Host, file)
	if r == nil || !r.Agent {
		return nil
	}
	ended := *r
	ended.Agent = false
	return local.Registry.Report(ctx, ended)
}

// awaited tells whether a member was withdrawn after the last report.
func (v *visit) awaited(ctx context.Context) (bool, error) {
	if !slices.ContainsFunc(v.members.Members, func(m Member) bool { return m.Withdrawn }) {
		return false, nil
	}
	marks, _, err := v.local.Registry.Withdrawals(ctx)
	return slices.ContainsFunc(marks, func(mark Withdrawal) bool { return mark.Revision > v.sent.report.Revision }), err
}

// outdated tells whether another report says something new, or the last one is old.
func (s sent) outdated(r Report) bool {
	since := r.At.Sub(s.report.At)
	r.At, r.Revision = s.report.At, s.report.Revision
	return !reflect.DeepEqual(r, s.report) || since >= renewal
}

// NewReport is what a host has to say of the apiserver of a file, once
// [Site.Serving] has seen that it runs so; the caller adds who says it, and when.
// The wish says how the members of m are told from this host, announced are the
// addresses that the apiserver may have announced itself with. It is an error if a
// server belongs to no member: nobody could tell then which members the apiserver
// does without.
func NewReport(f *etcdservers.File, m *Membership, w Wish, announced []string) (Report, error) {
	r := Report{
		Addresses: announced, File: f.Path, Topology: TopologyOf(f.Servers, w.Addresses), Servers: f.Servers,
		ClusterID: m.ClusterID, Revision: m.Revision,
	}
	t := target{Wish: w}
	for _, server := range f.Servers {
		owner := t.memberOf(server)
		if owner == nil {
			return Report{}, fmt.Errorf("%s belongs to no member", server)
		}
		r.Members = append(r.Members, owner.ID)
	}
	for _, server := range overrides(f) {
		if owner := t.memberOf(server); owner != nil { // most are of another cluster
			r.Members = append(r.Members, owner.ID)
		}
	}
	slices.Sort(r.Members)
	r.Members = slices.Compact(r.Members)
	return r, nil
}

// overrides are the servers of --etcd-servers-overrides: for each resource its
// group and name, a #, and URLs with semicolons between; commas between resources.
func overrides(f *etcdservers.File) []string {
	value, _ := f.Value("--etcd-servers-overrides")
	var servers []string
	for resource := range strings.SplitSeq(value, ",") {
		if _, list, ok := strings.Cut(resource, "#"); ok {
			servers = append(servers, strings.Split(list, ";")...)
		}
	}
	return servers
}
