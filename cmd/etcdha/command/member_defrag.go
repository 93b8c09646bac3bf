package command

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership"
)

func defragCommand() *cli.Command {
	return &cli.Command{
		Name:  "defrag",
		Usage: "give back the free space of every voter, one at a time, the leader last",
		Description: `A member serves nothing while it is rewritten, which takes about as long as writing
its db to the disk. Before each one the cluster is looked at again: nobody else may
be unhealthy. The leader is moved before its turn. etcd does not defragment learners.`,
		Flags:  append([]cli.Flag{zoneFlag()}, connectionFlags()...),
		Action: defrag,
	}
}

func defrag(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	s, err := openMembers(c)
	if err != nil {
		return err
	}
	defer s.client.Close()
	err = membership.Defrag(c.Context, membership.DefragOptions{
		Client: s.client, Observe: s.options(), Who: operator(),
		// What happens is told as progress, in words.
		Progress: func(p membership.DefragProgress) { printDefrag(c, p) },
	})
	if err != nil {
		return err
	}
	o, err := s.observe(c.Context)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.App.ErrWriter, "\n%s\n", paintSummary(c.App.ErrWriter, o))
	next := nextAfter(membership.Findings(o))
	if o.Alarmed(membership.NoSpace) {
		next = "etcdha alarm disarm" // before etcd 3.6 nobody sees whether there is room
	}
	if next != "" {
		printNext(c.App.ErrWriter, "%s", toType(c, next))
	}
	return nil
}

func printDefrag(c *cli.Context, p membership.DefragProgress) {
	w := c.App.ErrWriter
	switch {
	case p.Warning != "":
		fmt.Fprintf(w, "  %s  %s\n", paint(w, yellow, "warn"), p.Warning)
	case p.Done:
		fmt.Fprintf(c.App.Writer, "Finished defragmenting %s: %s, was %s\n", p.Member, size(p.After), size(p.Before))
	case p.Leader:
		fmt.Fprintf(w, "defragmenting %s, which led until now (%s)\n", p.Member, size(p.Before))
	default:
		fmt.Fprintf(w, "defragmenting %s (%s)\n", p.Member, size(p.Before))
	}
}
