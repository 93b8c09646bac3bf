package command

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

const idOrName = "ID|NAME"

func peerURLsFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "peer-urls", Usage: usage}
}

func promoteCommand() *cli.Command {
	return &cli.Command{
		Name:      "promote",
		Usage:     "make a learner a voter, if it runs and has caught up",
		ArgsUsage: idOrName,
		Flags:     stepFlags(),
		Action:    oneMember(membership.Promote, quorum.Promote),
	}
}

func removeCommand() *cli.Command {
	wait := &cli.DurationFlag{Name: "wait", Value: membership.DefaultWait, Usage: "`TIME` for each kube-apiserver to do without the member", Category: categoryStep}
	return &cli.Command{
		Name:      "remove",
		Usage:     "take a member out, after moving the leader away from it",
		ArgsUsage: idOrName,
		Flags:     stepFlags(append(removalFlags(), wait)...),
		Action:    oneMember(membership.Remove, quorum.Remove),
	}
}

// oneMember is a command whose goal is about one member, and whose step is that kind.
func oneMember(goal func(member string) membership.Goal, kind quorum.Kind) cli.ActionFunc {
	return func(c *cli.Context) error {
		name, err := oneArg(c, idOrName)
		if err != nil {
			return err
		}
		return (&change{
			c: c, goal: goal(name), shows: []quorum.Kind{kind},
			executor: membership.Executor{Wait: c.Duration("wait")}, // of a removal; none is the default
		}).run()
	}
}

func updateCommand() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "give a member other peer URLs",
		ArgsUsage: idOrName,
		Flags:     stepFlags(peerURLsFlag("`URL`s at which the others will reach it, comma separated")),
		Action: func(c *cli.Context) error {
			name, err := oneArg(c, idOrName)
			if err != nil {
				return err
			}
			urls := peerURLs(c)
			if len(urls) == 0 {
				return fail.Usagef("member update needs --peer-urls")
			}
			return (&change{
				c: c, goal: membership.Update(name, urls), shows: []quorum.Kind{quorum.Update},
				after: "the URLs were not tried: restart the etcd of " + name + " with them, then: etcdha member status",
			}).run()
		},
	}
}

func moveLeaderCommand() *cli.Command {
	return &cli.Command{
		Name:      "move-leader",
		Usage:     "let another voter lead: the healthiest, unless one is named",
		ArgsUsage: "[ID|NAME|best]",
		Flags:     stepFlags(),
		Action: func(c *cli.Context) error {
			target := "best"
			if c.Args().Present() {
				var err error
				if target, err = oneArg(c, "[ID|NAME|best]"); err != nil {
					return err
				}
			}
			return (&change{c: c, goal: membership.MoveLeader(target), shows: []quorum.Kind{quorum.MoveLeader}}).run()
		},
	}
}

// etcdctlMoveLeaderCommand is where etcdctl has it.
func etcdctlMoveLeaderCommand() *cli.Command {
	command := moveLeaderCommand()
	command.Hidden, command.Action = true, connected(command.Action)
	return command
}

// allKinds are the steps of which replace and apply tell stdout.
var allKinds = []quorum.Kind{quorum.AddLearner, quorum.Promote, quorum.Remove, quorum.Update, quorum.MoveLeader}

func replaceCommand() *cli.Command {
	own := []cli.Flag{
		peerURLsFlag("`URL`s of the new member, comma separated (default: those of the old one, on the same host)"),
		&cli.StringFlag{Name: "data-dir", Usage: "`DIR` of the old member on this host: what it holds is moved aside before the new one is started, and never deleted"},
	}
	return &cli.Command{
		Name:      "replace",
		Usage:     "put a new member in the place of another one",
		ArgsUsage: "OLD NEW",
		Description: `OLD is a name or an id, NEW the name of the new member, which may be the same. A
dead member is removed first, a live one last. While it waits for the new etcd, it
says how to start it; run again, the same command goes on where the cluster is.`,
		Flags:  stepFlags(slices.Concat(own, startFlags(waitFlag()), removalFlags())...),
		Action: replace,
	}
}

func replace(c *cli.Context) error {
	if c.NArg() != 2 || slices.ContainsFunc(c.Args().Slice(), empty) {
		return fail.WithHint(fail.Usagef("member replace takes two arguments: OLD NEW"), "%s --help", c.Command.HelpName)
	}
	if c.IsSet("peer-urls") && len(peerURLs(c)) == 0 {
		return fail.Usagef("--peer-urls: its value is empty")
	}
	if c.IsSet("data-dir") && c.String("data-dir") == "" {
		return fail.Usagef("--data-dir: its value is empty")
	}
	return (&change{
		c: c, goal: membership.Replace(c.Args().Get(0), c.Args().Get(1), peerURLs(c)), shows: allKinds,
		executor: membership.Executor{Wait: c.Duration("wait")},
	}).run()
}

func memberAddCommand() *cli.Command {
	own := []cli.Flag{
		peerURLsFlag("`URL`s of the new member, comma separated"),
		&cli.BoolFlag{Name: "learner", Usage: "as etcdctl has it: here every new member is a learner at first"},
	}
	wait := &cli.DurationFlag{Name: "wait", Usage: "wait for `TIME` until the new member has caught up, and promote it", Category: categoryStep}
	return &cli.Command{
		Name:      "add",
		Usage:     "add a member as a learner, and with --wait make it a voter once it can be counted on",
		ArgsUsage: "NAME",
		Description: `Prints what etcdctl prints, and returns, so that the new etcd can be started with it.
With --wait it stays until the new member has caught up, and promotes it. When the
time runs out, a learner that never started is removed again; one that has started
stays. The exit code is then 1.`,
		Flags:  stepFlags(slices.Concat(own, startFlags(wait))...),
		Action: memberAdd,
	}
}

func memberAdd(c *cli.Context) error {
	name, err := oneArg(c, "NAME")
	if err != nil {
		return err
	}
	urls := peerURLs(c)
	if len(urls) == 0 {
		return fail.WithHint(fail.Usagef("member add needs --peer-urls"), "for example --peer-urls=https://10.0.0.4:2380")
	}
	wait := c.IsSet("wait")
	if wait && c.Bool("learner") {
		return fail.Usagef("--learner and --wait exclude each other: after the wait it is a voter")
	}
	ch := &change{
		c: c, goal: membership.Add(name, urls, wait), shows: []quorum.Kind{quorum.AddLearner},
		executor: membership.Executor{Wait: c.Duration("wait")},
	}
	if wait {
		ch.shows = append(ch.shows, quorum.Promote)
	} else {
		ch.comes = &membership.Step{Name: name, PeerURLs: urls}
	}
	return ch.run()
}
