package apiserver

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// defaultPort is kube-apiserver's, without --secure-port.
const defaultPort = "6443"

// Certificates are the files by which an apiserver knows etcd and is known to it,
// where they lie on the host; "" for each that it does without.
func Certificates(f *etcdservers.File) (ca, cert, key string) {
	return hostFile(f, "--etcd-cafile"), hostFile(f, "--etcd-certfile"), hostFile(f, "--etcd-keyfile")
}

// Secure tells whether an apiserver speaks TLS to etcd.
func Secure(f *etcdservers.File) bool {
	ca, cert, _ := Certificates(f)
	return ca != "" || cert != ""
}

// OwnAddress is where the apiserver of a file answers on its own host, such as
// 127.0.0.1:6443.
func OwnAddress(f *etcdservers.File) string {
	port, _ := f.Value("--secure-port")
	host, _ := f.Value("--bind-address")
	if addr, err := netip.ParseAddr(host); err == nil && addr.IsUnspecified() {
		host = ""
		if addr.Is6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), cmp.Or(port, defaultPort))
}

// Announced are the addresses that an apiserver may have announced itself with in
// default/kubernetes: the one that its flags name, or else any of its host.
func Announced(f *etcdservers.File, host Host) ([]string, error) {
	for _, flag := range []string{"--advertise-address", "--bind-address"} {
		value, _ := f.Value(flag)
		if addr, err := netip.ParseAddr(value); err == nil && !addr.IsUnspecified() && !addr.IsLoopback() {
			return []string{addr.String()}, nil
		}
	}
	addresses, err := host.Addresses()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	return addresses, nil
}

// OwnAddresses are the addresses by which a member of etcd is known to run on the
// host of an apiserver: the host's own, and those that the apiserver announces
// itself with, which need not be on an interface.
func OwnAddresses(f *etcdservers.File, host Host) ([]string, error) {
	own, err := host.Addresses()
	if err != nil {
		return nil, fmt.Errorf("list the addresses of this host: %w", err)
	}
	announced, err := Announced(f, host)
	if err != nil {
		return nil, err
	}
	for _, a := range announced {
		if !slices.Contains(own, a) {
			own = append(own, a)
		}
	}
	return own, nil
}

// hostFile is the file that a flag names, where it lies on the host; "" without
// the flag.
func hostFile(f *etcdservers.File, flag string) string {
	name, _ := f.Value(flag)
	if name == "" {
		return ""
	}
	return f.HostPath(name)
}
