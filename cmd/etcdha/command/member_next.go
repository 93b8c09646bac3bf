package command

import (
	"errors"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

// What people are told to type next. Without the connection of the command that
// said so, a removal would go to whatever cluster is the default.

// connectionToType repeats how to reach the cluster, for a command to type next,
// without a password.
func connectionToType(c *cli.Context) string {
	return flagsToType(c, "endpoints") + identityToType(c)
}

// identityToType is that for a command whose endpoints are given already.
func identityToType(c *cli.Context) string {
	typed := flagsToType(c, "cacert", "cert", "key", "password-file", "insecure-skip-tls-verify")
	for _, user := range given(c, "user") {
		name, _, _ := strings.Cut(user, ":")
		typed += " --user " + quote(name)
	}
	return typed
}

// connecting are the commands in a text that connect to the cluster, in words.
var connecting = regexp.MustCompile(`etcdha (?:member|alarm) [a-z-]+( --help)?|etcdha snapshot save`)

// toType adds the connection to every command in a text. It stands right after
// the words of the command: where its arguments end, a text does not say.
func toType(c *cli.Context, text string) string {
	return connecting.ReplaceAllStringFunc(text, func(command string) string {
		switch {
		case strings.HasSuffix(command, " --help"):
			return command
		case strings.HasSuffix(command, "snapshot save"): // names the endpoint itself
			return command + identityToType(c)
		}
		return command + connectionToType(c)
	})
}

// connected adds the connection to the commands in the hints of an action.
func connected(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		err := action(c)
		hint := fail.Hint(err)
		if told := toType(c, hint); told != hint {
			return fail.WithHint(retold{err}, "%s", told)
		}
		return err
	}
}

// retold is an error whose hint is told anew. It does not unwrap: the hint
// further in would win. Its kind is all that is asked for from here on.
type retold struct{ err error }

func (r retold) Error() string { return r.err.Error() }

func (r retold) Is(target error) bool { return errors.Is(r.err, target) }

// toTypeAll adds the connection to the commands in remedies.
func toTypeAll(c *cli.Context, findings []membership.Finding) []membership.Finding {
	told := make([]membership.Finding, 0, len(findings))
	for _, f := range findings {
		f.Remedy = toType(c, f.Remedy)
		told = append(told, f)
	}
	return told
}

// nextAfter is a command to type where something is wrong, or "". Most remedies
// leave something to choose; those are read where the findings are.
func nextAfter(findings []membership.Finding) string {
	for _, f := range findings {
		if strings.HasPrefix(f.Remedy, "etcdha ") && !strings.ContainsAny(f.Remedy, ",;") && !strings.Contains(f.Remedy, "=URL") {
			return f.Remedy
		}
	}
	return ""
}
