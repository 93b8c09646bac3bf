package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// kubeadm keeps its ClusterConfiguration there, and writes manifests from it.
const (
	kubeadmConfig     = "ConfigMap kube-system/kubeadm-config"
	kubeadmConfigPath = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
	kubeadmConfigKey  = "ClusterConfiguration"
)

var (
	// ErrNoKubeadm says that kubeadm has not set up the cluster, so that there is
	// nothing for it to write anew.
	ErrNoKubeadm = errors.New("the cluster has no " + kubeadmConfig)
	// ErrKubeadmStacked says that kubeadm knows of no external etcd.
	ErrKubeadmStacked = errors.New(kubeadmConfig + " is of a stacked etcd: kubeadm upgrade would point the apiservers at 127.0.0.1 again")
	// ErrKubeadmExternal says that kubeadm knows of no stacked etcd.
	ErrKubeadmExternal = errors.New(kubeadmConfig + " is of an external etcd: kubeadm upgrade would point the apiservers at its endpoints again")
)

// stackedHint is what to do about [ErrKubeadmStacked].
const stackedHint = "kubectl -n kube-system edit configmap kubeadm-config: in place of etcd.local put etcd.external, " +
	"with endpoints, caFile, certFile and keyFile as the apiservers have them"

// externalHint is what to do about [ErrKubeadmExternal].
const externalHint = "kubectl -n kube-system edit configmap kubeadm-config: in place of etcd.external put etcd.local, with dataDir"

// ConfigMap is kubeadm's configuration in the cluster.
type ConfigMap struct {
	// File is the ClusterConfiguration in it, with the endpoints of the external etcd.
	File *etcdservers.File

	object map[string]any
}

// KubeadmConfig reads kubeadm's configuration. It is an [ErrNoKubeadm] if there is
// none, and an [ErrKubeadmStacked] if there is no list of servers in it.
func (c *KubeClient) KubeadmConfig(ctx context.Context) (*ConfigMap, error) {
	m := &ConfigMap{}
	if err := c.do(ctx, http.MethodGet, kubeadmConfigPath, nil, &m.object); err != nil {
		if isStatus(err, http.StatusNotFound) {
			return nil, ErrNoKubeadm
		}
		return nil, withRights(fmt.Errorf("read %s: %w", kubeadmConfig, err))
	}
	data, _ := m.object["data"].(map[string]any)
	text, ok := data[kubeadmConfigKey].(string)
	if !ok {
		return nil, ErrNoKubeadm
	}
	var config struct{ Etcd struct{ External any } }
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("%s: %w", kubeadmConfig, err)
	}
	if config.Etcd.External == nil {
		return nil, fail.WithHint(ErrKubeadmStacked, "%s", stackedHint)
	}
	var err error
	if m.File, err = etcdservers.ReadKubeadm(kubeadmConfig, []byte(text)); err != nil {
		return nil, err
	}
	return m, nil
}

// CheckKubeadmStacked is an [ErrKubeadmExternal] if kubeadm would take an apiserver
// away from the member on its host.
func (c *KubeClient) CheckKubeadmStacked(ctx context.Context) error {
	_, err := c.KubeadmConfig(ctx)
	switch {
	case errors.Is(err, ErrNoKubeadm), errors.Is(err, ErrKubeadmStacked):
		return nil
	case err != nil:
		return err
	}
	return fail.WithHint(ErrKubeadmExternal, "%s", externalHint)
}

// conflicts is how often somebody else may be faster.
const conflicts = 5

// UpdateKubeadmConfig gives kubeadm's configuration other endpoints of the external
// etcd, so that kubeadm upgrade writes manifests with them. It tells whether it has
// changed anything: the same URLs in another order, or no configuration, are nothing
// to do.
func (c *KubeClient) UpdateKubeadmConfig(ctx context.Context, servers []string) (bool, error) {
	var err error
	for range conflicts {
		var m *ConfigMap
		if m, err = c.KubeadmConfig(ctx); err != nil {
			if errors.Is(err, ErrNoKubeadm) {
				return false, nil
			}
			return false, err
		}
		if SameServers(m.File.Servers, servers) {
			return false, nil
		}
		if err = c.put(ctx, m, servers); !isStatus(err, http.StatusConflict) {
			return err == nil, err
		}
	}
	return false, err
}

// put writes the object back as it was read, but for the list. The apiserver refuses
// it if somebody has changed it since: it has its resourceVersion.
func (c *KubeClient) put(ctx context.Context, m *ConfigMap, servers []string) error {
	text, err := m.File.With(servers)
	if err != nil {
		return err
	}
	m.object["data"].(map[string]any)[kubeadmConfigKey] = string(text)
	body, err := json.Marshal(m.object)
	if err != nil {
		return fmt.Errorf("change %s: %w", kubeadmConfig, err)
	}
	var changed map[string]any
	if err := c.do(ctx, http.MethodPut, kubeadmConfigPath, body, &changed); err != nil {
		return withRights(fmt.Errorf("change %s: %w", kubeadmConfig, err))
	}
	return nil
}

func isStatus(err error, code int) bool {
	said, ok := errors.AsType[*statusError](err)
	return ok && said.code == code
}

// withRights says what a user lacks who is not allowed to.
func withRights(err error) error {
	if isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusUnauthorized) {
		return fail.WithHint(err, "the user of the kubeconfig has to be allowed to get and update that ConfigMap; kubeadm's admin.conf is")
	}
	return err
}
