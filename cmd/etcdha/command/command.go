// Package command is the command line: one file a command, each of which
// reads its flags, calls the packages that do the work, and prints.
package command

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"golang.org/x/term"

	"github.com/etcdha/etcdha/internal/fail"
)

// memberCommand runs etcd itself: the members of throwaway clusters are
// children of this binary, unless --etcd names another.
const memberCommand = "throwaway-member"

// Run runs the command line. Errors carry their kind and hint; see package fail.
func Run(ctx context.Context, args []string, version string) error {
	if len(args) > 1 && args[1] == memberCommand {
		etcdmain.Main(append([]string{"etcd"}, args[2:]...))
		return nil
	}
	if err := unsetEmpty(); err != nil {
		return err
	}
	return runApp(ctx, newApp(version), args)
}

// runApp runs a command line, the flags of which may stand anywhere.
func runApp(ctx context.Context, app *cli.App, args []string) error {
	if len(args) == 0 {
		return app.RunContext(ctx, args)
	}
	line := takeApart(app, args[1:])
	app.Metadata = map[string]any{givenFlags: line.given}
	return app.RunContext(ctx, append([]string{args[0]}, line.inOrder()...))
}

// unsetEmpty makes an empty variable the same as none, so that it does not
// hide etcdctl's of the same flag.
func unsetEmpty() error {
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if value != "" || !strings.HasPrefix(name, "ETCDHA_") && !strings.HasPrefix(name, "ETCDCTL_") {
			continue
		}
		if slices.ContainsFunc(protecting, func(flag string) bool { return env(flag)[0] == name }) {
			return fail.WithHint(fail.Usagef("%s is set to nothing", name), "unset it to go without what it asks for")
		}
		_ = os.Unsetenv(name) // fails only for names that no environment has
	}
	return nil
}

func newApp(version string) *cli.App {
	if version == "" {
		version = buildVersion()
	}
	app := &cli.App{
		Name:                 "etcdha",
		Usage:                "etcd backups that prove themselves, restores that were rehearsed",
		Version:              version,
		HideVersion:          true,
		HideHelpCommand:      true,
		EnableBashCompletion: true,

		DisableSliceFlagSeparator: true, // a comma may be part of a directory's name
		Writer:                    os.Stdout,
		ErrWriter:                 os.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // main decides
		Action:                    group,
		Commands: []*cli.Command{
			demoCommand(),
			{
				Name:   "snapshot",
				Usage:  "take, prove and look at snapshots",
				Action: group,
				Subcommands: []*cli.Command{
					saveCommand(), statusCommand(), verifyCommand(), listCommand(), getCommand(), copyCommand(),
					pruneCommand(), holdCommand(), releaseCommand(), etcdctlRestoreCommand(),
				},
			},
			restoreCommand(),
			membersCommand(),
			apiserverCommand(),
			alarmCommand(),
			etcdctlMoveLeaderCommand(),
			storageCommand(),
			daemonCommand(),
			cronjobCommand(),
			completionCommand(),
			versionCommand(),
		},
	}
	each(app.Commands, func(c *cli.Command) {
		c.HideHelpCommand, c.OnUsageError, c.Action = true, usageError, checked(c.Action)
	})
	app.OnUsageError = usageError
	return app
}

func each(commands []*cli.Command, f func(*cli.Command)) {
	for _, c := range commands {
		f(c)
		each(c.Subcommands, f)
	}
}

func usageError(c *cli.Context, err error, _ bool) error {
	return fail.WithHint(fail.As(fail.ErrUsage, err), "%s --help", c.Command.HelpName)
}

// group is the action of a command that only has subcommands.
func group(c *cli.Context) error {
	if c.Args().Present() {
		return fail.WithHint(fail.Usagef("no command %q", c.Args().First()), "%s --help lists them", c.Command.HelpName)
	}
	return cli.ShowSubcommandHelp(c)
}

// checked looks at the flags before an action that they could mislead.
func checked(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := checkFlags(c); err != nil {
			return err
		}
		return action(c)
	}
}

// oneArg returns the only argument of a command.
func oneArg(c *cli.Context, name string) (string, error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return "", fail.WithHint(fail.Usagef("%s takes one argument: %s", c.Command.HelpName, name), "%s --help", c.Command.HelpName)
	}
	return c.Args().First(), nil
}

// newLog writes what is not a result to stderr; a terminal needs no time.
func newLog(c *cli.Context) *slog.Logger { return newLogFrom(c, slog.LevelInfo) }

// newLogFrom writes what is of a level or above it.
func newLogFrom(c *cli.Context, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if isTerminal(os.Stderr) {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(slog.NewTextHandler(c.App.ErrWriter, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// The clock and randomness of everything below.
var (
	now              = time.Now
	random io.Reader = rand.Reader
)

// ownEtcd is the command that runs a member of a throwaway cluster.
func ownEtcd(c *cli.Context) ([]string, error) {
	if etcd := c.String("etcd"); etcd != "" {
		path, err := exec.LookPath(etcd)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return nil, fail.As(fail.ErrUsage, fmt.Errorf("--etcd: %w", err))
		}
		return []string{path}, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return []string{self, memberCommand}, nil
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(c *cli.Context) error {
			_, err := fmt.Fprintln(c.App.Writer, "etcdha", c.App.Version)
			return err
		},
	}
}

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
