package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
)

// protecting are the flags whose variables must not be empty: a Secret that is
// missing where it is mounted would turn protection off in silence.
var protecting = []string{"encrypt-to", "recipients-file", "sign-key", "verify-key", "s3-sse", "s3-sse-kms-key-id", "s3-lock-mode", "s3-lock-for"}

// givenFlags is where an app keeps the flags of its command line.
const givenFlags = "given"

// given returns the values that a flag has on the command line. The parser does
// not tell them from those of the environment, which are meant for every command.
func given(c *cli.Context, name string) []string {
	flags, _ := c.App.Metadata[givenFlags].(map[string][]string)
	return flags[name]
}

// checkFlags refuses what would be ignored: a flag whose value is a variable of
// the shell that was never set, and one that no store has a use for.
func checkFlags(c *cli.Context) error {
	ofS3 := s3FlagNames()
	for _, name := range slices.Concat(protecting, ofS3, []string{"identity", "store", "to"}) {
		if slices.ContainsFunc(given(c, name), empty) {
			return fail.WithHint(fail.Usagef("--%s: its value is empty", name), "leave it out to go without what it asks for")
		}
	}
	if slices.ContainsFunc(slices.Concat(c.StringSlice("store"), []string{c.String("to")}, c.Args().Slice()), isS3) {
		return nil
	}
	for _, name := range ofS3 {
		if len(given(c, name)) > 0 {
			return fail.WithHint(fail.Usagef("--%s is for a store on S3, and there is none", name), "a store on S3 is s3://bucket/prefix")
		}
	}
	return nil
}

func empty(value string) bool { return strings.TrimSpace(value) == "" }
