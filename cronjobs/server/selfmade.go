package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// selfMadeLife is that of a certificate that is made here.
	selfMadeLife = 365 * 24 * time.Hour
	// selfMadeRenewal is how long before its end it is replaced, in a daemon that runs on.
	selfMadeRenewal = 30 * 24 * time.Hour
	// clockSkew is by how much a client's clock may be behind.
	clockSkew = time.Hour
)

// selfMade is a certificate that no CA has signed, kept in memory. Who wants to know that
// it is the right one compares the fingerprint with that in the log.
type selfMade struct {
	listen string
	now    func() time.Time
	log    *slog.Logger

	mu   sync.Mutex
	cert *tls.Certificate
}

func (s *selfMade) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.cert != nil && now.Before(s.cert.Leaf.NotAfter.Add(-selfMadeRenewal)) {
		return s.cert, nil
	}
	cert, err := makeCertificate(s.listen, now)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	s.cert = cert
	sum := sha256.Sum256(cert.Certificate[0])
	s.log.Info("answering with a certificate that was made here", "sha256", hex.EncodeToString(sum[:]), "until", cert.Leaf.NotAfter)
	return cert, nil
}

func makeCertificate(listen string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "etcdha"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(selfMadeLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if name, err := os.Hostname(); err == nil && name != "localhost" {
		template.DNSNames = append(template.DNSNames, name)
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
			template.IPAddresses = append(template.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
