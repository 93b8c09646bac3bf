package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// kubeadmDir is where kubeadm keeps its kubeconfigs.
const kubeadmDir = "/etc/kubernetes"

// kubeconfigOf is the kubeconfig of the flag, or kubeadm's; "" if there is none.
func kubeconfigOf(c *cli.Context) string {
	if c.IsSet("kubeconfig") {
		return c.String("kubeconfig")
	}
	for _, name := range []string{"super-admin.conf", "admin.conf"} {
		name = path.Join(kubeadmDir, name)
		if _, err := fs.Stat(hostRoot, strings.TrimPrefix(name, "/")); err == nil {
			return name
		}
	}
	return ""
}

// kubeClient is what reaches the Kubernetes API; nil if there is no kubeconfig.
func kubeClient(c *cli.Context) (*apiserver.KubeClient, error) {
	name := kubeconfigOf(c)
	if name == "" && !c.IsSet("kubeconfig") {
		return nil, nil
	}
	client, err := apiserver.OpenKube(name)
	if err != nil && c.IsSet("kubeconfig") {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("--kubeconfig: %w", err))
	}
	return client, err
}

// kubeadmTeller is told how it went with kubeadm's configuration; the hint is "" unless
// somebody has to do something.
type kubeadmTeller func(what, hint string)

// updateKubeadm gives kubeadm's configuration in the cluster the same list, since
// kubeadm upgrade writes the manifest from it. A configuration that knows of no
// external etcd is for a person to change.
func updateKubeadm(ctx context.Context, c *cli.Context, form etcdservers.Form, servers []string, tell kubeadmTeller) error {
	client, err := kubeClient(c)
	if err != nil {
		return err
	}
	if client == nil {
		if form == etcdservers.StaticPod { // kubeadm has apiservers in no other form
			tell("no kubeconfig was found: if kubeadm has made this cluster, its configuration there keeps the old list, and kubeadm upgrade would write that", "--kubeconfig FILE")
		}
		return nil
	}
	changed, err := client.UpdateKubeadmConfig(ctx, servers)
	switch {
	case errors.Is(err, apiserver.ErrKubeadmStacked):
		tell(err.Error(), fail.Hint(err))
		return nil
	case err == nil && changed:
		tell("kubeadm's configuration in the cluster has the list, too", "")
	}
	return err
}

// checkKubeadmStacked says so where kubeadm upgrade would undo that the apiserver is
// stacked now.
func checkKubeadmStacked(ctx context.Context, c *cli.Context, tell kubeadmTeller) error {
	client, err := kubeClient(c)
	if client == nil || err != nil {
		return err
	}
	err = client.CheckKubeadmStacked(ctx)
	if errors.Is(err, apiserver.ErrKubeadmExternal) {
		tell(err.Error(), fail.Hint(err))
		return nil
	}
	return err
}
