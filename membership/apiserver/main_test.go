package apiserver

import (
	"io"
	"os"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// roleMember makes an etcd of the test binary.
const roleMember = "apiserver-test-member"

// roles are what the test binary is as a process of its own, by its first argument.
var roles = map[string]func(args []string){
	roleMember: func(args []string) { etcdmain.Main(append([]string{"etcd"}, args...)) },
}

func TestMain(m *testing.M) {
	if isAPIServer(os.Args) {
		_, _ = io.WriteString(os.Stdout, "started\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with its parent
		return
	}
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		roles[os.Args[1]](os.Args[2:])
		return
	}
	m.Run()
}
