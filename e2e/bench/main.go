// Command bench measures etcdha beside etcd's own tools, which do the same work
// in turns on one data set: one throwaway member, one snapshot, one disk.
//
// Where they meet a store it is an S3 server on this machine, the same for both.
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
	if len(os.Args) == 4 && os.Args[1] == uploadMode {
		return runUpload(os.Args[2], os.Args[3])
	}
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
	upload    int64  // MiB of the upload whose memory is measured
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
	flags.Int64Var(&o.upload, "upload", requiredUpload>>20, "MiB of the upload whose memory is measured")
	flags.StringVar(&o.dir, "dir", os.TempDir(), "directory for working files, with room for several times the data set and twice the upload")
	flags.StringVar(&o.bin, "bin", "bin", "directory with etcdha, etcd37/{etcd,etcdctl,etcdutl}, versitygw and s5cmd")
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
	case o.keys < shareless || o.valueSize < 1 || o.rounds < 1 || o.upload < 1 || o.upload > announcedUpload>>20:
		return fmt.Errorf("at least -keys %d, -value-size 1, -rounds 1 and -upload 1, which is %d at most", shareless, announcedUpload>>20)
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

const (
	// diskShare is how many times the data set fits into what the comparisons
	// need at their fullest: the member with its log, two snapshots, and a backup,
	// which the S3 server has twice while it puts the parts together.
	diskShare = 6

	// uploadShare is the same of the upload, which is over before the member starts.
	uploadShare = 2
)

// bench does everything in one directory, which goes away with it: a killed
// run's is removed by the next.
func bench(ctx context.Context, o *options) (err error) {
	throwaway.Sweep(o.dir)
	size := int64(o.keys) * int64(o.valueSize+recordOverhead)
	if err := diskspace.Check(o.dir, max(diskShare*size, uploadShare*o.upload<<20), "-dir names another directory, with more room"); err != nil {
		return err
	}
	dir, err := throwaway.NewDir(o.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()

	g, err := startGateway(ctx, o, dir.Path)
	if err != nil {
		return err
	}
	defer g.close()
	upload, err := measureUpload(ctx, o, g)
	if err != nil {
		return err
	}
	set, results, err := compareAll(ctx, o, dir.Path, g, 4*size)
	if err != nil {
		return err
	}
	return printTable(os.Stdout, o, set, append(results, upload))
}

// compareAll starts the member, with a quota in bytes, and has it only as long
// as it is needed.
func compareAll(ctx context.Context, o *options, dir string, g *gateway, quota int64) (_ *dataSet, _ []result, err error) {
	m, err := startMember(ctx, o, dir, quota)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	set, err := m.fill(ctx, o)
	if err != nil {
		return nil, nil, fmt.Errorf("fill member: %w", err)
	}
	t := newTools(o, dir, m, g)
	through, err := t.throughS3()
	if err != nil {
		return nil, nil, err
	}
	results, err := t.compare(ctx, append(t.saves(), through))
	if err != nil {
		return nil, nil, err
	}
	// What follows has no use for the member and the gateway, and has their disk
	// and processor.
	g.close()
	if err := m.close(); err != nil {
		return nil, nil, err
	}
	more, err := t.compare(ctx, t.reads())
	return set, append(results, more...), err
}
