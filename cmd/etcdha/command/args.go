package command

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/urfave/cli/v2"
)

// arguments are a command line, taken apart.
type arguments struct {
	path  []string // the commands
	flags []string // with what stands behind them
	rest  []string
	given map[string][]string // the values of each flag
}

// takeApart finds the flags wherever they stand: etcdctl, and so every runbook,
// has them anywhere.
func takeApart(app *cli.App, args []string) arguments {
	takesValue := valueFlags(app)
	commands := app.Commands
	a := arguments{given: make(map[string][]string)}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			a.rest = append(a.rest, args[i+1:]...)
			break
		}
		if len(arg) > 1 && arg[0] == '-' {
			a.flags = append(a.flags, arg)
			name, value, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch {
			case inline:
			case !takesValue[name]:
				value = "true"
			case i+1 < len(args):
				i++
				value = args[i]
				a.flags = append(a.flags, value)
			}
			a.given[name] = append(a.given[name], value)
			continue
		}
		if c := find(commands, arg); c != nil && len(a.rest) == 0 {
			a.path, commands = append(a.path, arg), c.Subcommands
			continue
		}
		a.rest = append(a.rest, arg)
	}
	return a
}

// inOrder has the flags where the parser accepts them, behind the command and
// before its arguments.
func (a arguments) inOrder() []string {
	out := slices.Concat(a.path, a.flags)
	if len(a.rest) > 0 && strings.HasPrefix(a.rest[0], "-") {
		out = append(out, "--")
	}
	return append(out, a.rest...)
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// valueFlags names the flags of all commands that take a value as the next
// argument. A name means the same in each command.
func valueFlags(app *cli.App) map[string]bool {
	names := make(map[string]bool)
	each(app.Commands, func(c *cli.Command) {
		for _, f := range c.Flags {
			doc, ok := f.(cli.DocGenerationFlag)
			if !ok || !doc.TakesValue() {
				continue
			}
			if g, ok := f.(*cli.GenericFlag); ok && isBoolFlag(g.Value) {
				continue
			}
			for _, name := range f.Names() {
				names[name] = true
			}
		}
	})
	return names
}

func isBoolFlag(v cli.Generic) bool {
	b, ok := v.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// HideSecrets returns a copy of args, and overwrites the passwords in the
// original: args of a process are memory that ps shows to everybody.
func HideSecrets(args []string) []string {
	kept := make([]string, len(args))
	for i, arg := range args {
		kept[i] = strings.Clone(arg)
	}
	for i, arg := range kept {
		name, value, inline := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || name != "password" && name != "user" {
			continue
		}
		at := i
		if !inline {
			if at++; at == len(args) {
				break
			}
			value = kept[at]
		}
		if name == "user" {
			_, value, _ = strings.Cut(value, ":")
		}
		blank(args[at], len(args[at])-len(value))
	}
	return kept
}

// blank overwrites s from offset on, in place. The strings of os.Args point
// into the argument memory of the process, which is writable.
func blank(s string, offset int) {
	if len(s) == 0 {
		return
	}
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for i := offset; i < len(b); i++ {
		b[i] = 'x'
	}
}
