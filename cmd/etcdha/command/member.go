package command

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/apiserver"
)

func membersCommand() *cli.Command {
	command := &cli.Command{
		Name:   "member",
		Usage:  "look at the members of a cluster, and change them without risk to quorum",
		Action: group,
		Subcommands: []*cli.Command{
			memberListCommand(), memberStatusCommand(), whatIfCommand(),
			memberAddCommand(), promoteCommand(), removeCommand(), replaceCommand(), updateCommand(),
			moveLeaderCommand(), memberApplyCommand(), defragCommand(),
		},
	}
	each(command.Subcommands, func(c *cli.Command) { c.Action = connected(c.Action) })
	return command
}

// memberClient is a connection to a cluster whose members are looked at or changed.
type memberClient interface {
	membership.Client
	// Registry is what kube-apiservers and operators tell each other there.
	Registry(endpoints []string) apiserver.Registry
	Close()
}

type etcdMembers struct{ *membership.EtcdClient }

func (c etcdMembers) Registry(endpoints []string) apiserver.Registry {
	return apiserver.NewRegistry(c.Conn, endpoints, apiserver.DefaultEtcdPrefix)
}

// What is between these commands and a real cluster. Tests have one in memory,
// with a clock of its own.
var (
	connectMembers = func(config etcdclient.Config) memberClient { return etcdMembers{membership.Connect(config, now)} }
	sleep          func(context.Context, time.Duration) error // nil: a timer
	lookupHost     = net.DefaultResolver.LookupHost
	operator       = whoAmI
)

// whoAmI is whom another operator is told about.
func whoAmI() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s@%s (pid %d)", name, host, os.Getpid())
}

func zoneFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "zone", Usage: "`NAME=ZONE`: where a member is, that is what fails together; may be repeated"}
}

// memberSession is one command's connection to the cluster of its flags.
type memberSession struct {
	client    memberClient
	endpoints []string
	zones     map[string]string
}

// openMembers reads the connection flags and --zone. Close the client.
func openMembers(c *cli.Context) (*memberSession, error) {
	zones, err := zonesOf(c)
	if err != nil {
		return nil, err
	}
	config, err := connection(c, newLog(c))
	if err != nil {
		return nil, err
	}
	return &memberSession{connectMembers(config), config.Endpoints, zones}, nil
}

func zonesOf(c *cli.Context) (map[string]string, error) {
	zones := make(map[string]string)
	for _, pair := range c.StringSlice("zone") {
		name, zone, ok := strings.Cut(pair, "=")
		if !ok || name == "" || zone == "" {
			return nil, fail.WithHint(fail.Usagef("--zone %q: NAME=ZONE is needed", pair), "for example --zone m1=a --zone m2=b")
		}
		if other, twice := zones[name]; twice && other != zone {
			return nil, fail.Usagef("--zone: %s is both in %s and in %s", name, other, zone)
		}
		zones[name] = zone
	}
	return zones, nil
}

// observe looks at the cluster once.
func (s *memberSession) observe(ctx context.Context) (*membership.Observation, error) {
	return membership.Observe(ctx, s.client, s.options())
}

func (s *memberSession) options() membership.ObserveOptions {
	return membership.ObserveOptions{Endpoints: s.endpoints, Zones: s.zones, Now: now, Sleep: sleep, LookupHost: lookupHost}
}

// observed opens the cluster of the flags, looks at it, and closes it again.
// coming are members that are only spoken of.
func observed(c *cli.Context, coming ...string) (*membership.Observation, error) {
	s, err := openMembers(c)
	if err != nil {
		return nil, err
	}
	defer s.client.Close()
	o, err := s.observe(c.Context)
	if err != nil {
		return nil, err
	}
	return o, checkZones(o, s.zones, coming)
}

// words takes a comma-separated list apart, which may be given in several flags.
func words(c *cli.Context, flag string) []string {
	var out []string
	for _, value := range c.StringSlice(flag) {
		for word := range strings.SplitSeq(value, ",") {
			if word = strings.TrimSpace(word); word != "" {
				out = append(out, word)
			}
		}
	}
	return out
}

// peerURLs reads --peer-urls, which etcdctl has as one comma-separated string.
func peerURLs(c *cli.Context) []string {
	return slices.DeleteFunc(strings.Split(c.String("peer-urls"), ","), empty)
}

func noArgs(c *cli.Context) error {
	if c.Args().Present() {
		return fail.Usagef("%s takes no argument", c.Command.HelpName)
	}
	return nil
}

// checkZones refuses the zone of a member that there is not: the one that was
// meant would have none, and the spread would look better than it is.
func checkZones(o *membership.Observation, zones map[string]string, coming []string) error {
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		if slices.Contains(coming, name) {
			continue
		}
		if _, err := o.Named(name); err != nil {
			return fmt.Errorf("--zone: %w", err)
		}
	}
	return nil
}
