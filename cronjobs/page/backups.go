package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// backups is the timeline, its plots, and all of it as a table.
type backups struct {
	Legend []kind
	Spans  []span
	Ticks  []tick
	Lanes  []lane
	Plots  []plot
	Rows   []backupRow // the newest first
}

// kind is what the marks of one shape stand for.
type kind struct{ Rung, Words string }

var legend = []kind{
	{rungWords[status.Listed], "verified before it was stored"},
	{rungWords[status.Sampled], "stored bytes read since"},
	{rungWords[status.Verified], "checked as a whole since"},
	{rungWords[status.Rehearsed], "restored since, and compared"},
	{rungWords[status.Failed], "not what it has to be"},
}

// emergencyKind is told only where there are any.
var emergencyKind = kind{"emergency", "of a member without a leader"}

// lane is a line of the timeline: a store, or the emergency backups of all.
type lane struct {
	Name      string
	URL       string
	Summary   string
	Err, Hint string
	Marks     []mark
	Holes     []hole
}

type mark struct {
	X     percent
	Rung  string
	Title string
}

// hole is a time without a backup where there should be some.
type hole struct {
	X, Width percent
	Title    string
}

type backupRow struct {
	status.Backup
	Started moment
	Took    string
	Proof   string
	Stores  []string
}

func showBackups(c *status.Cluster, now time.Time, asked string) backups {
	all := rows(c, now)
	chosen, a := spans(all, now, asked)
	p := backups{Legend: legend, Spans: chosen, Ticks: a.ticks(), Rows: all, Plots: plots(all, a)}
	emergency := lane{Name: "Emergency", Summary: "what members without a leader had"}
	for i := range c.Stores {
		s := &c.Stores[i]
		p.Lanes = append(p.Lanes, storeLane(s, c.Job(config.Snapshot), a))
		for _, b := range s.Backups {
			if b.Emergency && a.has(b.Started) {
				emergency.Marks = append(emergency.Marks, mark{a.x(b.Started), "emergency", title(b) + ", in " + s.Name})
			}
		}
	}
	if len(emergency.Marks) > 0 {
		p.Lanes = append(p.Lanes, emergency)
		p.Legend = append(slices.Clone(legend), emergencyKind)
	}
	return p
}

func storeLane(s *status.Store, snapshots *status.Job, a axis) lane {
	l := lane{Name: s.Name, URL: s.URL, Err: s.Err, Hint: s.Hint}
	var stored int64
	var restorable []time.Time
	n := 0
	for _, b := range s.Backups {
		stored += b.StoredSize
		if b.Emergency {
			continue
		}
		n++
		if b.Rung > status.Failed {
			restorable = append(restorable, b.Started)
		}
		if a.has(b.Started) {
			l.Marks = append(l.Marks, mark{a.x(b.Started), rungWords[b.Rung], title(b)})
		}
	}
	switch {
	case s.Read.IsZero():
		l.Summary = "not read yet"
	case n == 0:
		l.Summary = "no backups"
	default:
		l.Summary = plural(n, "backup", "backups") + ", " + size(stored)
	}
	if len(restorable) > 0 {
		l.Summary += ", the newest " + status.Relative(restorable[len(restorable)-1], a.to)
	}
	l.Holes = holes(restorable, snapshots, a)
	return l
}

// holes finds gaps that are much wider than those before them. Since pruning thins out what is
// old, gaps only become narrower towards now, and a wider one is a time in which backups were
// not taken. The time since the newest backup is such a gap, too. A schedule that rests at night
// or over a weekend makes wide gaps, which are none.
func holes(taken []time.Time, snapshots *status.Job, a axis) []hole {
	const (
		wide  = 2 // one slot that failed leaves a gap of two
		above = 0.8
		look  = 5 // gaps before, of which the middle one tells the rhythm
	)
	var found []hole
	ends := append(slices.Clone(taken), a.to)
	for i := look; i < len(ends)-1; i++ {
		var before []time.Duration
		for k := i - look; k < i; k++ {
			before = append(before, ends[k+1].Sub(ends[k]))
		}
		slices.Sort(before)
		gap := ends[i+1].Sub(ends[i])
		if float64(gap) < (wide-1+above)*float64(before[look/2]) || !ends[i+1].After(a.from) || rests(snapshots, ends[i], ends[i+1]) {
			continue
		}
		from := ends[i]
		if from.Before(a.from) {
			from = a.from
		}
		words := fmt.Sprintf("no backup for %s, from %s UTC", status.Age(gap), status.Date(ends[i]))
		if i < len(taken)-1 {
			words += " to " + status.Date(ends[i+1])
		}
		found = append(found, hole{X: a.x(from), Width: a.x(ends[i+1]) - a.x(from), Title: words})
	}
	return found
}

// rests tells whether a schedule has no slot between two backups but the one of the second.
func rests(job *status.Job, from, to time.Time) bool {
	return job != nil && job.Slots != nil && job.Slots.Between(from, to, 2) < 2
}

// title says of a backup what a mark cannot.
func title(b status.Backup) string {
	words := []string{status.Date(b.Started) + " UTC", rungWords[b.Rung], size(b.DBSize)}
	if b.Held {
		words = append(words, "held")
	}
	return strings.Join(words, ", ")
}

// rows are the backups of all stores, copies in one row.
func rows(c *status.Cluster, now time.Time) []backupRow {
	var all []backupRow
	at := map[string]int{}
	for _, s := range c.Stores {
		for _, b := range s.Backups {
			i, ok := at[b.ID]
			if !ok {
				i = len(all)
				at[b.ID] = i
				all = append(all, backupRow{Backup: b, Started: moment{b.Started, now}, Took: took(b.Finished.Sub(b.Started))})
			}
			all[i].Stores = append(all[i].Stores, s.Name)
			if all[i].Proof != rungWords[b.Rung] {
				all[i].Proof = rungWords[max(all[i].Rung, b.Rung)]
			}
			if b.Rung == status.Failed {
				all[i].Proof = "damaged in " + s.Name
			}
			all[i].Rung = max(all[i].Rung, b.Rung)
		}
	}
	slices.SortStableFunc(all, func(a, b backupRow) int {
		return cmp.Or(b.Started.t.Compare(a.Started.t), cmp.Compare(a.ID, b.ID))
	})
	return all
}
