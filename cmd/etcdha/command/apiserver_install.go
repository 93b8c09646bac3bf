package command

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
)

func installCommand() *cli.Command {
	return &cli.Command{
		Name:  "install",
		Usage: "print what runs the agent on this host: a static pod or a unit of systemd",
		Description: `It is made for the apiserver of this host and for the files that this names, and
written to stdout. Nothing is installed:

  etcdha apiserver install --render systemd > /etc/systemd/system/etcdha-follow.service`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "render", Usage: "`static-pod` or systemd"},
			&cli.StringFlag{Name: "image", Usage: "container `IMAGE` of etcdha, for a static pod"},
			fileFlag(),
		}, followFlags(), restartFlags()),
		Action: install,
	}
}

func install(c *cli.Context) error {
	if err := checkFollowFlags(c); err != nil {
		return err
	}
	agent, err := agentToInstall(c)
	if err != nil {
		return err
	}
	var rendered []byte
	switch form := c.String("render"); form {
	case "static-pod":
		rendered, err = agent.StaticPod()
	case "systemd":
		rendered, err = agent.Unit()
	default:
		err = fail.Usagef("--render %q: static-pod or systemd", form)
	}
	if err == nil {
		_, err = c.App.Writer.Write(rendered)
	}
	return err
}

func agentToInstall(c *cli.Context) (*apiserver.Agent, error) {
	name, err := fileName(c)
	if err != nil {
		return nil, err
	}
	f, err := readFollowed(name)
	if err != nil {
		return nil, err
	}
	a := &apiserver.Agent{FS: hostRoot, File: f, Follow: name, Image: c.String("image"), Listen: c.String("listen"), Copies: c.String("copies")}
	if c.IsSet("kubeconfig") {
		if a.Kubeconfig, err = filepath.Abs(c.String("kubeconfig")); err != nil {
			return nil, err
		}
	}
	for _, flag := range []string{"period", "settle", "timeout"} {
		if c.IsSet(flag) {
			a.Args = append(a.Args, "--"+flag+"="+c.Duration(flag).String())
		}
	}
	if c.IsSet("restart-command") {
		a.Args = append(a.Args, "--restart-command="+c.String("restart-command"))
	} else if _, err := restartOf(c, f); err != nil {
		return nil, err
	}
	a.Binary, err = os.Executable()
	return a, err
}

// restartFlags are those of the flags for changing a file that an agent takes, too;
// it reaches etcd as the apiserver does.
func restartFlags() []cli.Flag {
	return slices.DeleteFunc(siteFlags(), func(f cli.Flag) bool {
		categorised, ok := f.(cli.CategorizableFlag)
		return !ok || categorised.GetCategory() != categoryRestart
	})
}
