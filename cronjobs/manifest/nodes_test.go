package manifest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/manifest"
)

// A CronJob finds the backups of the node where its pod is, which may be another one each time.
func TestADirectoryOfSeveralNodes(t *testing.T) {
	file, raw := read(t, "testdata/stacked.yaml")
	said := func(m *manifest.Manifest, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(m.Prepare(), "\n")
	}
	const warning = "# /var/backups/etcd is the directory of each node"
	if got := said(manifest.CronJobs(file, raw, manifest.Options{Image: image})); !strings.Contains(got, warning) {
		t.Errorf("CronJobs: %s", got)
	}
	if got := said(manifest.Daemon(file, raw, manifest.Options{Image: image})); strings.Contains(got, warning) {
		t.Errorf("a daemon on each node: %s", got)
	}
}

// kubelet and systemd wait for the same time, which is what a daemon may take to end.
func TestTimeToEnd(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/etcdha.service")
	if err != nil {
		t.Fatal(err)
	}
	file, raw := read(t, "testdata/stacked.yaml")
	m, err := manifest.Daemon(file, raw, manifest.Options{Image: image})
	if err != nil {
		t.Fatal(err)
	}
	seconds := at(pods(objects(t, m))[0], "terminationGracePeriodSeconds")
	if want := fmt.Sprintf("\nTimeoutStopSec=%vs\n", seconds); !strings.Contains(string(unit), want) {
		t.Errorf("the service does not have %q", want)
	}
}
