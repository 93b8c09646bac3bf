package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

func apiserverCommand() *cli.Command {
	return &cli.Command{
		Name:   "apiserver",
		Usage:  "keep the --etcd-servers of kube-apiservers on the members of the cluster",
		Action: group,
		Subcommands: []*cli.Command{
			apiserverShowCommand(), rewireCommand(), rollbackCommand(), followCommand(), installCommand(),
		},
	}
}

// hostRoot is where files of this host are read.
var hostRoot fs.FS = os.DirFS("/")

func fileFlag() cli.Flag {
	return &cli.StringFlag{Name: "file", Usage: "manifest, unit, environment file or kubeadm configuration `FILE` (default: found on this host)"}
}

// siteFlags are those of every command that changes the file of an apiserver.
func siteFlags(own ...cli.Flag) []cli.Flag {
	return slices.Concat(own, []cli.Flag{
		&cli.DurationFlag{Name: "timeout", Value: apiserver.DefaultTimeout, Usage: "`TIME` for the apiserver to be ready again, after which the old file is put back", Category: categoryRestart},
		&cli.StringFlag{Name: "restart-command", Usage: "`COMMAND` for sh -c that restarts the apiserver (default: systemctl for a unit; kubelet sees a manifest by itself)", Category: categoryRestart},
		&cli.StringFlag{Name: "copies", Value: apiserver.DefaultCopies, Usage: "`DIR` that keeps copies of changed files", Category: categoryRestart},
		&cli.StringFlag{Name: "kubeconfig", Usage: "`FILE` to reach the apiserver with: kubeadm's configuration in the cluster follows as well (default: kubeadm's super-admin.conf or admin.conf, if there is one)", Category: categoryRestart},
	}, connectionFlags())
}

const categoryRestart = "Restart"

// fileName is the file of --file, or the one that this host has; absolute.
func fileName(c *cli.Context) (string, error) {
	if err := noArgs(c); err != nil {
		return "", err
	}
	name := c.String("file")
	if name == "" {
		var err error
		if name, err = foundFile(c); err != nil {
			return "", err
		}
	}
	return filepath.Abs(name)
}

// readServers reads a file by its absolute path. A refusal's right way is its hint.
func readServers(name string) (*etcdservers.File, error) {
	f, err := etcdservers.Read(hostRoot, name)
	if missing, ok := err.(*fs.PathError); ok { //nolint:errorlint // one that is wrapped has words of its own
		err = &fs.PathError{Op: missing.Op, Path: name, Err: missing.Err} // a path of fs.FS has no slash
	}
	return f, withWay(err)
}

func withWay(err error) error {
	if refusal, ok := errors.AsType[*etcdservers.Refusal](err); ok {
		return fail.WithHint(err, "%s", refusal.Instead)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, etcdservers.ErrNotFound) {
		return fail.As(fail.ErrUsage, err)
	}
	return err
}

func foundFile(c *cli.Context) (string, error) {
	names, err := etcdservers.Find(hostRoot)
	switch {
	case err != nil:
		return "", fmt.Errorf("look for the file of the apiserver: %w", err)
	case len(names) == 0:
		return "", fail.WithHint(fail.Usagef("no kube-apiserver was found on this host"), "%s --file FILE", c.Command.HelpName)
	case len(names) > 1:
		return "", fail.WithHint(fail.Usagef("there are several files: %s", strings.Join(names, ", ")), "%s --file FILE", c.Command.HelpName)
	}
	return names[0], nil
}

// etcdOf is how to reach the etcd behind servers: with the apiserver's own
// certificates, but for what the command line says. Variables are for the etcd that
// other commands work on, which may be another one: the lock and the marks have to
// be in the apiserver's. Only who logs in may stand there, for a secret has no
// better place.
func etcdOf(c *cli.Context, f *etcdservers.File, servers []string) (etcdclient.Config, error) {
	typed := func(flag string) bool { return len(given(c, flag)) > 0 }
	config := etcdclient.Config{
		Endpoints:   servers,
		DialTimeout: c.Duration("dial-timeout"), CommandTimeout: c.Duration("command-timeout"),
		KeepAliveTime: c.Duration("keepalive-time"), KeepAliveTimeout: c.Duration("keepalive-timeout"),
		InsecureTransport:  !typed("insecure-transport") || c.Bool("insecure-transport"),
		InsecureSkipVerify: typed("insecure-skip-tls-verify") && c.Bool("insecure-skip-tls-verify"),
		User:               c.String("user"),
	}
	config.CACert, config.Cert, config.Key = apiserver.Certificates(f)
	if typed("endpoints") {
		config.Endpoints = words(c, "endpoints")
	}
	if typed("cacert") {
		config.CACert = c.String("cacert")
	}
	if typed("cert") || typed("key") { // they belong together
		config.Cert, config.Key = c.String("cert"), c.String("key")
	}
	return config, readPassword(c, &config)
}

// addressesOf are those by which a member on this host is known, and those that the
// apiserver may have announced itself with.
func addressesOf(f *etcdservers.File) (own, announced []string, err error) {
	host := apiserver.NewHost()
	if own, err = apiserver.OwnAddresses(f, host); err == nil {
		announced, err = apiserver.Announced(f, host)
	}
	return own, announced, err
}

// etcdPrefix is where the apiserver keeps Kubernetes in etcd, "" for the default.
func etcdPrefix(f *etcdservers.File) string {
	prefix, _ := f.Value("--etcd-prefix")
	return prefix
}

// newSite is the host of an apiserver and what is around it.
func newSite(c *cli.Context, f *etcdservers.File, cluster *etcdCluster) (*apiserver.Site, error) {
	restart, err := restartOf(c, f)
	if err != nil {
		return nil, err
	}
	copies, err := copiesDir(c)
	if err != nil {
		return nil, err
	}
	s := &apiserver.Site{
		Host: apiserver.NewHost(), Prober: apiserver.NewProber(f),
		Dialer: apiserver.NewDialer(f, c.Duration("command-timeout")), Cluster: cluster,
		Own: apiserver.OwnAddress(f), Restart: restart,
		Copies: copies, Timeout: c.Duration("timeout"),
		Who: operator(), Now: now, Sleep: sleep,
	}
	s.Others, err = otherAPIServers(c.Context, f, s, cluster.registry)
	return s, err
}

// copiesDir is the directory of --copies; absolute, for an agent runs elsewhere.
func copiesDir(c *cli.Context) (string, error) {
	if empty(c.String("copies")) || c.Duration("timeout") <= 0 {
		return "", fail.Usagef("--copies and --timeout must not be empty")
	}
	return filepath.Abs(c.String("copies"))
}

// restartOf returns what makes the apiserver read its file, nil for a manifest.
func restartOf(c *cli.Context, f *etcdservers.File) (func(context.Context) error, error) {
	command := c.String("restart-command")
	switch {
	case len(f.Args) == 0 && f.Form != etcdservers.KubeadmConfig:
		return nil, fail.WithHint(fail.Usagef("%s does not tell how an apiserver is run", f.Path), "%s", orOffline(c, "give the unit that uses it as --file"))
	case c.IsSet("restart-command") && empty(command):
		return nil, fail.Usagef("--restart-command: it is empty")
	case command != "":
		return shell(c, command), nil
	case f.Form == etcdservers.StaticPod, f.Form == etcdservers.KubeadmConfig:
		return nil, nil
	case f.Unit == "":
		return nil, fail.WithHint(fail.Usagef("%s does not say which unit uses it", f.Path),
			"%s", orOffline(c, "give the unit that uses it as --file, or --restart-command"))
	}
	return shell(c, "systemctl daemon-reload && systemctl restart "+quote(f.Unit)), nil
}

// orOffline adds what a command can do with a file alone.
func orOffline(c *cli.Context, way string) string {
	if c.Command.Name == "rewire" {
		return way + ", or --offline to change the file alone"
	}
	return way
}

func shell(c *cli.Context, command string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Stdout, cmd.Stderr = c.App.ErrWriter, c.App.ErrWriter
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("restart by %q: %w", command, err)
		}
		return nil
	}
}

// otherAPIServers are the addresses of the apiservers of other hosts.
func otherAPIServers(ctx context.Context, f *etcdservers.File, s *apiserver.Site, registry apiserver.Registry) ([]string, error) {
	announced, err := apiserver.Announced(f, s.Host)
	if err != nil {
		return nil, err
	}
	endpoints, err := registry.Endpoints(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for the other apiservers: %w", err)
	}
	_, ownPort, err := net.SplitHostPort(s.Own)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, e := range endpoints {
		switch {
		case e.Address == "" || slices.Contains(announced, e.Address):
		case e.Port == 0: // they are set up alike, as a rule
			others = append(others, net.JoinHostPort(e.Address, ownPort))
		default:
			others = append(others, e.HostPort())
		}
	}
	return others, nil
}
