package jobs

import (
	"os"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// memberCommand lets this test binary be etcd: it runs again with this word, and
// etcd's flags.
const memberCommand = "throwaway-member"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == instanceCommand {
		if err := beInstance(os.Args[2], os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// ownEtcd is the command of a member.
func ownEtcd(t testing.TB) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, memberCommand}
}
