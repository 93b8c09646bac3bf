// Command bench measures etcdha beside etcd's own tools, which do the same work
// in turns on one data set: one throwaway member, one snapshot, one disk.
//
// Only ratios and memory mean anything. A time depends on the machine, on the
// state of its memory and on its other work, so programs alternate, what is
// compared is the median, and no time is ever a failure: the exit code is not
// zero only if something did not run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/throwaway"
)

const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	o, err := parseFlags(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage // the flag package has said why
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	err = bench(ctx, o)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return exitFailed
}

// options are the flags.
type options struct {
	keys      int // live keys
	valueSize int // bytes
	rounds    int
	dir       string // parent of the working directory
	bin       string // where make puts programs

	started time.Time
}

func parseFlags(args []string) (*options, error) {
	o := &options{started: time.Now()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.keys, "keys", requiredKeys, "live keys of the data set")
	flags.IntVar(&o.valueSize, "value-size", 1100, "bytes of each value")
	flags.IntVar(&o.rounds, "rounds", 3, "measured runs of each command")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "directory for working files, several times as large as the data set")
	flags.StringVar(&o.bin, "bin", "bin", "directory with etcdha and etcd37/{etcd,etcdctl,etcdutl}")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	err := o.check(flags.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return o, err
}

func (o *options) check(rest []string) (err error) {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.keys < shareless || o.valueSize < 1 || o.rounds < 1:
		return fmt.Errorf("at least -keys %d, -value-size 1 and -rounds 1", shareless)
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	o.bin, err = filepath.Abs(o.bin)
	return err
}

// progress tells a waiting person what goes on.
func (o *options) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%6.1fs] %s\n", time.Since(o.started).Seconds(), fmt.Sprintf(format, args...))
}

// diskShare is how many times the data set fits into what the run needs at its
// fullest: the member with its log, two snapshots, and a backup.
const diskShare = 6

// bench does everything in one directory, which goes away with it: a killed
// run's is removed by the next.
func bench(ctx context.Context, o *options) (err error) {
	throwaway.Sweep(o.dir)
	size := int64(o.keys) * int64(o.valueSize+recordOverhead)
	if err := diskspace.Check(o.dir, diskShare*size, "-dir names another directory, with more room"); err != nil {
		return err
	}
	dir, err := throwaway.NewDir(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	m, err := startMember(ctx, o, dir.Path, 4*size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	set, err := m.fill(ctx, o)
	if err != nil {
		return fmt.Errorf("fill member: %w", err)
	}
	t := newTools(o, dir.Path, m)
	results, err := t.compare(ctx, t.saves())
	if err != nil {
		return err
	}
	// What follows has no use for the member, and has its disk and processor.
	if err := m.close(); err != nil {
		return err
	}
	more, err := t.compare(ctx, t.reads())
	if err != nil {
		return err
	}
	return printTable(os.Stdout, o, set, append(results, more...))
}
