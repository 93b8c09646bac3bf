package command

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
)

const categoryConnection = "Connection, as with etcdctl"

// env are the variables of a flag: ours win over etcdctl's.
func env(flag string) []string {
	name := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	return []string{"ETCDHA_" + name, "ETCDCTL_" + name}
}

// connectionFlags have etcdctl's names, defaults and environment.
func connectionFlags() []cli.Flag {
	str := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: usage, EnvVars: env(name), Category: categoryConnection}
	}
	duration := func(name string, value time.Duration, usage string) cli.Flag {
		return &cli.DurationFlag{Name: name, Value: value, Usage: usage, EnvVars: env(name), Category: categoryConnection}
	}
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "endpoints", Usage: "`URL`s of members, comma separated (default: 127.0.0.1:2379, or kubeadm's)", EnvVars: env("endpoints"), Category: categoryConnection},
		str("cacert", "CA `FILE` of the servers' certificates"),
		str("cert", "client certificate `FILE`"),
		str("key", "client key `FILE`"),
		&cli.BoolFlag{Name: "insecure-transport", Value: true, Usage: "no TLS where no certificate is given", EnvVars: env("insecure-transport"), Category: categoryConnection},
		&cli.BoolFlag{Name: "insecure-skip-tls-verify", Usage: "do not verify the servers' certificates", EnvVars: env("insecure-skip-tls-verify"), Category: categoryConnection},
		str("user", "`NAME[:PASSWORD]`; without a password it is asked for"),
		&cli.StringFlag{Name: "password", Usage: "`PASSWORD`; --password-file is safer", EnvVars: env("password"), DefaultText: " ", Category: categoryConnection},
		str("password-file", "`FILE` whose first line is the password"),
		duration("dial-timeout", 2*time.Second, "for logging in"),
		duration("command-timeout", 5*time.Second, "for one short request"),
		duration("keepalive-time", 2*time.Second, "between pings of a connection"),
		duration("keepalive-timeout", 6*time.Second, "until a ping without answer ends a connection"),
		// etcdctl's, accepted so that its lines work, and without meaning here.
		&cli.BoolFlag{Name: "debug", Hidden: true}, &cli.BoolFlag{Name: "hex", Hidden: true},
		&cli.IntFlag{Name: "max-request-bytes", Hidden: true}, &cli.IntFlag{Name: "max-recv-bytes", Hidden: true},
	}
}

const (
	kubeadmPKI      = "/etc/kubernetes/pki"
	defaultEndpoint = "127.0.0.1:2379"
)

// connection reads the connection flags. With none given, kubeadm's local
// member is used where there is one, and said so.
func connection(c *cli.Context, log *slog.Logger) (etcdclient.Config, error) {
	config := etcdclient.Config{
		CACert: c.String("cacert"), Cert: c.String("cert"), Key: c.String("key"),
		InsecureSkipVerify: c.Bool("insecure-skip-tls-verify"),
		InsecureTransport:  c.Bool("insecure-transport"),
		User:               c.String("user"),
	}
	for _, endpoint := range strings.Split(strings.Join(c.StringSlice("endpoints"), ","), ",") {
		if endpoint = strings.TrimSpace(endpoint); endpoint != "" {
			config.Endpoints = append(config.Endpoints, endpoint)
		}
	}
	if len(config.Endpoints) == 0 {
		config.Endpoints = []string{defaultEndpoint}
	}
	if !connectionGiven(c) {
		if found, ok := etcdclient.Kubeadm(kubeadmPKI); ok {
			log.Info("using kubeadm's local etcd", "endpoint", found.Endpoints[0], "cert", found.Cert)
			config = found
		}
	}
	config.DialTimeout, config.CommandTimeout = c.Duration("dial-timeout"), c.Duration("command-timeout")
	config.KeepAliveTime, config.KeepAliveTimeout = c.Duration("keepalive-time"), c.Duration("keepalive-timeout")
	return config, readPassword(c, &config)
}

// connectionGiven tells whether a flag says where to connect or as whom.
func connectionGiven(c *cli.Context) bool {
	for _, name := range []string{"endpoints", "cacert", "cert", "key", "user", "insecure-skip-tls-verify"} {
		if c.IsSet(name) {
			return true
		}
	}
	return false
}

func readPassword(c *cli.Context, config *etcdclient.Config) error {
	if config.User == "" {
		return nil
	}
	if file := c.String("password-file"); file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return fail.As(fail.ErrUsage, fmt.Errorf("read --password-file: %w", err))
		}
		line, _, _ := strings.Cut(string(data), "\n")
		config.Password = strings.TrimSuffix(line, "\r")
		return nil
	}
	// A password in the flag --user is nearer than one in the environment.
	var hasPassword bool
	if config.User, config.Password, hasPassword = strings.Cut(config.User, ":"); hasPassword {
		return nil
	}
	if config.Password = c.String("password"); c.IsSet("password") {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return fail.WithHint(fail.Usagef("no password for user %q", config.User), "give --password-file, or ETCDHA_PASSWORD in the environment")
	}
	password, err := askSecret(c.Context, "Password: ")
	config.Password = string(password)
	return fail.WithHint(err, "give --password-file, or ETCDHA_PASSWORD in the environment")
}
