package apiserver

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// kubeadm's configuration is written after the apiserver runs with the list, and
// at the start, in case that an agent was killed in between.
func TestTheConfigurationFollows(t *testing.T) {
	n := newFollowed(t)
	var written [][]string
	var broken error
	n.options.UpdateConfig = func(_ context.Context, servers []string) error {
		if !slices.Equal(servers, n.running) {
			t.Errorf("%v are written, and the apiserver runs with %v", servers, n.running)
		}
		written = append(written, servers)
		return broken
	}
	n.start()
	n.run(time.Minute)
	n.withdraw(3)
	n.run(5 * time.Minute)
	if len(written) != 2 || !slices.Equal(written[0], urls(1, 2, 3)) || !slices.Equal(written[1], urls(1, 2)) {
		t.Errorf("written: %v", written)
	}

	broken = errors.New("the apiserver says 403")
	n.withdraw(2)
	n.run(time.Minute)
	n.wantServers(urls(1), 2)
	n.wantReady(false, "update kubeadm's configuration: the apiserver says 403")
	n.run(30 * time.Minute)
	if failed := len(written) - 2; failed != 6 { // after 1, 2, 4, 8 and 10 minutes
		t.Errorf("%d attempts in half an hour", failed)
	}
	if n.logged("update kubeadm's configuration") != 1 {
		t.Errorf("log:\n%s", n.log.String())
	}
	n.wantMetrics("config_update_failures_total 6", "in_step 1")
	broken = nil
	n.run(15 * time.Minute)
	n.wantReady(true, "in step")
	if len(written) != 9 || !slices.Equal(written[8], urls(1)) {
		t.Errorf("written: %v", written)
	}
}

// A stacked apiserver stands in no list there.
func TestTheConfigurationOfAStackedOneIsLeftAlone(t *testing.T) {
	n := newFollowed(t)
	n.options.UpdateConfig = func(_ context.Context, servers []string) error {
		t.Errorf("%v are written", servers)
		return nil
	}
	n.start()
	n.member(1).ClientURLs = []string{"https://10.0.0.11:2379"}
	n.write([]string{"https://127.0.0.1:2379"})
	n.running = n.servers()
	n.run(5 * time.Minute)
	n.wantReady(true, "in step")
}
