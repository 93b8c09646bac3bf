package command

import (
	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership/apiserver"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "give an apiserver the etcd servers back that it had before the last change",
		Description: `The list of the newest copy that has another one is put back, with all the care of
rewire: its servers have to answer, one apiserver restarts at a time, and one that
does not get ready gets the present list again.`,
		Flags: siteFlags(
			fileFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would change and try the servers, and stop there"},
			&cli.BoolFlag{Name: "yes", Usage: "answer yes to what is asked on a terminal"},
			writeOutFlag(),
		),
		Action: connected(rollback),
	}
}

func rollback(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	r, err := newRewiring(c)
	if err != nil {
		return err
	}
	copies, err := copiesDir(c)
	if err != nil {
		return err
	}
	servers, err := (&apiserver.Site{Copies: copies}).Previous(r.file)
	if err != nil {
		return err
	}
	return r.online(servers)
}
