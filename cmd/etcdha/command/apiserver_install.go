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
			&cli.StringFlag{Name: "image", Usage: "container `IMAGE` that has etcdha in its PATH, for a static pod"},
			fileFlag(),
		}, followFlags(), restartFlags()),
		Action: install,
	}
}

// renderPod is the --render of a manifest for kubelet.
const renderPod = "static-pod"

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
	case "":
		err = fail.WithHint(fail.Usagef("what should run the agent? --render static-pod or systemd"), "static-pod where kubelet runs the apiserver, systemd elsewhere")
	case renderPod:
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
	a := &apiserver.Agent{FS: hostRoot, File: f, Follow: name, Image: c.String("image"), Listen: c.String("listen")}
	if a.Copies, err = copiesDir(c); err != nil {
		return nil, err
	}
	if a.Kubeconfig, err = kubeconfigToInstall(c); err != nil {
		return nil, err
	}
	if c.IsSet("timeout") {
		a.Timeout = c.Duration("timeout")
	}
	for _, flag := range []string{"period", "settle"} {
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

// kubeconfigToInstall is the one that the agent is given; "" for none. A pod sees
// kubeadm's only if it is given, and a unit finds it by itself.
func kubeconfigToInstall(c *cli.Context) (string, error) {
	name := kubeconfigOf(c)
	if name == "" || !c.IsSet("kubeconfig") && c.String("render") != renderPod {
		return "", nil
	}
	return filepath.Abs(name)
}

// restartFlags are those of the flags for changing a file that an agent takes, too;
// it reaches etcd as the apiserver does.
func restartFlags() []cli.Flag {
	return slices.DeleteFunc(siteFlags(), func(f cli.Flag) bool {
		categorised, ok := f.(cli.CategorizableFlag)
		return !ok || categorised.GetCategory() != categoryRestart
	})
}
