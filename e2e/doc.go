// Package e2e tests etcdha from outside: the built binary against real etcd
// clusters of three versions, each member a process, over mutual TLS.
//
// testdata/*.txtar are scripts that a reader could type; see script_test.go
// for the commands that they have besides etcdha, etcdctl and etcdutl. What
// needs more than a script is a Go test.
package e2e
