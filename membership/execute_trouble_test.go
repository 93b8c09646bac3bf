package membership_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// The server counts on members that it has seen for five seconds; a member
// that has just come back makes it refuse what is safe.
func TestTheServerSoonSeesEnoughMembers(t *testing.T) {
	c := membershiptest.New(t, "m1 leader\nm2 stopped\nm3")
	c.Start("m2")
	op := newOperator(c, c)
	began := c.Now()
	if _, err := op.Run(t.Context(), membership.Remove("m3")); err != nil {
		t.Fatal(err)
	}
	op.reads(t, `
		plan: remove m3
		doing remove m3
		warning: 2 voters can lose none, no more than 1 voter can
		waiting to remove m3: https://192.0.2.1:2379: the server does not see enough healthy members yet
		done remove m3: 2 voters, 2 healthy, quorum 2: can lose none`)
	if took := c.Now().Sub(began); took < 5*time.Second || took > 7*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestTheServerNeverSeesEnoughMembers(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	c.BeforeChange = func(int, membership.Step) error { return membership.ErrUnhealthy }
	began := c.Now()
	_, err := newOperator(c, c).Run(t.Context(), membership.Remove("m3"))
	if !errors.Is(err, membership.ErrUnhealthy) || c.Now().Sub(began) < 30*time.Second || c.Now().Sub(began) > 35*time.Second {
		t.Errorf("after %s: %v", c.Now().Sub(began), err)
	}
}

var errLost = errors.New("the connection was lost")

func TestAChangeWhoseAnswerIsLost(t *testing.T) {
	for name, s := range map[string]struct {
		before, after func(int, membership.Step) error
		want          []string // changes
	}{
		"it took effect":            {after: failFirst(1), want: []string{"add m4", "promote m4"}},
		"it did not":                {before: failFirst(1), want: []string{"add m4", "promote m4"}},
		"it did not, twice":         {before: failFirst(2), want: []string{"add m4", "promote m4"}},
		"it did not, three times":   {before: failFirst(3)},
		"it takes effect too late:": {after: failFirst(4), want: []string{"add m4", "promote m4"}},
	} {
		c := membershiptest.New(t, threeVoters)
		c.StartsAfter, c.BeforeChange, c.AfterChange = time.Second, s.before, s.after
		_, err := newOperator(c, c).Run(t.Context(), membership.Add("m4", []string{url(4)}, true))
		if got := c.Changes(); !slices.Equal(got, s.want) || (err == nil) != (s.want != nil) {
			t.Errorf("%s: changes %q, error %v", name, got, err)
		}
		if err != nil && (!errors.Is(err, errLost) || err.Error() != "add m4: the connection was lost") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func failFirst(n int) func(int, membership.Step) error {
	return func(number int, _ membership.Step) error {
		if number <= n {
			return errLost
		}
		return nil
	}
}

func TestANewMemberThatNeverStartsIsTakenOutAgain(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	op.Wait = time.Minute
	_, err := op.Run(t.Context(), membership.Add("m4", []string{url(4)}, true))
	if want := "wait for m4: after 1m0s, its etcd has not been started yet; it was taken out again"; err == nil || err.Error() != want || errors.Is(err, fail.ErrUnsafe) {
		t.Errorf("error %v, want %s", err, want)
	}
	if got, want := c.Changes(), []string{"add m4", "remove m4"}; !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter")
}

func TestANewMemberThatDoesNotCatchUpStays(t *testing.T) {
	c := membershiptest.New(t, threeVoters+"\nm4 learner behind=5000")
	op := newOperator(c, c)
	op.Wait = time.Minute
	_, err := op.Run(t.Context(), membership.Add("m4", []string{url(4)}, true))
	if want := "wait for m4: after 1m0s, it is 5000 entries behind the leader"; err == nil || err.Error() != want || fail.Hint(err) == "" {
		t.Errorf("error %v, want %s; hint %q", err, want, fail.Hint(err))
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m3 voter, m4 learner lagging")
}

func TestAReplacementThatIsLateStays(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	op.Wait = time.Minute
	goal := membership.Replace("m3", "m4", []string{url(4)})
	_, err := op.Run(t.Context(), goal)
	if want := "wait for m4: after 1m0s, its etcd has not been started yet"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	c.Start("m4")
	if _, err := newOperator(c, c).Run(t.Context(), goal); err != nil {
		t.Fatal(err)
	}
	clusterIs(t, c, "m1 voter leader, m2 voter, m4 voter")
}

func TestNothingIsDoneWithoutApprovalOrBackup(t *testing.T) {
	no := errors.New("no")
	for name, set := range map[string]func(*membership.Executor){
		"no": func(e *membership.Executor) { e.Approve = func([]membership.Planned) error { return no } },
		"take a backup before the first step: no": func(e *membership.Executor) { e.Backup = func(context.Context) error { return no } },
	} {
		c := membershiptest.New(t, threeVoters)
		op := newOperator(c, c)
		set(&op.Executor)
		if _, err := op.Run(t.Context(), membership.Remove("m3")); !errors.Is(err, no) || err.Error() != name || len(c.Changes()) > 0 {
			t.Errorf("%s: error %v, changes %q", name, err, c.Changes())
		}
	}
}

// A backup takes long, and nobody is kept out meanwhile.
func TestTheBackupComesOnceAndWithoutALock(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	op := newOperator(c, c)
	backups := 0
	op.Backup = func(ctx context.Context) error {
		backups++
		lock, err := c.NewOperator().Lock(ctx, c.Endpoints(), "another")
		return errors.Join(err, lock.Release(ctx))
	}
	if _, err := op.Run(t.Context(), membership.Remove("m1")); err != nil || backups != 1 || len(c.Changes()) != 2 {
		t.Errorf("error %v, %d backups, changes %q", err, backups, c.Changes())
	}
}

func TestTheAutomationIsTold(t *testing.T) {
	c := membershiptest.New(t, "cluster id=cafe\nm1 leader zone=a\nm3 stopped zone=b id=deadbeef00000003\nm2")
	op := newOperator(c, c)
	var events []string
	op.OnStep = func(_ context.Context, event membership.Event) error {
		if event.Step == membership.EventStart {
			c.Start(event.Member.Name) // what the automation is for
		}
		text, err := json.Marshal(event)
		events = append(events, string(text))
		return err
	}
	if _, err := op.Run(t.Context(), membership.Replace("m3", "m4", []string{url(4)})); err != nil {
		t.Fatal(err)
	}
	id := c.ID("m4").String()
	want := []string{
		`{"step":"remove","clusterID":"cafe","member":{"name":"m3","id":"deadbeef00000003","peerURLs":["https://192.0.2.2:2380"]}}`,
		`{"step":"add","clusterID":"cafe","member":{"name":"m4","id":"ID","peerURLs":["https://192.0.2.4:2380"]}}`,
		`{"step":"start","clusterID":"cafe","member":{"name":"m4","id":"ID","peerURLs":["https://192.0.2.4:2380"]},"start":{` +
			`"initialCluster":"m1=https://192.0.2.1:2380,m2=https://192.0.2.3:2380,m4=https://192.0.2.4:2380","environment":{` +
			`"ETCD_INITIAL_ADVERTISE_PEER_URLS":"https://192.0.2.4:2380",` +
			`"ETCD_INITIAL_CLUSTER":"m1=https://192.0.2.1:2380,m2=https://192.0.2.3:2380,m4=https://192.0.2.4:2380",` +
			`"ETCD_INITIAL_CLUSTER_STATE":"existing","ETCD_NAME":"m4"},"version":"3.6.16"}}`,
		`{"step":"promote","clusterID":"cafe","member":{"name":"m4","id":"ID","peerURLs":["https://192.0.2.4:2380"]}}`,
	}
	for i, w := range want {
		if w = strings.ReplaceAll(w, "ID\"", id+"\""); strings.Contains(w, "cluster"+id) {
			w = strings.ReplaceAll(w, "cluster"+id, "clusterID")
		}
		if i >= len(events) || events[i] != w {
			t.Errorf("event %d is not %s:\n%s", i, w, strings.Join(events, "\n"))
		}
	}
	if len(events) != len(want) {
		t.Errorf("%d events", len(events))
	}

	op.OnStep = func(context.Context, membership.Event) error { return errors.New("exit status 1") }
	_, err := op.Run(t.Context(), membership.Remove("m2"))
	if err == nil || err.Error() != "tell the automation of remove m2: exit status 1" {
		t.Errorf("error %v", err)
	}
}

func TestAnElectionIsWaitedFor(t *testing.T) {
	c := membershiptest.New(t, "m1\nm2 cut\nm3 cut") // nobody leads, all answer
	c.After(4*time.Second, c.Heal)
	op := newOperator(c, c)
	if _, err := op.Run(t.Context(), membership.Remove("m3")); err != nil {
		t.Fatal(err)
	}
	if op.story[0] != "waiting to  : a leader that answers" {
		t.Errorf("the story is %q", op.story)
	}
}

// A member that is slow for a moment is not taken for dead: it would go before
// the new one has come.
func TestAMomentIsNoDeath(t *testing.T) {
	c := membershiptest.New(t, threeVoters)
	c.StartsAfter = time.Second
	op := newOperator(c, c)
	c.AfterChange = func(number int, _ membership.Step) error {
		if number == 1 { // m4 was added
			c.Pause("m3")
			c.After(200*time.Millisecond, func() { c.Resume("m3") })
		}
		return nil
	}
	if _, err := op.Run(t.Context(), membership.Replace("m3", "m4", []string{url(4)})); err != nil {
		t.Fatal(err)
	}
	want := []string{"add m4", "promote m4", "remove m3"}
	if got := c.Changes(); !slices.Equal(got, want) {
		t.Errorf("changes %q, want %q; the story is\n%s", got, want, strings.Join(op.story, "\n"))
	}
	if !slices.Contains(op.story, "plan: remove m3, heal m4, promote m4") {
		t.Errorf("nobody has missed m3:\n%s", strings.Join(op.story, "\n"))
	}
}

// Right after a step somebody may not answer. What is refused for that is looked
// at again, for five seconds.
func TestAMomentIsNoRefusal(t *testing.T) {
	for name, back := range map[string]time.Duration{"soon": 2 * time.Second, "late": time.Minute} {
		c := membershiptest.New(t, "m1 leader\nm2")
		c.StartsAfter = time.Second
		op := newOperator(c, c)
		c.AfterChange = func(number int, _ membership.Step) error {
			if number == 2 { // m3 votes
				c.Pause("m3")
				c.After(back, func() { c.Resume("m3") })
			}
			return nil
		}
		_, err := op.Run(t.Context(), reach(t, "m1 1, m2 2, m3 3, m4 4"))
		if name == "soon" && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "late" && (!errors.Is(err, fail.ErrUnsafe) || err.Error() != "add a learner: the voter m3 does not answer" || fail.Hint(err) == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
