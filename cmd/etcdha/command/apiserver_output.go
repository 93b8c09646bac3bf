package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// rewired is what rewire and rollback print as data.
type rewired struct {
	File     string              `json:"file"`
	Form     etcdservers.Form    `json:"form"`
	Flag     string              `json:"flag"`
	Topology apiserver.Topology  `json:"topology,omitempty"` // unknown offline
	Before   []string            `json:"before"`
	Servers  []string            `json:"servers"`
	Changed  bool                `json:"changed"` // false with --dry-run, too
	LeftOut  []apiserver.LeftOut `json:"leftOut,omitempty"`
}

// printDiff shows what a change does to a file. Context lines may hold whatever
// the file does, so none are shown.
func printDiff(w io.Writer, name string, before, after []byte) {
	for line := range strings.Lines(string(diff.Diff(name, before, name, after))) {
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		case strings.HasPrefix(line, "-"):
			fmt.Fprintln(w, paint(w, red, strings.TrimRight(line, "\r\n")))
		case strings.HasPrefix(line, "+"):
			fmt.Fprintln(w, paint(w, green, strings.TrimRight(line, "\r\n")))
		}
	}
}

// siteReporter tells a person on stderr how a rewiring goes.
type siteReporter struct {
	c   *cli.Context
	why string    // what was waited for last
	at  time.Time // when that was said
}

func (r *siteReporter) Doing(stage string) {
	r.why = ""
	fmt.Fprintf(r.c.App.ErrWriter, "-> %s\n", stage)
}

// Waiting says a thing once, and again now and then while it stays.
func (r *siteReporter) Waiting(why string) {
	t := now()
	if why == r.why && t.Sub(r.at) < progressTick {
		return
	}
	r.why, r.at = why, t
	fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", paint(r.c.App.ErrWriter, faint, "waiting: "+why))
}

func (r *siteReporter) Done(result string) {
	fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", result)
}

// approveChange asks on a terminal before a file is changed.
func approveChange(c *cli.Context, question string) error {
	if c.Bool("yes") || !canAsk() {
		return nil
	}
	answer, err := ask(c.Context, question+" Type yes: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return fail.WithHint(fmt.Errorf("nothing was changed: the answer was not yes"), "--yes answers it")
	}
	return nil
}
