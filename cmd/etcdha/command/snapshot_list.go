package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

func listCommand() *cli.Command {
	return &cli.Command{
		Name:   "list",
		Usage:  "list the backups of a store with what is proven of each",
		Flags:  append([]cli.Flag{writeOutFlag()}, storeFlags()...),
		Action: list,
	}
}

type listed struct {
	*snapshot.Manifest
	Held         bool             `json:"held"`
	Verification *snapshot.Report `json:"verification,omitempty"` // the latest
	Rehearsal    *snapshot.Report `json:"rehearsal,omitempty"`    // the latest
}

// unreadable stands for an entry whose manifest cannot be read, or is not
// signed as it has to be.
type unreadable struct {
	ID      string `json:"id"`
	Lineage string `json:"lineage"`
	Error   string `json:"unreadable"`
}

// parallelReports bounds the requests that a list has under way.
const parallelReports = 8

func list(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return err
	}
	backups, problems, err := catalog.List(c.Context)
	if err != nil {
		return err
	}
	log := newLog(c)
	rows, err := withReports(c.Context, log, catalog, backups)
	if err != nil {
		return err
	}
	for _, p := range problems {
		log.Warn("entry not readable", "id", p.ID, "error", p.Err)
	}
	if len(rows) == 0 && len(problems) == 0 {
		if err := noBackups(c.Context, log, catalog); err != nil {
			return err
		}
	}
	if done, err := asJSON(c, listOutput(rows, problems)); done || len(rows) == 0 {
		return err
	}
	return printList(c.App.Writer, rows)
}

// withReports reads what is proven of each backup.
func withReports(ctx context.Context, log *slog.Logger, catalog *snapshot.Catalog, backups []*snapshot.Backup) ([]listed, error) {
	rows := make([]listed, len(backups))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReports)
	for i, b := range backups {
		group.Go(func() (err error) {
			rows[i].Manifest, rows[i].Held = b.Manifest, b.Held()
			if rows[i].Verification, err = report(ctx, log, catalog, b, snapshot.ReportVerification); err == nil {
				rows[i].Rehearsal, err = report(ctx, log, catalog, b, snapshot.ReportRehearsal)
			}
			return err
		})
	}
	return rows, group.Wait()
}

// listOutput is the list for programs: who counts backups must see those that
// cannot be read.
func listOutput(rows []listed, problems []snapshot.Problem) []any {
	out := []any{}
	for _, r := range rows {
		out = append(out, r)
	}
	for _, p := range problems {
		out = append(out, unreadable{ID: p.ID, Lineage: p.Lineage, Error: p.Err.Error()})
	}
	return out
}

// noBackups tells an empty store from a wrong name.
func noBackups(ctx context.Context, log *slog.Logger, catalog *snapshot.Catalog) error {
	clusters, err := catalog.Clusters(ctx)
	if err != nil {
		return err
	}
	if len(clusters) > 0 {
		return fail.WithHint(fail.Usagef("no backups of cluster %s in %s", path.Join(catalog.Cluster, catalog.Lineage), catalog.Store),
			"it holds backups of: %s", strings.Join(clusters, ", "))
	}
	log.Info("no backups", "store", catalog.Store.String())
	return nil
}

// report reads the latest report of a kind. One that is not readable must not
// hide the backups.
func report(ctx context.Context, log *slog.Logger, catalog *snapshot.Catalog, b *snapshot.Backup, kind string) (*snapshot.Report, error) {
	r, err := catalog.LatestReport(ctx, b, kind)
	if errors.Is(err, fail.ErrVerification) || errors.Is(err, snapshot.ErrNewerFormat) {
		log.Warn("report not readable", "id", b.ID, "error", err)
		return nil, nil
	}
	return r, err
}

// printList shows one line a backup, oldest first, and where another life of
// the cluster begins.
func printList(w io.Writer, rows []listed) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "ID\tREVISION\tKEYS\tDB\tSTORED\tLIVE\tVERIFIED\tREHEARSED")
	lineage := ""
	for _, r := range rows {
		if lineage != "" && lineage != r.Cluster.Lineage {
			fmt.Fprintf(tab, "\n%s/%s:\n", r.Cluster.Name, r.Cluster.Lineage)
		}
		lineage = r.Cluster.Lineage
		id := r.ID
		if r.Kind != snapshot.KindOrdinary {
			id += " (" + r.Kind + ")"
		}
		if r.Held {
			id += " (held)"
		}
		fmt.Fprintf(tab, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\n", id, r.Revision, r.TotalKeys, size(r.DB.Size), size(r.Stored.Size),
			r.HashKV.Live, proven(r.Verification), proven(r.Rehearsal))
	}
	return tab.Flush()
}

func proven(r *snapshot.Report) string {
	if r == nil {
		return "-"
	}
	at := r.Time.UTC().Format("2006-01-02 15:04Z")
	switch {
	case !r.Sound():
		return "FAILED " + at
	case !r.Passed:
		return "live differed " + at
	case !r.Reached(snapshot.RungStructure):
		return at + " (stored bytes only)"
	}
	return at
}
