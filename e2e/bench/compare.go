package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// contender is one way to do an operation.
type contender struct {
	name  string
	steps []pipeline // one after the other, measured as one
	env   []string   // beside that of every command

	clear    []string // removed before each run and after the last
	prepare  func() error
	readBack func(output string) (time.Duration, error) // a part of the time; nil where there is none
}

// comparison is an operation in etcdha and in etcd's tools.
type comparison struct {
	ours, theirs contender // theirs has no steps where there is nothing alike
	uploads      bool      // to S3: ours has parts of it in memory, for which there is another bound
}

// result is what the measured runs of a comparison took, round by round.
type result struct {
	comparison
	oursUsed, theirsUsed []usage
}

// tools are the programs and files of a run.
type tools struct {
	o                               *options
	etcdha, etcdctl, etcdutl, s5cmd string
	dir                             string
	snapshot                        string // that etcdctl has saved: what is verified and restored
	connection                      []string
	gateway                         *gateway
}

func newTools(o *options, dir string, m *member, g *gateway) *tools {
	return &tools{
		o:          o,
		etcdha:     filepath.Join(o.bin, "etcdha"),
		etcdctl:    filepath.Join(o.bin, "etcd37", "etcdctl"),
		etcdutl:    filepath.Join(o.bin, "etcd37", "etcdutl"),
		s5cmd:      filepath.Join(o.bin, "s5cmd"),
		dir:        dir,
		snapshot:   filepath.Join(dir, "etcdctl.db"),
		connection: m.connectionFlags(),
		gateway:    g,
	}
}

func (t *tools) path(name string) string { return filepath.Join(t.dir, name) }

func (t *tools) connected(args ...string) []string { return append(args, t.connection...) }

// saves are the operations that need the member. The snapshot of etcdctl stays.
func (t *tools) saves() []comparison {
	file, store := t.path("etcdha.db"), t.path("store")
	return []comparison{
		{
			ours: contender{
				name:  "snapshot save",
				steps: []pipeline{{t.connected(t.etcdha, "snapshot", "save", file)}},
				clear: []string{file},
			},
			theirs: contender{
				name:  "etcdctl snapshot save",
				steps: []pipeline{{t.connected(t.etcdctl, "snapshot", "save", t.snapshot)}},
				prepare: func() error { // not among what is cleared in the end
					return os.RemoveAll(t.snapshot)
				},
			},
		},
		{
			ours: contender{
				name:    "snapshot save --store",
				steps:   []pipeline{{t.connected(t.etcdha, "snapshot", "save", "--store", store)}},
				clear:   []string{store},
				prepare: func() error { return os.Mkdir(store, 0o700) },
			},
		},
	}
}

// reads are the operations on the snapshot that etcdctl has saved.
func (t *tools) reads() []comparison {
	hashed := t.path("hashkv.db")
	ours, theirs := t.path("etcdha.etcd"), t.path("etcdutl.etcd")
	restored := []string{
		"--name=bench", "--initial-cluster=bench=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380", "--data-dir",
	}
	return []comparison{
		{
			ours: contender{
				name:  "snapshot verify",
				steps: []pipeline{{{t.etcdha, "snapshot", "verify", t.snapshot}}},
			},
			theirs: contender{
				name: "etcdutl snapshot status + hashkv",
				steps: []pipeline{
					{{t.etcdutl, "snapshot", "status", t.snapshot}},
					{{t.etcdutl, "hashkv", hashed}},
				},
				clear:   []string{hashed},
				prepare: func() error { return copyFile(t.snapshot, hashed) }, // hashkv changes its file
			},
		},
		{
			ours: contender{
				name:  "restore",
				steps: []pipeline{{append(append([]string{t.etcdha, "restore", t.snapshot}, restored...), ours)}},
				clear: []string{ours},
			},
			theirs: contender{
				name:  "etcdutl snapshot restore",
				steps: []pipeline{{append(append([]string{t.etcdutl, "snapshot", "restore", t.snapshot}, restored...), theirs)}},
				clear: []string{theirs},
			},
		},
	}
}

// compare runs each comparison: once unmeasured, so that no program meets a
// colder machine than the other, then in rounds that begin with either in turn.
func (t *tools) compare(ctx context.Context, all []comparison) ([]result, error) {
	var results []result
	for _, c := range all {
		r := result{comparison: c}
		for round := range 1 + t.o.rounds {
			ours, theirs, err := t.round(ctx, c, round%2 == 0)
			if err != nil {
				return nil, err
			}
			if round == 0 {
				t.o.progress("%s: warmed up", c.ours.name)
				continue
			}
			r.oursUsed = append(r.oursUsed, ours)
			r.theirsUsed = append(r.theirsUsed, theirs)
			t.o.progress("%s, round %d: etcdha %.2f s%s", c.ours.name, round, ours.wall.Seconds(), beside(c, theirs))
		}
		for _, side := range []contender{c.ours, c.theirs} {
			if err := removeAll(side.clear); err != nil {
				return nil, err
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func beside(c comparison, theirs usage) string {
	if len(c.theirs.steps) == 0 {
		return ""
	}
	return fmt.Sprintf(", %s %.2f s", c.theirs.name, theirs.wall.Seconds())
}

func (t *tools) round(ctx context.Context, c comparison, oursFirst bool) (ours, theirs usage, err error) {
	if oursFirst {
		if ours, err = t.runOnce(ctx, c.ours); err != nil {
			return ours, theirs, err
		}
		theirs, err = t.runOnce(ctx, c.theirs)
		return ours, theirs, err
	}
	if theirs, err = t.runOnce(ctx, c.theirs); err != nil {
		return ours, theirs, err
	}
	ours, err = t.runOnce(ctx, c.ours)
	return ours, theirs, err
}

// runOnce measures the commands of one contender.
func (t *tools) runOnce(ctx context.Context, c contender) (usage, error) {
	var total usage
	if err := removeAll(c.clear); err != nil {
		return total, err
	}
	if c.prepare != nil {
		if err := c.prepare(); err != nil {
			return total, fmt.Errorf("prepare %s: %w", c.name, err)
		}
	}
	unix.Sync() // or a command would wait for what the one before it has left to write
	var output string
	for _, step := range c.steps {
		u, out, err := measure(ctx, step, append(environment(t.dir), c.env...))
		if err != nil {
			return total, err
		}
		total, output = total.then(u), output+out
	}
	if c.readBack == nil {
		return total, nil
	}
	var err error
	total.readBack, err = c.readBack(output)
	return total, err
}

func removeAll(paths []string) error {
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// medianWall is the middle of the times, or the mean of the middle two.
func medianWall(used []usage) time.Duration {
	var walls []time.Duration
	for _, u := range used {
		walls = append(walls, u.wall)
	}
	slices.Sort(walls)
	n := len(walls)
	return (walls[(n-1)/2] + walls[n/2]) / 2
}

// peaks is the largest memory of any run.
func peaks(used []usage) (anon, rss int64) {
	for _, u := range used {
		anon, rss = max(anon, u.anon), max(rss, u.rss)
	}
	return anon, rss
}
