package apiserver

import (
	"fmt"
	"net"
	"path"
)

// addresses are those of the host's interfaces, without loopback ones.
func addresses() ([]string, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var all []string
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	return all, nil
}

// isAPIServer tells whether a command line is that of a kube-apiserver itself, and
// not of a shell or a runner around it.
func isAPIServer(args []string) bool {
	if len(args) > 1 && path.Base(args[0]) == "hyperkube" {
		return args[1] == "apiserver" || args[1] == "kube-apiserver"
	}
	return len(args) > 0 && path.Base(args[0]) == "kube-apiserver"
}
