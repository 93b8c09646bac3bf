package command

import (
	"net/url"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/storage/s3"
)

// s3Flags are the parameters of an S3 URL for those that do not say it themselves.
func s3Flags() []cli.Flag {
	var flags []cli.Flag
	for _, p := range s3.Params {
		name := "s3-" + p.Name
		variables := env(name)[:1]
		var aliases []string
		if p.Name == "rate-limit" {
			aliases, variables = []string{p.Name}, append(variables, env(p.Name)[0])
		}
		if p.Bool {
			flags = append(flags, &cli.BoolFlag{Name: name, Aliases: aliases, Usage: p.Usage, EnvVars: variables, Category: categoryS3})
		} else {
			flags = append(flags, &cli.StringFlag{Name: name, Aliases: aliases, Usage: p.Usage, EnvVars: variables, Category: categoryS3})
		}
	}
	return flags
}

// s3FlagNames are what a command line may call them.
func s3FlagNames() []string {
	var names []string
	for _, f := range s3Flags() {
		names = append(names, f.Names()...)
	}
	return names
}

// s3URL is rawURL if it is that of a store on S3; compare [storage.Openers.Open].
func s3URL(rawURL string) (*url.URL, bool) {
	u, err := url.Parse(rawURL)
	return u, err == nil && u.Scheme == "s3" && strings.Contains(rawURL, "://")
}

func isS3(rawURL string) bool {
	_, ok := s3URL(rawURL)
	return ok
}

// withS3Flags adds the S3 flags to the URL of an S3 store, as far as it does
// not say the same thing itself. One that is malformed stays as it is, for
// [s3.Parse] to refuse.
func withS3Flags(c *cli.Context, rawURL string) string {
	u, ok := s3URL(rawURL)
	if !ok {
		return rawURL
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return rawURL
	}
	for _, p := range s3.Params {
		value := c.String("s3-" + p.Name)
		if p.Bool && value == "false" {
			value = ""
		}
		if value != "" && !query.Has(p.Name) {
			query.Set(p.Name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// urlToType is the URL of a store for a command to type next. S3 flags of this
// command line are part of it: the next one would go elsewhere without them.
func urlToType(c *cli.Context, rawURL string) string {
	if !slices.ContainsFunc(s3FlagNames(), func(name string) bool { return len(given(c, name)) > 0 }) {
		return rawURL
	}
	u, ok := s3URL(withS3Flags(c, rawURL))
	if !ok {
		return rawURL
	}
	settings, err := s3.Parse(u)
	if err != nil {
		return rawURL
	}
	return settings.String()
}
