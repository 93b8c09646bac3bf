package apiserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// kubeTimeout bounds one request. An apiserver that is about to end answers for
	// as long as it is asked.
	kubeTimeout = 10 * time.Second
	// kubeAnswer is more than an object of Kubernetes has: etcd takes 1.5 MiB.
	kubeAnswer = 4 << 20
)

// KubeClient asks a kube-apiserver with what a kubeconfig has for that.
type KubeClient struct {
	server string // URL without a slash at its end
	http   *http.Client
	token  func() (string, error) // nil: the client certificate says who asks
}

// OpenKube makes the client of a kubeconfig's current context. Files that it
// names are relative to it. What it asks for and this client does not do, such as a
// program that logs in, or no verification of the server, is a usage error.
func OpenKube(kubeconfig string) (*KubeClient, error) {
	data, err := os.ReadFile(kubeconfig)
	if err != nil {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("read kubeconfig: %w", err))
	}
	c, err := readKubeconfig(data, filepath.Dir(kubeconfig))
	if err != nil {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err))
	}
	return c, nil
}

// kubeconfig is the format of k8s.io/client-go, tools/clientcmd/api/v1, as far as it
// is used here. Of what is not, it is noticed if it is there.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster kubeCluster
	}
	Users []struct {
		Name string
		User kubeUser
	}
}

type kubeCluster struct {
	Server   string
	CA       string `json:"certificate-authority"`
	CAData   []byte `json:"certificate-authority-data"`
	Name     string `json:"tls-server-name"`
	Insecure bool   `json:"insecure-skip-tls-verify"`
	Proxy    string `json:"proxy-url"`
}

type kubeUser struct {
	Cert         string `json:"client-certificate"`
	CertData     []byte `json:"client-certificate-data"`
	Key          string `json:"client-key"`
	KeyData      []byte `json:"client-key-data"`
	Token        string
	TokenFile    string
	As           string
	Username     string
	Exec         any
	AuthProvider any `json:"auth-provider"`
}

func readKubeconfig(data []byte, dir string) (*KubeClient, error) {
	var config kubeconfig
	if err := yaml.Unmarshal(data, &config); err != nil {
		return nil, errors.New("it is no YAML of that form") // what the parser says may quote a key
	}
	cluster, user, err := config.current()
	if err != nil {
		return nil, err
	}
	if err := cluster.check(); err != nil {
		return nil, err
	}
	if err := user.check(); err != nil {
		return nil, err
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cluster.Name}
	if tlsConfig.RootCAs, err = cluster.roots(dir); err != nil {
		return nil, err
	}
	if tlsConfig.Certificates, err = user.certificates(dir); err != nil {
		return nil, err
	}
	return &KubeClient{
		server: strings.TrimRight(cluster.Server, "/"),
		token:  user.token(dir),
		http: &http.Client{
			Timeout:   kubeTimeout,
			Transport: &http.Transport{TLSClientConfig: tlsConfig, Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
			// A token is for that server alone.
			CheckRedirect: noRedirect,
		},
	}, nil
}

// current are the cluster and the user of the current context.
func (k kubeconfig) current() (*kubeCluster, *kubeUser, error) {
	for _, c := range k.Contexts {
		if c.Name != k.CurrentContext {
			continue
		}
		for i := range k.Clusters {
			for j := range k.Users {
				if k.Clusters[i].Name == c.Context.Cluster && k.Users[j].Name == c.Context.User {
					return &k.Clusters[i].Cluster, &k.Users[j].User, nil
				}
			}
		}
		return nil, nil, fmt.Errorf("context %q names a cluster or a user that is not there", c.Name)
	}
	return nil, nil, fmt.Errorf("its current context, %q, is not there", k.CurrentContext)
}

func (k *kubeCluster) check() error {
	u, err := url.Parse(k.Server)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "":
		return errors.New("its server is no URL")
	case u.Scheme != "https":
		return errors.New("its server is not asked over TLS")
	case k.Insecure:
		return fail.WithHint(errors.New("it has insecure-skip-tls-verify, with which anybody could be the server"), "name the CA: certificate-authority")
	case k.Proxy != "":
		return fail.WithHint(errors.New("it has proxy-url, which etcdha does not know"), "give a kubeconfig without it, such as /etc/kubernetes/admin.conf")
	}
	return nil
}

// roots are nil, the CAs of the system, if there is no CA in it.
func (k *kubeCluster) roots(dir string) (*x509.CertPool, error) {
	data, err := dataOr(k.CAData, k.CA, dir)
	if err != nil || data == nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, errors.New("there is no certificate in its certificate-authority")
	}
	return pool, nil
}

func (k *kubeUser) check() error {
	for field, is := range map[string]bool{"exec": k.Exec != nil, "auth-provider": k.AuthProvider != nil, "as": k.As != "", "username": k.Username != ""} {
		if is {
			return fail.WithHint(fmt.Errorf("its user has %s, which etcdha does not do", field),
				"give a kubeconfig with a client certificate or a token, such as /etc/kubernetes/admin.conf")
		}
	}
	return nil
}

func (k *kubeUser) certificates(dir string) ([]tls.Certificate, error) {
	cert, err := dataOr(k.CertData, k.Cert, dir)
	if err != nil {
		return nil, err
	}
	key, err := dataOr(k.KeyData, k.Key, dir)
	if err != nil || cert == nil && key == nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("its client certificate and key: %w", err)
	}
	return []tls.Certificate{pair}, nil
}

// token reads a token file anew each time: such tokens rotate. As with kubectl, the
// file wins.
func (k *kubeUser) token(dir string) func() (string, error) {
	switch {
	case k.TokenFile != "":
		return func() (string, error) {
			data, err := dataOr(nil, k.TokenFile, dir)
			return strings.TrimSpace(string(data)), err
		}
	case k.Token != "":
		return func() (string, error) { return k.Token, nil }
	}
	return nil
}

// dataOr is what stands in the kubeconfig itself, or else in the file that it names.
func dataOr(data []byte, file, dir string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	return os.ReadFile(file)
}

// statusError is what the apiserver says no with: a Status of Kubernetes.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.code, e.message) }

// do sends a request, and decodes the answer into object.
func (c *KubeClient) do(ctx context.Context, method, path string, body []byte, object any) error {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", "application/json")
	if c.token != nil {
		token, err := c.token()
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, kubeAnswer))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, c.server+path, err)
	}
	if answer.StatusCode != http.StatusOK {
		var said struct{ Message string }
		_ = json.Unmarshal(data, &said) // a proxy answers otherwise
		return fmt.Errorf("%s: %w", c.server, &statusError{answer.StatusCode, cmp.Or(said.Message, http.StatusText(answer.StatusCode))})
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // what is written back is what was read
	if err := decoder.Decode(object); err != nil {
		return fmt.Errorf("%s %s: %w", method, c.server+path, err)
	}
	return nil
}
