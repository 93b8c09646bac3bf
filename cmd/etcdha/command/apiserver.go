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
// certificates, but for what flags say.
func etcdOf(c *cli.Context, f *etcdservers.File, servers []string) (etcdclient.Config, error) {
	config := etcdclient.Config{
		DialTimeout: c.Duration("dial-timeout"), CommandTimeout: c.Duration("command-timeout"),
		KeepAliveTime: c.Duration("keepalive-time"), KeepAliveTimeout: c.Duration("keepalive-timeout"),
		InsecureTransport: c.Bool("insecure-transport"),
	}
	if connectionGiven(c) {
		var err error
		if config, err = connection(c, newLog(c)); err != nil {
			return config, err
		}
	}
	if !c.IsSet("endpoints") {
		config.Endpoints = servers
	}
	if config.CACert == "" && config.Cert == "" && config.Key == "" {
		config.CACert, config.Cert, config.Key = apiserver.Certificates(f)
	}
	return config, nil
}

// newSite is the host of an apiserver and what is around it.
func newSite(c *cli.Context, f *etcdservers.File, cluster apiserver.Cluster, registry apiserver.Registry) (*apiserver.Site, error) {
	restart, err := restartOf(c, f)
	if err != nil {
		return nil, err
	}
	s := &apiserver.Site{
		Host: apiserver.NewHost(), Prober: apiserver.NewProber(f),
		Dialer: apiserver.NewDialer(f, c.Duration("command-timeout")), Cluster: cluster,
		Own: apiserver.OwnAddress(f), Restart: restart,
		Copies: c.String("copies"), Timeout: c.Duration("timeout"),
		Who: operator(), Now: now, Sleep: sleep,
	}
	if empty(s.Copies) || s.Timeout <= 0 {
		return nil, fail.Usagef("--copies and --timeout must not be empty")
	}
	s.Others, err = otherAPIServers(c.Context, f, s, registry)
	return s, err
}

// restartOf returns what makes the apiserver read its file, nil for a manifest.
func restartOf(c *cli.Context, f *etcdservers.File) (func(context.Context) error, error) {
	command := c.String("restart-command")
	switch {
	case c.IsSet("restart-command") && empty(command):
		return nil, fail.Usagef("--restart-command: it is empty")
	case command != "":
		return shell(c, command), nil
	case f.Form == etcdservers.StaticPod, f.Form == etcdservers.KubeadmConfig:
		return nil, nil
	case f.Unit == "":
		return nil, fail.WithHint(fail.Usagef("%s does not say which unit uses it", f.Path),
			"give the unit as --file, or --restart-command, or --offline to change the file alone")
	}
	return shell(c, "systemctl daemon-reload && systemctl restart "+quote(f.Unit)), nil
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
