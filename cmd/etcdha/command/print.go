package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
)

// Colours, on a terminal only.
const (
	green  = "32"
	red    = "31"
	yellow = "33"
	faint  = "2"
)

func paint(w io.Writer, colour, text string) string {
	if !isTerminal(w) || os.Getenv("NO_COLOR") != "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// marks are what a person sees of a verdict, in one width.
var marks = map[snapshot.Verdict]struct{ text, colour string }{
	snapshot.Match:         {"ok  ", green},
	snapshot.Mismatch:      {"FAIL", red},
	snapshot.NotComparable: {"n/a ", yellow},
	snapshot.NotAsked:      {"skip", faint},
}

// printCheck prints one rung or stage as it is done.
func printCheck(w io.Writer, check snapshot.Check) {
	mark := marks[check.Verdict]
	took := elapsed(w, time.Duration(check.Seconds*float64(time.Second)))
	fmt.Fprintf(w, "  %s  %-15s %s%s\n", paint(w, mark.colour, mark.text), check.Name, check.Detail, took)
}

// elapsed ends a line with the time that something took, if that was any.
func elapsed(w io.Writer, took time.Duration) string {
	if took < time.Second/20 {
		return ""
	}
	return paint(w, faint, fmt.Sprintf("  %.1fs", took.Seconds()))
}

func printChecks(w io.Writer, checks snapshot.Checks) {
	for _, check := range checks {
		printCheck(w, check)
	}
}

// printNext ends a command's output with what to type next.
func printNext(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "\n%s  %s\n", paint(w, faint, "next"), fmt.Sprintf(format, args...))
}

// asJSON prints v if --write-out wants data; else the caller prints for people.
func asJSON(c *cli.Context, v any) (done bool, err error) {
	if people(c) {
		return false, nil
	}
	data, err := json.Marshal(v)
	if err == nil && c.String("write-out") == "yaml" {
		data, err = yaml.JSONToYAML(data)
	} else if err == nil {
		data = append(data, '\n')
	}
	if err == nil {
		_, err = c.App.Writer.Write(data)
	}
	return true, err
}

// checkWriteOut refuses an unknown form before work is done for it.
func checkWriteOut(c *cli.Context) error {
	switch form := c.String("write-out"); form {
	case "simple", "table", "json", "yaml":
		return nil
	default:
		return fail.Usagef("--write-out %q: simple, table, json or yaml", form)
	}
}

// people tells whether the output is for people, not for programs.
func people(c *cli.Context) bool {
	form := c.String("write-out")
	return form != "json" && form != "yaml"
}

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// progressTick is how often plain output says how far a stream is.
const progressTick = 30 * time.Second

// newProgress returns what shows the progress of a stream on stderr: a bar on
// a terminal, else a line now and then.
func newProgress(c *cli.Context, what string) func(done, total int64) {
	if isTerminal(os.Stderr) {
		return barProgress(what)
	}
	log, last := newLog(c), now()
	return func(done, total int64) {
		if t := now(); t.Sub(last) >= progressTick {
			last = t
			log.Info(what, "done", size(done), "of", size(total))
		}
	}
}

// progressReader tells how much of it was read, and ends with its context.
type progressReader struct {
	ctx         context.Context
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (p *progressReader) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.done += int64(n)
	p.progress(p.done, p.total)
	return n, err
}

func barProgress(what string) func(done, total int64) {
	var bar *progressbar.ProgressBar
	return func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total,
				progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(os.Stderr),
				progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
				progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(),
				progressbar.OptionFullWidth())
		}
		_ = bar.Set64(min(done, bar.GetMax64())) // a bar that cannot be drawn is no reason to fail
	}
}

// quote makes an argument that a shell reads back as it is.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:=,@+"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// storeArgs repeats for a command to type next what the environment does not say.
func storeArgs(c *cli.Context) string {
	if urls := c.StringSlice("store"); len(urls) == 1 {
		return argsForStore(c, urls[0])
	}
	return ""
}

// argsForStore is storeArgs where the next command has a store of its own.
func argsForStore(c *cli.Context, rawURL string) string {
	s := ""
	if url := urlToType(c, rawURL); url != os.Getenv("ETCDHA_STORE") {
		s = " --store " + quote(url)
	}
	return s + flagsToType(c, "cluster", "identity", "verify-key")
}

// flagsToType repeats flags as they stand on the command line.
func flagsToType(c *cli.Context, names ...string) string {
	s := ""
	for _, name := range names {
		for _, value := range given(c, name) {
			s += " --" + name + " " + quote(value)
		}
	}
	return s
}
