package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/snapshot/retention"
)

// keepFlags are the numbers of a policy, and what each is called in it.
var keepFlags = []struct {
	name, usage string
	number      func(*retention.Policy) *int
}{
	{"keep-last", "keep the newest `N`", func(p *retention.Policy) *int { return &p.Last }},
	{"keep-hourly", "keep the newest of each of the last `N` hours that have one", func(p *retention.Policy) *int { return &p.Hourly }},
	{"keep-daily", "the same for `N` days", func(p *retention.Policy) *int { return &p.Daily }},
	{"keep-weekly", "the same for `N` weeks, from Monday", func(p *retention.Policy) *int { return &p.Weekly }},
	{"keep-monthly", "the same for `N` months", func(p *retention.Policy) *int { return &p.Monthly }},
	{"keep-yearly", "the same for `N` years", func(p *retention.Policy) *int { return &p.Yearly }},
}

func pruneCommand() *cli.Command {
	const category = "What to keep"
	own := []cli.Flag{
		&cli.BoolFlag{Name: "apply", Usage: "remove what the plan removes; without it, the plan is only shown"},
		writeOutFlag(),
		&cli.StringFlag{Name: "keep-within", Usage: "keep all of the last `TIME` before the newest backup, such as 36h, 14d or 2w", Category: category},
		&cli.StringFlag{Name: "time-zone", Value: "UTC", Usage: "`ZONE` in which hours, days and weeks begin, such as Europe/Berlin", Category: category},
	}
	for _, k := range keepFlags {
		own = append(own, &cli.IntFlag{Name: k.name, Usage: k.usage, Category: category})
	}
	return &cli.Command{
		Name:  "prune",
		Usage: "remove old backups by a calendar; shows its plan unless --apply is given",
		Description: `The newest backup, the newest that is verified and the newest that was rehearsed
stay in any case, and so does what is held, locked by the store, or dated in the
future. Other lives of the cluster are listed and not touched: --cluster
NAME/LINEAGE makes a plan for one of them. What saves and copies that were killed
have left is removed a day later.`,
		Flags:  slices.Concat(own, storeFlags()),
		Action: prune,
	}
}

func prune(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	if c.Args().Present() {
		return fail.Usagef("snapshot prune takes no argument: what to remove follows from what to keep")
	}
	policy, err := retentionPolicy(c)
	if err != nil {
		return err
	}
	catalog, err := openCatalog(c)
	if err != nil {
		return err
	}
	plan, err := catalog.PlanPrune(c.Context, policy, now())
	if err != nil {
		return err
	}
	if len(plan.Decisions)+len(plan.Problems)+len(plan.Leftovers) == 0 { // perhaps for want of the right name
		if err := noBackups(c.Context, newLog(c), catalog); err != nil {
			return err
		}
	}
	if people(c) {
		printPlan(c.App.Writer, catalog, plan, policy)
	}
	if c.Bool("apply") {
		err = applyPrune(c, plan)
	}
	if done, jsonErr := asJSON(c, planOutput(plan, c.Bool("apply") && err == nil)); done {
		return errors.Join(err, jsonErr)
	}
	if !c.Bool("apply") && len(plan.Remove())+len(plan.Leftovers) > 0 {
		printNext(c.App.Writer, "etcdha snapshot prune%s%s --apply", flagsToType(c, policyFlags()...), storeArgs(c))
	}
	return err
}

func retentionPolicy(c *cli.Context) (retention.Policy, error) {
	var p retention.Policy
	for _, k := range keepFlags {
		*k.number(&p) = c.Int(k.name)
	}
	var err error
	if within := c.String("keep-within"); within != "" {
		if p.Within, err = retention.ParseDuration(within); err != nil {
			return p, fail.As(fail.ErrUsage, fmt.Errorf("--keep-within: %w", err))
		}
	}
	zone := c.String("time-zone")
	if p.Location, err = time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
		return p, fail.WithHint(fail.Usagef("--time-zone %q is not known", zone), "use a name such as UTC or Europe/Berlin")
	}
	if err := p.Check(); err != nil {
		return p, fail.WithHint(fail.As(fail.ErrUsage, fmt.Errorf("what to keep: %w", err)), "for example --keep-last 3 --keep-daily 14 --keep-weekly 8")
	}
	return p, nil
}

// policyFlags are what a policy consists of.
func policyFlags() []string {
	names := []string{"keep-within", "time-zone"}
	for _, k := range keepFlags {
		names = append(names, k.name)
	}
	return names
}

func printPlan(w io.Writer, catalog *snapshot.Catalog, plan *snapshot.PrunePlan, policy retention.Policy) {
	remove := len(plan.Remove())
	fmt.Fprintf(w, "Plan for %s/%s in %s: keep %d, remove %d (days begin in %s)\n\n",
		catalog.Cluster, plan.Lineage, catalog.Store, len(plan.Decisions)-remove, remove, policy.Location)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range plan.Decisions {
		action := "keep"
		if !d.Keep {
			action = "REMOVE"
		}
		fmt.Fprintf(tab, "  %s\t%s\t%s\n", action, d.Backup.ID, strings.Join(d.Reasons, ", "))
	}
	for _, o := range plan.Others {
		fmt.Fprintf(tab, "  other life\t%s/%s\t%d backups until %s, not touched\n", catalog.Cluster, o.Lineage, o.Backups, o.Newest.UTC().Format("2006-01-02 15:04Z"))
	}
	for _, p := range plan.Problems {
		fmt.Fprintf(tab, "  unreadable\t%s\tnot touched: %v\n", p.ID, p.Err)
	}
	for _, l := range plan.Leftovers {
		fmt.Fprintf(tab, "  LEFTOVER\t%s\tsince %s\n", l.Name, l.Since.UTC().Format("2006-01-02 15:04Z"))
	}
	_ = tab.Flush() // as with all text for people
}

// applyPrune carries the plan out.
func applyPrune(c *cli.Context, plan *snapshot.PrunePlan) error {
	if !people(c) {
		return plan.ApplyAll(c.Context, snapshot.ApplyOptions{})
	}
	w := c.App.Writer
	fmt.Fprintln(w)
	return plan.ApplyAll(c.Context, snapshot.ApplyOptions{Done: func(name string, err error) {
		if err == nil {
			fmt.Fprintf(w, "  %s  %s\n", paint(w, green, "removed"), name)
		}
	}})
}

// planJSON is the plan for programs.
type planJSON struct {
	Lineage   string         `json:"lineage"`
	Applied   bool           `json:"applied"` // and nothing failed
	Backups   []decisionJSON `json:"backups"`
	Others    []string       `json:"otherLineages"`
	Problems  []problemJSON  `json:"unreadable"`
	Leftovers []string       `json:"leftovers"`
}

type decisionJSON struct {
	ID      string   `json:"id"`
	Keep    bool     `json:"keep"`
	Reasons []string `json:"reasons"`
}

type problemJSON struct {
	ID      string `json:"id"`
	Lineage string `json:"lineage"`
	Error   string `json:"error"`
}

func planOutput(plan *snapshot.PrunePlan, applied bool) planJSON {
	out := planJSON{
		Lineage: plan.Lineage, Applied: applied,
		Backups: []decisionJSON{}, Others: []string{}, Problems: []problemJSON{}, Leftovers: []string{},
	}
	for _, d := range plan.Decisions {
		out.Backups = append(out.Backups, decisionJSON{d.Backup.ID, d.Keep, d.Reasons})
	}
	for _, o := range plan.Others {
		out.Others = append(out.Others, o.Lineage)
	}
	for _, p := range plan.Problems {
		out.Problems = append(out.Problems, problemJSON{p.ID, p.Lineage, p.Err.Error()})
	}
	for _, l := range plan.Leftovers {
		out.Leftovers = append(out.Leftovers, l.Name)
	}
	return out
}
