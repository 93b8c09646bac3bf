// Package controlplane tests etcdha from outside on whole control planes: the
// built binary, real kube-apiservers, manifests and certificates of a real
// kubeadm, and real etcd.
//
// Each host has namespaces of its own, for its network, mounts, processes and
// name, so that its files are where they are in life, 127.0.0.1 is its own, and
// hosts reach each other at addresses that are reserved for documentation
// (RFC 5737) over a bridge. The tests themselves are the first process of a
// namespace: when they end, however they end, everything that they started ends.
// That takes root on Linux, and the command ip.
//
// A stand-in for kubelet runs the manifests; see kubelet_test.go for what it does
// as kubelet does. `make test-kubernetes` builds what is needed and runs the tests.
package controlplane
