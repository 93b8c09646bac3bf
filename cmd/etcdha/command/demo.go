package command

import "github.com/urfave/cli/v2"

func demoCommand() *cli.Command {
	return &cli.Command{Name: "demo", Usage: "the whole of it on a throwaway cluster: data, backup, proof, rehearsal, disaster"}
}
