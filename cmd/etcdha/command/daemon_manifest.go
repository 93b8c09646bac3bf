package command

import (
	"fmt"
	"os"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/manifest"
	"github.com/etcdha/etcdha/internal/fail"
)

func daemonManifestCommand() *cli.Command {
	return &cli.Command{
		Name:  "manifest",
		Usage: "print Kubernetes objects that run the daemon of a configuration",
		Description: `Nothing is installed, and nothing secret is printed: the file becomes a ConfigMap
as it is, and what it refers to is mounted from Secrets or from the node. The
commands that make the Secrets come first, on stderr and as a comment:

  etcdha daemon manifest --config etcdha.yaml --image IMAGE | kubectl apply -f -

docs/kubernetes.md says where files have to be, and why each setting is as it is.`,
		Flags: slices.Concat(manifestFlags(), []cli.Flag{
			&cli.StringFlag{Name: "kind", Usage: "`DaemonSet` on the nodes of the control plane, or Deployment (default: DaemonSet if the file names something of the node)"},
			&cli.BoolFlag{Name: "service-monitor", Usage: "also a Service, and a ServiceMonitor for the Prometheus operator"},
		}),
		Action: func(c *cli.Context) error { return printManifest(c, manifest.Daemon) },
	}
}

// manifestFlags are those of both commands that print objects.
func manifestFlags() []cli.Flag {
	return []cli.Flag{
		configFlag(),
		&cli.StringFlag{Name: "image", Usage: "container `IMAGE` the entry point of which is etcdha; deploy/Dockerfile makes one"},
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Value: manifest.DefaultNamespace, Usage: "`NAMESPACE` of the objects"},
		&cli.StringFlag{Name: "name", Value: manifest.DefaultName, Usage: "`NAME` of the objects"},
		&cli.StringFlag{Name: "db-size", Value: humanize.IBytes(manifest.DefaultDBSize), Usage: "`SIZE` of the largest db to expect, as a rule its quota: memory is given by it"},
		&cli.StringFlag{Name: "spool-limit", Usage: "`SIZE` of the spool of a pod at most (default: what the node has)"},
		&cli.StringFlag{Name: "write-out", Aliases: []string{"w"}, Value: "yaml", Usage: "`FORM` of the output: yaml, json"},
	}
}

// printManifest renders what the configuration says. The values of secrets are not needed, and not asked for.
func printManifest(c *cli.Context, render func(*config.File, []byte, manifest.Options) (*manifest.Manifest, error)) error {
	form := c.String("write-out")
	if form != "yaml" && form != "json" {
		return fail.Usagef("--write-out %q: yaml or json", form)
	}
	o, err := manifestOptions(c)
	if err != nil {
		return err
	}
	file, text, err := readWithoutSecrets(c)
	if err != nil {
		return err
	}
	m, err := render(file, text, o)
	if err != nil {
		return err
	}
	data, err := m.YAML()
	if form == "json" {
		data, err = m.JSON()
	}
	if err != nil {
		return err
	}
	for _, command := range m.Prepare() {
		fmt.Fprintln(c.App.ErrWriter, command)
	}
	_, err = c.App.Writer.Write(data)
	return err
}

func manifestOptions(c *cli.Context) (o manifest.Options, err error) {
	o = manifest.Options{
		Name: c.String("name"), Namespace: c.String("namespace"), Image: c.String("image"),
		Kind: manifest.Kind(c.String("kind")), ServiceMonitor: c.Bool("service-monitor"),
	}
	if o.DBSize, err = bytesFlag(c, "db-size"); err != nil {
		return o, err
	}
	o.SpoolLimit, err = bytesFlag(c, "spool-limit")
	return o, err
}

// bytesFlag reads a flag such as 8GiB; one that is not given is 0.
func bytesFlag(c *cli.Context, name string) (int64, error) {
	text := c.String(name)
	if text == "" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<50 {
		return 0, fail.WithHint(fail.Usagef("--%s %q is no size", name, text), "for example 8GiB")
	}
	return int64(n), nil
}

func readWithoutSecrets(c *cli.Context) (*config.File, []byte, error) {
	path, err := configPath(c)
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fail.As(fail.ErrUsage, err)
	}
	file, err := config.Read(path, config.Options{
		ReadFile:  func(string) ([]byte, error) { return []byte(config.Placeholder), nil },
		LookupEnv: func(string) (string, bool) { return config.Placeholder, true },
	})
	return file, text, fail.As(fail.ErrUsage, several(err))
}
