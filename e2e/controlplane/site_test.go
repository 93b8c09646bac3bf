//go:build linux

package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// site is a control plane: hosts with apiservers, cp1 and cp2, and hosts with
// etcd only, e1, e2 and so on.
type site struct {
	t      *testing.T
	cps    []*host
	etcds  []*host
	agents []*command
	client *http.Client // with the certificate of a super-admin
}

// newSite boots hosts, and makes their certificates. Nothing runs on them yet.
func newSite(t *testing.T, etcds int) *site {
	t.Helper()
	s := &site{t: t}
	for i := range 2 {
		s.cps = append(s.cps, newHost(t, fmt.Sprintf("cp%d", i+1), fmt.Sprintf("192.0.2.%d", 10+i)))
	}
	for i := range etcds {
		s.etcds = append(s.etcds, newHost(t, fmt.Sprintf("e%d", i+1), fmt.Sprintf("192.0.2.%d", 21+i)))
	}
	for _, h := range s.hosts() {
		h.certificates(s.cps[0])
	}
	s.client = newClient(t, s.cps[0].read(superAdmin))
	return s
}

// in is the site for a test within its test.
func (s *site) in(t *testing.T) *site {
	same := site{t: t, client: s.client}
	for _, h := range s.cps {
		same.cps = append(same.cps, h.in(t))
	}
	for _, h := range s.etcds {
		same.etcds = append(same.etcds, h.in(t))
	}
	return &same
}

// external starts a control plane on an external etcd of the first members hosts.
func external(t *testing.T, members, hosts int) *site {
	t.Helper()
	s := newSite(t, hosts)
	s.startEtcds(s.etcds[:members]...)
	s.startAPIServers(externalEtcd(clientURLs(s.etcds[:members]...)))
	return s
}

// stacked starts a control plane with a member of etcd on each of its hosts, and a
// third one, so that one can be lost, on e1.
func stacked(t *testing.T, hosts int) *site {
	t.Helper()
	s := newSite(t, hosts)
	members := append(slices.Clone(s.cps), s.etcds[0])
	s.startEtcds(members...)
	s.startAPIServers(localEtcd("", "new"))
	return s
}

func (s *site) hosts() []*host { return append(slices.Clone(s.cps), s.etcds...) }

// startEtcds starts a new cluster.
func (s *site) startEtcds(members ...*host) {
	s.t.Helper()
	var peers []string
	for _, h := range members {
		peers = append(peers, h.peer())
	}
	for _, h := range members {
		h.startEtcd(strings.Join(peers, ","), "new")
	}
}

// startAPIServers starts the apiservers, and waits until they announce themselves.
func (s *site) startAPIServers(etcd string) {
	s.t.Helper()
	for _, h := range s.cps {
		h.startAPIServer(etcd)
	}
	for _, h := range s.cps {
		eventually(s.t, h.name+" is ready", func() bool { return s.ready(h) })
	}
	eventually(s.t, "default/kubernetes names both", func() bool {
		_, body, err := s.get(s.cps[0], "/api/v1/namespaces/default/endpoints/kubernetes")
		return err == nil && strings.Contains(body, s.cps[0].address) && strings.Contains(body, s.cps[1].address)
	})
}

// newClient is a client with the certificates of a kubeconfig.
func newClient(t *testing.T, kubeconfig string) *http.Client {
	t.Helper()
	var config struct {
		Clusters []struct {
			Cluster struct {
				CA string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Cert string `json:"client-certificate-data"`
				Key  string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	check(t, yaml.Unmarshal([]byte(kubeconfig), &config))
	decode := func(s string) []byte {
		data, err := base64.StdEncoding.DecodeString(s)
		check(t, err)
		return data
	}
	pair, err := tls.X509KeyPair(decode(config.Users[0].User.Cert), decode(config.Users[0].User.Key))
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(decode(config.Clusters[0].Cluster.CA))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
		// One connection a request: an old process must not go on to answer on a kept one.
		DisableKeepAlives: true,
	}
	return &http.Client{Transport: transport}
}

// requestLimit is for an apiserver whose etcd elects a leader just then, on a machine
// that is busy with the start of another apiserver. One that is down fails at once.
const requestLimit = 10 * time.Second

// ask sends a request to the apiserver of a host.
func (s *site) ask(ctx context.Context, h *host, method, path, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+h.address+":6443"+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

func (s *site) get(h *host, path string) (int, string, error) {
	return s.ask(s.t.Context(), h, http.MethodGet, path, "")
}

func (s *site) ready(h *host) bool {
	code, _, err := s.get(h, "/readyz")
	return err == nil && code == http.StatusOK
}
