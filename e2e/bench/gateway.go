package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
)

const (
	bucket = "bench"
	region = "us-east-1" // the one that versitygw signs for
)

// gateway is the S3 server: a versitygw that keeps objects as files.
type gateway struct {
	endpoint string // https://127.0.0.1:port
	caFile   string
	dir      string // has a directory for each bucket

	accessKey, secretKey string
	cmd                  *exec.Cmd
	alive                io.Closer // see supervise
}

// supervise runs its arguments until its standard input ends, which it does
// when this process dies, however it does.
const supervise = `"$@" </dev/null & cat >/dev/null; kill -9 $!; wait`

// startGateway returns when the server has its bucket.
func startGateway(ctx context.Context, o *options, dir string) (*gateway, error) {
	o.progress("starting versitygw")
	g := &gateway{
		caFile:    filepath.Join(dir, "s3.crt"),
		dir:       filepath.Join(dir, "s3"),
		accessKey: "AK" + rand.Text()[:18],
		secretKey: rand.Text() + rand.Text(),
	}
	keyFile := filepath.Join(dir, "s3.key")
	if err := writeCertificate(g.caFile, keyFile); err != nil {
		return nil, err
	}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		return nil, err
	}
	ports, err := throwaway.FreePorts(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	g.endpoint = "https://" + address
	logFile := filepath.Join(dir, "s3.log")
	if err := g.start(logFile, filepath.Join(o.bin, "versitygw"), "--port", address,
		"--quiet", "--keep-alive", "--cert", g.caFile, "--key", keyFile, "posix", g.dir); err != nil {
		return nil, fmt.Errorf("start versitygw: %w", err)
	}
	if err := g.makeBucket(ctx, o, address); err != nil {
		g.close()
		said, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("start versitygw: %w\n%s", err, said)
	}
	return g, nil
}

func (g *gateway) start(logFile string, args ...string) error {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	g.cmd = exec.Command("sh", append([]string{"-c", supervise, "sh"}, args...)...) //nolint:gosec // what make has built
	g.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "ROOT_ACCESS_KEY=" + g.accessKey, "ROOT_SECRET_KEY=" + g.secretKey}
	g.cmd.Stdout, g.cmd.Stderr = log, log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for the bench alone
	if g.alive, err = g.cmd.StdinPipe(); err != nil {
		return err
	}
	return g.cmd.Start()
}

// makeBucket waits until the server listens.
func (g *gateway) makeBucket(ctx context.Context, o *options, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close() // it has told what was to be known
			break
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
	_, _, err := measure(ctx, pipeline{{filepath.Join(o.bin, "s5cmd"), "mb", "s3://" + bucket}}, append(environment(g.dir), g.env()...))
	return err
}

// env is what a client has in its environment. Secrets must not be in the list
// of processes.
func (g *gateway) env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + g.accessKey, "AWS_SECRET_ACCESS_KEY=" + g.secretKey, "AWS_REGION=" + region,
		"AWS_CA_BUNDLE=" + g.caFile, "S3_ENDPOINT_URL=" + g.endpoint,
	}
}

// url is that of a store of etcdha.
func (g *gateway) url(prefix string) string {
	query := url.Values{"endpoint": {g.endpoint}, "path-style": {"true"}}
	return (&url.URL{Scheme: "s3", Host: bucket, Path: "/" + prefix, RawQuery: query.Encode()}).String()
}

// path is where the objects below a prefix lie.
func (g *gateway) path(elements ...string) string {
	return filepath.Join(append([]string{g.dir, bucket}, elements...)...)
}

// close ends the server. Closing twice does nothing.
func (g *gateway) close() {
	if g.cmd == nil {
		return
	}
	_ = g.alive.Close()
	_ = g.cmd.Wait() // it was killed
	g.cmd = nil
}

// writeCertificate makes a certificate for 127.0.0.1 that is its own authority.
func writeCertificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(7 * 24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}
