package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "climb the verification ladder: stored bytes, digest, structure, records, live",
		ArgsUsage: "FILE|ID",
		Flags: slices.Concat([]cli.Flag{
			&cli.GenericFlag{Name: "live", Value: new(liveFlag), Usage: "compare with the member it came from; --live=all: with every member"},
			writeOutFlag(), spoolFlag(),
		}, storeFlags(), connectionFlags()),
		Action: verify,
	}
}

// liveFlag is --live or --live=all.
type liveFlag struct{ on, all bool }

func (f *liveFlag) Set(s string) error {
	*f = liveFlag{on: true, all: s == "all"}
	if !f.all {
		on, err := strconv.ParseBool(s)
		f.on = on
		return err
	}
	return nil
}

func (f *liveFlag) String() string   { return "" }
func (f *liveFlag) IsBoolFlag() bool { return true }

type verifyOutput struct {
	Snapshot string          `json:"snapshot"`
	Passed   bool            `json:"passed"`
	Checks   snapshot.Checks `json:"checks"`
}

func verify(c *cli.Context) error {
	log := newLog(c)
	src, err := sourceArg(c, log)
	if err != nil {
		return err
	}
	in, err := src.verify(c.Context, c.String("spool-dir"))
	if err != nil {
		return err
	}
	defer in.close()
	if live := c.Generic("live").(*liveFlag); live.on {
		checks, err := compareLive(c, src, in, live.all, log)
		if err != nil {
			return err
		}
		in.Checks = append(in.Checks, checks...)
	}
	if err := c.Err(); err != nil {
		return err
	}
	if err := printVerification(c, src, in.Checks); err != nil {
		return err
	}
	if err := src.record(c.Context, snapshot.ReportVerification, in.Checks, c.App.Version); err != nil {
		return err
	}
	if people(c) {
		printVerified(c, src, in)
	}
	return nil
}

// record keeps the report of a backup beside it, and returns what it says.
func (s *source) record(ctx context.Context, kind string, checks snapshot.Checks, version string) error {
	if s.backup == nil {
		return checks.Err()
	}
	return s.catalog.Conclude(ctx, s.backup, snapshot.Report{Kind: kind, Time: now(), Checks: checks, Etcdha: version})
}

// compareLive asks the live cluster. That it does not answer, or is not the one
// that the snapshot is of, is neither pass nor fail.
func compareLive(c *cli.Context, src *source, in *opened, all bool, log *slog.Logger) (snapshot.Checks, error) {
	if in.Checks.Err() != nil && in.Report == nil {
		return nil, nil // there is nothing to compare
	}
	if in.Report == nil {
		return snapshot.Checks{{Name: snapshot.RungLive, Verdict: snapshot.NotAsked, Detail: "needs --identity FILE as well"}}, nil
	}
	cluster, err := connectTo(c, src, log)
	if errors.Is(err, fail.ErrUsage) || c.Err() != nil {
		return nil, err
	}
	if err != nil {
		return snapshot.Checks{{Name: snapshot.RungLive, Verdict: snapshot.NotComparable, Detail: err.Error()}}, nil
	}
	defer cluster.Close()
	if src.backup == nil && !cluster.Shares(c.Context, in.Report.Members) {
		return nil, fail.WithHint(fail.Usagef("the endpoints are of cluster %x, which has no member that the snapshot names", cluster.ID),
			"give the endpoints of the cluster that the snapshot came from")
	}
	return cluster.Live(c.Context, in.DB, in.Report, sourceMember(src), all, now), nil
}

// connectTo connects to the live cluster, which has to be the backup's own.
func connectTo(c *cli.Context, src *source, log *slog.Logger) (*snapshot.Cluster, error) {
	config, err := connection(c, log)
	if err != nil {
		return nil, err
	}
	cluster, err := snapshot.Connect(c.Context, config, log)
	if err != nil {
		return nil, err
	}
	if src.backup != nil && fmt.Sprintf("%x", cluster.ID) != src.backup.Cluster.ID {
		cluster.Close()
		return nil, fail.WithHint(fail.Usagef("the endpoints are of cluster %x, the backup of %s", cluster.ID, src.backup.Cluster.ID),
			"give the endpoints of the cluster that the backup came from")
	}
	if src.backup != nil {
		same, err := src.catalog.SameLife(c.Context, src.backup, cluster.Members[0].Status)
		if err == nil && !same {
			err = fail.WithHint(fail.Usagef("the live cluster has the same id, but is in another life than the backup: it was restored or made again"),
				"compare it with a backup of its own life: etcdha snapshot list")
		}
		if err != nil {
			cluster.Close()
			return nil, err
		}
	}
	return cluster, nil
}

func sourceMember(src *source) uint64 {
	if src.backup == nil {
		return 0
	}
	id, _ := strconv.ParseUint(src.backup.Member.ID, 16, 64) // 0, unknown, if it is none
	return id
}

func printVerification(c *cli.Context, src *source, checks snapshot.Checks) error {
	passed := checks.Err() == nil
	if done, err := asJSON(c, verifyOutput{Snapshot: src.name, Passed: passed, Checks: checks}); done {
		return err
	}
	w := c.App.Writer
	fmt.Fprintln(w, src.name)
	printChecks(w, checks)
	return nil
}

func printVerified(c *cli.Context, src *source, in *opened) {
	if in.Report == nil {
		printNext(c.App.Writer, "the same with --identity FILE, to prove more than the stored bytes")
		return
	}
	printNext(c.App.Writer, "etcdha restore rehearse %s%s", quote(src.name), storeArgs(c))
}
