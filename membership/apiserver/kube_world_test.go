package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// kubernetes answers for a kube-apiserver that keeps one ConfigMap. It knows who asks
// by certificate or token.
type kubernetes struct {
	ca  *authority
	url string

	mu        sync.Mutex
	object    map[string]any // nil: there is none
	version   int
	meanwhile []func() // what somebody else does before the next writes
	asked     []string // METHOD who
}

func startKubernetes(t *testing.T, clusterConfiguration string) *kubernetes {
	t.Helper()
	k := &kubernetes{ca: newAuthority(t), version: 1}
	if clusterConfiguration != "" {
		k.object = map[string]any{
			"kind": "ConfigMap", "apiVersion": "v1",
			"metadata": map[string]any{"name": "kubeadm-config", "namespace": "kube-system", "generation": json.Number("9007199254740993")},
			"data":     map[string]any{"ClusterConfiguration": clusterConfiguration, "ClusterStatus": "of an older kubeadm"},
		}
	}
	cert, key := k.ca.issue(t, "apiserver", "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(contents(t, k.ca.file()))
	server := httptest.NewUnstartedServer(k)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: clients}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it go away
	server.StartTLS()
	t.Cleanup(server.Close)
	k.url = server.URL
	return k
}

func contents(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// who asks: the name in the certificate, or the token.
func who(r *http.Request) string {
	if len(r.TLS.PeerCertificates) > 0 {
		return r.TLS.PeerCertificates[0].Subject.CommonName
	}
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, r.Method+" "+who(r))
	switch {
	case who(r) == "":
		no(w, http.StatusUnauthorized, "Unauthorized")
	case who(r) == "nobody":
		no(w, http.StatusForbidden, `configmaps "kubeadm-config" is forbidden`)
	case r.URL.Path != kubeadmConfigPath || k.object == nil:
		no(w, http.StatusNotFound, `configmaps "kubeadm-config" not found`)
	case r.Method == http.MethodPut:
		k.put(w, r)
	default:
		k.answer(w)
	}
}

func (k *kubernetes) answer(w http.ResponseWriter) {
	k.object["metadata"].(map[string]any)["resourceVersion"] = fmt.Sprint(k.version)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(k.object)
}

func (k *kubernetes) put(w http.ResponseWriter, r *http.Request) {
	if len(k.meanwhile) > 0 {
		k.meanwhile[0]()
		k.meanwhile = k.meanwhile[1:]
	}
	data, _ := io.ReadAll(r.Body)
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		no(w, http.StatusBadRequest, err.Error())
		return
	}
	if object["metadata"].(map[string]any)["resourceVersion"] != fmt.Sprint(k.version) {
		no(w, http.StatusConflict, "the object has been modified")
		return
	}
	k.version++
	k.object = object
	k.answer(w)
}

// no is how Kubernetes refuses.
func no(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "status": "Failure", "code": code, "message": message})
}

// config is the ClusterConfiguration that is kept now.
func (k *kubernetes) config() string {
	return k.object["data"].(map[string]any)["ClusterConfiguration"].(string)
}

// kubeconfig writes one, with these lines about the user, and returns its file.
func (k *kubernetes) kubeconfig(t *testing.T, user string) string {
	t.Helper()
	return k.writeConfig(t, "certificate-authority: ca.crt", user)
}

func (k *kubernetes) writeConfig(t *testing.T, cluster, user string) string {
	t.Helper()
	file := filepath.Join(k.ca.dir, "admin.conf")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters:
- name: other
  cluster: {server: "https://127.0.0.1:1"}
- name: kubernetes
  cluster:
    server: %s
    %s
contexts:
- name: other@other
  context: {cluster: other, user: other}
- name: admin@kubernetes
  context: {cluster: kubernetes, user: admin}
current-context: admin@kubernetes
users:
- name: other
  user: {}
- name: admin
  user:
    %s
`, k.url, indent(cluster), indent(user))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func indent(lines string) string { return strings.ReplaceAll(lines, "\n", "\n    ") }
