package command

import (
	"bytes"
	"flag"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// An agent that cannot reach kubeadm's configuration says so once, not at each list.
func TestAnAgentWithoutAKubeconfig(t *testing.T) {
	swap[fs.FS](t, &hostRoot, fstest.MapFS{})
	for form, want := range map[etcdservers.Form]int{etcdservers.StaticPod: 1, etcdservers.SystemdUnit: 0} {
		var log bytes.Buffer
		app := newApp("v0")
		app.ErrWriter = &log
		update := configUpdate(cli.NewContext(app, flag.NewFlagSet("follow", flag.ContinueOnError), nil), form)
		for _, server := range []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"} {
			if err := update(t.Context(), []string{server}); err != nil {
				t.Error(err)
			}
		}
		if got := strings.Count(log.String(), "no kubeconfig was found"); got != want || want > 0 && !strings.Contains(log.String(), "--kubeconfig FILE") {
			t.Errorf("%s: said %d times\n%s", form, got, log.String())
		}
	}
}
