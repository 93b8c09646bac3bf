package apiserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// get asks the handler of the follower.
func (n *followed) get(path string) (status int, body string) {
	n.t.Helper()
	w := httptest.NewRecorder()
	n.follower.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// wantMetrics looks for lines, without the prefix that all have.
func (n *followed) wantMetrics(lines ...string) {
	n.t.Helper()
	status, body := n.get("/metrics")
	for _, line := range lines {
		if status != http.StatusOK || !strings.Contains(body, "\netcdha_apiserver_"+line+"\n") {
			n.t.Errorf("%d, without %s:\n%s", status, line, body)
		}
	}
}

func (n *followed) wantReady(ready bool, detail string) {
	n.t.Helper()
	status, body := n.get("/readyz")
	if (status == http.StatusOK) != ready || !strings.Contains(body, detail) {
		n.t.Errorf("readyz is %d: %s; want %t: %s", status, body, ready, detail)
	}
}

func (n *followed) wantAlive() {
	n.t.Helper()
	if status, body := n.get("/healthz"); status != http.StatusOK {
		n.t.Errorf("healthz is %d: %s", status, body)
	}
}

func TestAFollowerThatHangsIsNotAlive(t *testing.T) {
	n := newFollowed(t)
	n.wantAlive()
	n.wantReady(false, "no look has come to its end yet")
	n.run(time.Minute - time.Second)
	n.wantAlive()
	n.clock = n.clock.Add(3*DefaultPeriod + lookTimeout - 9*time.Second)
	n.wantAlive()
	n.clock = n.clock.Add(time.Second)
	if status, body := n.get("/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "nothing was done for 51s") {
		t.Errorf("healthz is %d: %s", status, body)
	}
	n.run(time.Second)
	n.wantAlive()
}

func TestWhenThingsHappenedIsInSeconds(t *testing.T) {
	n := newFollowed(t)
	n.run(time.Second)
	n.wantMetrics("last_observation_timestamp_seconds 1.7e+09", "last_report_timestamp_seconds 1.7e+09", "last_rewire_timestamp_seconds 0")
	n.withdraw(1)
	n.run(time.Minute)
	n.wantMetrics("last_rewire_timestamp_seconds 1.700000016e+09", "servers 2")
}
