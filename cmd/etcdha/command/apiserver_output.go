package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// rewired is what rewire and rollback print as data.
type rewired struct {
	File        string              `json:"file"`
	Form        etcdservers.Form    `json:"form"`
	Flag        string              `json:"flag"`
	Topology    apiserver.Topology  `json:"topology,omitempty"` // unknown offline
	Before      []string            `json:"before"`
	Servers     []string            `json:"servers"`
	Changed     bool                `json:"changed"`     // false with --dry-run, too
	WouldChange bool                `json:"wouldChange"` // with --dry-run, if it would not be refused
	LeftOut     []apiserver.LeftOut `json:"leftOut,omitempty"`
}

// printDiff shows what another list does to a file. Context lines may hold whatever
// the file does, so none are shown.
func printDiff(w io.Writer, f *etcdservers.File, servers []string, after []byte) {
	show := func(color, line string, servers []string) {
		line = strings.TrimRight(line, "\r\n")
		fmt.Fprintln(w, paint(w, color, line[:1]+cutAround(line[1:], servers)))
	}
	for line := range strings.Lines(string(diff.Diff(f.Path, f.Data(), f.Path, after))) {
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		case strings.HasPrefix(line, "-"):
			show(red, line, f.Servers)
		case strings.HasPrefix(line, "+"):
			show(green, line, servers)
		}
	}
}

// longLine is more than a flag with a list takes. A longer line is a whole command, and
// may hold what nobody has to see, such as a token in the environment before it.
const longLine = 200

// cutAround is a line, of a long one no more than the list and its flag.
func cutAround(line string, servers []string) string {
	if len(line) <= longLine {
		return line
	}
	list := strings.Join(servers, ",")
	for _, before := range []string{etcdservers.FlagName + "=", etcdservers.FlagName + " ", ""} {
		if i := strings.Index(line, before+list); i >= 0 {
			return " ... " + line[i:i+len(before+list)] + " ..."
		}
	}
	return " ..."
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
	if why == r.why && t.Sub(r.at) < sayAgain {
		return
	}
	r.why, r.at = why, t
	fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", paint(r.c.App.ErrWriter, faint, "waiting: "+why))
}

func (r *siteReporter) Done(result string) {
	fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", result)
}
