package command

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// A line may be a whole command. No more of it is shown than the list.
func TestADiffShowsTheListAndNotWhatIsAroundIt(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"a line of a list": {"OPTS=\"--v=2 --etcd-servers=https://10.0.0.1:2379\"\n",
			"-OPTS=\"--v=2 --etcd-servers=https://10.0.0.1:2379\"\n+OPTS=\"--v=2 --etcd-servers=https://10.0.0.2:2379\"\n"},
		"a long command": {"OPTS=\"--token=hunter2 " + strings.Repeat("--a=b ", 40) + " --etcd-servers=https://10.0.0.1:2379 --password=hunter3\"\n",
			"- ... --etcd-servers=https://10.0.0.1:2379 ...\n+ ... --etcd-servers=https://10.0.0.2:2379 ...\n"},
		"the list in a variable": {"KEY=\"" + strings.Repeat("hunter2", 40) + "\"\nETCD_SERVERS=https://10.0.0.1:2379\n",
			"-ETCD_SERVERS=https://10.0.0.1:2379\n+ETCD_SERVERS=https://10.0.0.2:2379\n"},
	} {
		t.Run(name, func(t *testing.T) {
			swap[fs.FS](t, &hostRoot, fstest.MapFS{"etc/apiserver.env": {Data: []byte(c.data)}})
			f, err := readServers("/etc/apiserver.env")
			if err != nil {
				t.Fatal(err)
			}
			servers := []string{"https://10.0.0.2:2379"}
			after, err := f.With(servers)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			printDiff(&out, f, servers, after)
			if out.String() != c.want {
				t.Errorf("shown:\n%swant:\n%s", out.String(), c.want)
			}
		})
	}
}
