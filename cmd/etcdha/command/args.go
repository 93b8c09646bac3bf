package command

import (
	"strings"
	"unsafe"

	"github.com/urfave/cli/v2"
)

// intersperse moves flags to where the parser accepts them, behind the command
// and before its arguments: etcdctl, and so every runbook, has them anywhere.
func intersperse(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	takesValue := valueFlags(app)
	commands := app.Commands
	var path, flags, rest []string
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(arg) > 1 && arg[0] == '-' {
			flags = append(flags, arg)
			name := strings.TrimLeft(arg, "-")
			if takesValue[name] && i+1 < len(args) {
				i++
				flags = append(flags, args[i])
			}
			continue
		}
		if c := find(commands, arg); c != nil && len(rest) == 0 {
			path, commands = append(path, arg), c.Subcommands
			continue
		}
		rest = append(rest, arg)
	}
	out := append([]string{args[0]}, path...)
	out = append(out, flags...)
	if len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		out = append(out, "--")
	}
	return append(out, rest...)
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
