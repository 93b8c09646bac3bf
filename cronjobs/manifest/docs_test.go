package manifest_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/manifest"
)

// The configurations of docs/kubernetes.md become what it says, and it has the commands that make their
// Secrets.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	expected := []struct {
		kind manifest.Kind
		o    manifest.Options
	}{
		{manifest.DaemonSet, manifest.Options{Image: image}},
		{manifest.Deployment, manifest.Options{Image: image, Namespace: "etcd-backup", ServiceMonitor: true}},
	}
	if len(blocks) != len(expected) {
		t.Fatalf("%d configurations, expected %d", len(blocks), len(expected))
	}
	commands := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "\\\n", " ")), " ")
	for i, want := range expected {
		file, raw := written(t, blocks[i][1])
		m, err := manifest.Daemon(file, raw, want.o)
		if err != nil {
			t.Fatal(err)
		}
		ofKind(t, objects(t, m), string(want.kind))
		if _, err := manifest.CronJobs(file, raw, want.o); err != nil {
			t.Error(err)
		}
		for _, command := range m.Prepare() {
			command, _, _ = strings.Cut(command, "  #")
			if !strings.Contains(commands, command) {
				t.Errorf("it does not have %q", command)
			}
		}
	}
}
