package apiserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// readReports reads all reports. One that cannot be read is an error: nobody knows
// what that apiserver uses.
func readReports(kvs []*mvccpb.KeyValue) ([]Report, error) {
	var reports []Report
	for _, kv := range kvs {
		var report Report
		if err := json.Unmarshal(kv.Value, &report); err != nil {
			return nil, fmt.Errorf("read %s: %w", kv.Key, err)
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// withReports adds to each apiserver what its host has reported, and after them
// those that have reported and are not named.
//
// Several apiservers may share an address, and hosts get other names. Of an address
// that is named so many times, that many reports count, the newest; and those beside
// them that are as recent as if both agents were alive. A report of another cluster
// came here by a restore: it means nothing but where its apiserver is named here.
func withReports(named []Endpoint, reports []Report, cluster uint64) []Endpoint {
	reports = slices.Clone(reports)
	slices.SortStableFunc(reports, func(a, b Report) int { return newerFirst(a, b, cluster) })
	var out []Endpoint
	seen := make([]bool, len(reports))
	for i, e := range named {
		same := func(other Endpoint) bool { return other.Called(e.Address) }
		if slices.ContainsFunc(named[:i], same) {
			continue // it came with the first of that address
		}
		shared := slices.DeleteFunc(slices.Clone(named), func(other Endpoint) bool { return !same(other) })
		var theirs []*Report
		for j := range reports {
			if r := &reports[j]; (Endpoint{Report: r}).Called(e.Address) {
				seen[j] = true
				if len(theirs) < len(shared) || recentBeside(*r, *theirs[0]) {
					theirs = append(theirs, r)
				}
			}
		}
		out = append(out, pair(shared, theirs)...)
	}
	for j := range reports {
		if r := &reports[j]; !seen[j] && r.ClusterID == cluster && !slices.ContainsFunc(reports[:j], r.superseded) {
			out = append(out, Endpoint{Report: r})
		}
	}
	return out
}

// pair gives the apiservers of one address their reports. Which is whose does not
// matter, since all of them count.
func pair(shared []Endpoint, reports []*Report) []Endpoint {
	var out []Endpoint
	for i := range max(len(shared), len(reports)) {
		e := shared[min(i, len(shared)-1)]
		if i < len(reports) {
			e.Report = reports[i]
		}
		out = append(out, e)
	}
	return out
}

// newerFirst orders reports. Revisions of another cluster cannot be compared.
func newerFirst(a, b Report, cluster uint64) int {
	if a.ClusterID != b.ClusterID {
		return cmp.Compare(foreign(a, cluster), foreign(b, cluster))
	}
	return cmp.Or(cmp.Compare(b.Revision, a.Revision), b.At.Compare(a.At))
}

func foreign(r Report, cluster uint64) int {
	if r.ClusterID == cluster {
		return 0
	}
	return 1
}

// recentBeside tells whether the agents of both reports may be alive.
func recentBeside(r, newest Report) bool {
	return r.ClusterID == newest.ClusterID && newest.At.Sub(r.At) < agentStale
}

// superseded tells whether a newer report is of the same host, under another name or
// with another file.
func (r *Report) superseded(newer Report) bool {
	return len(r.Addresses) > 0 && !recentBeside(*r, newer) &&
		!slices.ContainsFunc(r.Addresses, func(a string) bool { return !(Endpoint{Report: &newer}).Called(a) })
}
