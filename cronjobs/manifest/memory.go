package manifest

import (
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Memory that is given, in MiB. What counts is anonymous memory: pages of files count too, but the
// kernel drops them first. The rules of thumb are for objects of a kilobyte and more.
const (
	// daemonMiB is for a daemon that runs nothing: pages, metrics, watches.
	daemonMiB = 64
	// A run takes 128 MiB with an upload to S3 (the benchmark has seen 108), and 24 bytes a
	// key on top, of which a GiB has a million.
	runMiB, runMiBPerGiB = 128, 32
	// A member of a rehearsal is an etcd with its index of all keys: 264 MiB were seen for
	// a db of 1.7 GiB with 300,000 keys of 4 KB.
	memberMiB, memberMiBPerGiB = 64, 192
)

// memory is what a container is given, in MiB: request is reserved for it, limit ends it.
type memory struct {
	request, limit int64
}

func (m memory) resources() object {
	return object{
		{"requests", object{{"cpu", "100m"}, {"memory", mebibytes(m.request)}}},
		{"limits", object{{"memory", because{"What runs at most at the same time, for a db of the size that was given.", mebibytes(m.limit)}}}},
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%dMi", n) }

// gibibytes is the size of the db, rounded up.
func (r *renderer) gibibytes() int64 { return (r.o.DBSize + 1<<30 - 1) >> 30 }

func (r *renderer) run() int64 { return runMiB + runMiBPerGiB*r.gibibytes() }

func (r *renderer) rehearsal(members int) int64 {
	return r.run() + int64(members)*(memberMiB+memberMiBPerGiB*r.gibibytes())
}

// jobMemory is for one job: all of it is reserved, since it is all used.
func (r *renderer) jobMemory(c config.Cluster, job config.JobName) memory {
	n := r.run()
	if job == config.Rehearse {
		n = r.rehearsal(c.Rehearsal.Members)
	}
	return memory{n, n}
}

// daemonMemory reserves what a run takes. The limit is for as many as may go on at the same
// time, of which one of each cluster may be a rehearsal.
func (r *renderer) daemonMemory() memory {
	rehearsals, members := 0, 0
	for _, c := range r.config.Clusters {
		if slices.ContainsFunc(c.Jobs, func(j config.Job) bool { return j.Name == config.Rehearse }) {
			rehearsals, members = rehearsals+1, max(members, c.Rehearsal.Members)
		}
	}
	rehearsals = min(rehearsals, r.config.Concurrency)
	others := int64(r.config.Concurrency - rehearsals)
	return memory{daemonMiB + r.run(), daemonMiB + others*r.run() + int64(rehearsals)*r.rehearsal(members)}
}
