package status_test

import (
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// A backup of a clock that was ahead does not look new for as long as that was: by it
// a daemon that saves nothing any more would look well.
func TestABackupDatedInTheFutureIsNotTheLatest(t *testing.T) {
	now := statustest.Now
	old := status.Backup{ID: "old", Started: now.Add(-time.Hour), Rung: status.Listed}
	c := status.Cluster{Stores: []status.Store{{Name: "s3", Read: now, Backups: []status.Backup{
		old, {ID: "ahead", Started: now.Add(24 * time.Hour), Rung: status.Rehearsed},
	}}}}
	if b := c.Latest(status.Listed); b == nil || b.ID != "old" {
		t.Errorf("latest is %+v", b)
	}
	if b := c.Latest(status.Rehearsed); b != nil {
		t.Errorf("proven by %+v", b)
	}
	c.Stores[0].Backups[1].Started = now.Add(time.Second) // no two clocks are the same
	if b := c.Latest(status.Listed); b.ID != "ahead" {
		t.Errorf("latest is %+v", b)
	}
}
