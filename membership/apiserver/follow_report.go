package apiserver

import (
	"context"
	"errors"
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
	s, err := v.site(ctx, v.local.Cluster)
	if err != nil {
		return during("confirm the servers", err)
	}
	if err := s.Serving(ctx, v.file); err != nil {
		// Somebody may have been killed at it.
		return during("confirm the servers", errors.Join(err, s.Resume(ctx, v.file)))
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
	r, err := NewReport(v.file, v.members, v.local.Addresses)
	r.Host, r.Agent, r.At, r.Topology = v.Host, true, v.Now().UTC(), v.list.topology
	return r, err
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
// addresses are those that the apiserver may have announced itself with. It is an
// error if a server belongs to no member: nobody could tell then which members
// the apiserver does without.
func NewReport(f *etcdservers.File, m *Membership, addresses []string) (Report, error) {
	r := Report{
		Addresses: addresses, File: f.Path, Topology: TopologyOf(f.Servers, addresses), Servers: f.Servers,
		ClusterID: m.ClusterID, Revision: m.Revision,
	}
	t := target{Wish: Wish{Members: m.Members, Addresses: addresses}}
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
