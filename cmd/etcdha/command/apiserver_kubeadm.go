package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
)

// kubeadmDir is where kubeadm keeps its kubeconfigs.
const kubeadmDir = "/etc/kubernetes"

// kubeClient is what reaches the Kubernetes API; nil if there is no kubeconfig.
func kubeClient(c *cli.Context) (*apiserver.KubeClient, error) {
	if c.IsSet("kubeconfig") {
		client, err := apiserver.OpenKube(c.String("kubeconfig"))
		if err != nil {
			return nil, fail.As(fail.ErrUsage, fmt.Errorf("--kubeconfig: %w", err))
		}
		return client, nil
	}
	for _, name := range []string{"super-admin.conf", "admin.conf"} {
		name = filepath.Join(kubeadmDir, name)
		if _, err := os.Stat(name); err == nil {
			return apiserver.OpenKube(name)
		}
	}
	return nil, nil
}

// updateKubeadm gives kubeadm's configuration in the cluster the same list, since
// kubeadm upgrade writes the manifest from it.
func updateKubeadm(c *cli.Context, servers []string) error {
	client, err := kubeClient(c)
	if client == nil || err != nil {
		return err
	}
	changed, err := client.UpdateKubeadmConfig(c.Context, servers)
	switch {
	case errors.Is(err, apiserver.ErrKubeadmStacked):
		fmt.Fprintf(c.App.ErrWriter, "%v\n%s\n", err, fail.Hint(err))
		return nil
	case err != nil:
		return fmt.Errorf("the apiserver has its servers, kubeadm's configuration has not: %w", err)
	case changed:
		fmt.Fprintln(c.App.ErrWriter, "   kubeadm's configuration in the cluster has the list, too")
	}
	return nil
}
