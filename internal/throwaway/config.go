package throwaway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	caCert     = "ca.crt"
	memberCert = "member.crt"
	memberKey  = "member.key"
	clientCert = "client.crt"
	clientKey  = "client.key"
)

// A throwaway elects fast and its machine may be busy: etcd's defaults, halved.
const (
	heartbeatMillis = 50
	electionMillis  = 10 * heartbeatMillis
)

// writeConfig writes the configuration file of a member, whose keys are etcd's
// flags. Nothing is synced: the data is worth nothing once the process ends.
// state and initialCluster are the values of etcd's flags initial-cluster-state
// and initial-cluster.
func (c *Cluster) writeConfig(m *Member, state, initialCluster string) error {
	security := map[string]any{
		"cert-file":        filepath.Join(c.Dir, memberCert),
		"key-file":         filepath.Join(c.Dir, memberKey),
		"trusted-ca-file":  filepath.Join(c.Dir, caCert),
		"client-cert-auth": true,
	}
	data, err := yaml.Marshal(map[string]any{
		"name":                        m.Name,
		"data-dir":                    m.DataDir,
		"listen-client-urls":          m.ClientURL,
		"advertise-client-urls":       m.ClientURL,
		"listen-peer-urls":            m.listenPeer,
		"initial-advertise-peer-urls": m.PeerURL,
		"initial-cluster":             initialCluster,
		"initial-cluster-token":       c.options.Token,
		"initial-cluster-state":       state,
		"client-transport-security":   security,
		"peer-transport-security":     security,
		"quota-backend-bytes":         c.options.Quota,
		"heartbeat-interval":          heartbeatMillis,
		"election-timeout":            electionMillis,
		"unsafe-no-fsync":             true,
		"enable-grpc-gateway":         false,
		"logger":                      "zap",
		"log-outputs":                 []string{"stderr"},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(m.config, data, 0o600)
}

// writeCertificates makes a CA that is forgotten at once, and the certificates
// of the members and of one client named root, the user that may do anything
// where a snapshot has authentication on.
func writeCertificates(dir string, now time.Time) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := certificate("etcdha throwaway CA", now)
	ca.IsCA, ca.BasicConstraintsValid = true, true
	ca.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, caCert), "CERTIFICATE", der); err != nil {
		return err
	}
	for _, c := range []struct{ name, cert, key string }{
		{"member", memberCert, memberKey},
		{"root", clientCert, clientKey},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := certificate(c.name, now)
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(PeerAddress)}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		template.KeyUsage = x509.KeyUsageDigitalSignature
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		if err := writePEM(filepath.Join(dir, c.cert), "CERTIFICATE", der); err != nil {
			return err
		}
		if err := writePEM(filepath.Join(dir, c.key), "PRIVATE KEY", private); err != nil {
			return err
		}
	}
	return nil
}

func certificate(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text()[:16])),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // clocks of the children may differ a little
		NotAfter:     now.Add(7 * 24 * time.Hour),
	}
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
