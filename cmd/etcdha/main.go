// Command etcdha takes etcd snapshots that prove themselves, keeps them, and
// restores them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules have time zones, and an image from scratch has none

	"github.com/etcdha/etcdha/cmd/etcdha/command"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// version is set by the linker; see the Makefile.
var version string

// Exit codes, documented in docs/command-line.md.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitVerification = 10
	exitUnsafe       = 11
	exitStore        = 12
	exitInterrupted  = 130
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	err := command.Run(ctx, command.HideSecrets(os.Args), version)
	code := exitCode(ctx, err)
	switch code {
	case exitDone:
	case exitInterrupted:
		fmt.Fprintln(os.Stderr, "etcdha: interrupted")
	default:
		fmt.Fprintln(os.Stderr, "etcdha:", err)
		if hint := fail.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
	}
	return code
}

func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil: // whatever broke off, this is why
		return exitInterrupted
	case errors.Is(err, fail.ErrUsage):
		return exitUsage
	case errors.Is(err, fail.ErrVerification):
		return exitVerification
	case errors.Is(err, fail.ErrUnsafe):
		return exitUnsafe
	case errors.Is(err, storage.ErrUnavailable):
		return exitStore
	}
	return exitFailed
}
