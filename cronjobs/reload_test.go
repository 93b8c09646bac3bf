package cronjobs

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/internal/fail"
)

// A new configuration adds, changes and removes clusters, and does not disturb the others.
func TestReload(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.do = takes(30 * time.Second)
		verify := w.job(config.Verify, "0 * * * *")
		n := w.start("a", named("stays", verify), named("changes", verify), named("goes", verify))
		w.until("09:00:10")
		done := make(chan error)
		go func() {
			done <- n.configure(func(f *config.File) {
				changed := named("changes", w.job(config.Verify, "30 * * * *"))
				f.Clusters = []config.Cluster{named("comes", w.job(config.Verify, "1 * * * *")), changed, f.Clusters[0]}
				f.Clusters[2].Line = 40 // it stands further below now
			})
		}()
		synctest.Wait()
		if got := names(n); got != "comes changes stays" {
			t.Errorf("clusters while runs come to their end: %s", got)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:00:30" {
			t.Errorf("it was done at %s", clock)
		}
		synctest.Wait()
		if want := []string{"stays", "changes", "goes", "comes", "changes"}; len(w.opened) != 5 ||
			w.opened[3] != want[3] || w.opened[4] != want[4] {
			t.Errorf("opened: %q", w.opened)
		}
		if w.open["goes"] != 0 || w.open["changes"] != 1 || w.open["stays"] != 1 || w.open["comes"] != 1 {
			t.Errorf("open workers: %v", w.open)
		}
		w.until("09:40:00")
		n.stop()
		w.same("tries", w.tries(config.Verify), []string{"09:00:00 for 09:00 by a", "09:00:00 for 09:00 by a", "09:00:00 for 09:00 by a",
			"09:01:00 for 09:01 by a", "09:30:00 for 09:30 by a"})
		if got := w.records(config.Verify); len(got) != 5 {
			t.Errorf("records: %q", got)
		}
	})
}

func names(n *node) string {
	var all []string
	for _, c := range n.Fleet().Clusters {
		all = append(all, c.Name)
	}
	return strings.Join(all, " ")
}

// What a changed cluster was known to be is shown until it is seen anew, and a record that
// waits for a store is not lost.
func TestReloadKeepsWhatIsKnown(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.add = func(status.Record) (bool, error) { return false, errors.New("store is down") }
		n := w.start("a", named("c", w.job(config.Verify, "0 * * * *")))
		w.until("09:10:00")
		w.change(func() {
			w.add = nil
			w.opens = func(config.Cluster) error { return errors.New("no key") }
		})
		change := func(f *config.File) { f.SpoolDir += "/spool" }
		if err := n.configure(change); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c := n.of("c"); c.Err != "no key" || len(c.Troubles) != 2 || c.Jobs[0].Last == nil {
			t.Errorf("shown as %+v", c)
		}
		w.change(func() { w.opens = nil })
		if err := n.configure(change); err != nil {
			t.Fatal(err)
		}
		w.until("10:10:00")
		n.stop()
		w.same("records", w.records(config.Verify), []string{"10T09:00 by a", "10T10:00 by a"})
	})
}

// A wrong configuration changes nothing, and is shown until a right one is read.
func TestWrongReload(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		n := w.start("a", named("c", w.job(config.Verify, "0 * * * *")))
		loaded := n.Fleet().Config.Loaded
		w.until("09:30:00")
		n.err = errors.New("etcdha.yaml:3: no such key")
		if err := n.Reload(); err == nil || err.Error() != "etcdha.yaml:3: no such key" {
			t.Errorf("Reload: %v", err)
		}
		if c := n.Fleet().Config; c.Err != "etcdha.yaml:3: no such key" || !c.Loaded.Equal(loaded) || c.File != "etcdha.yaml" {
			t.Errorf("it is shown as %+v", c)
		}
		w.until("10:30:00")
		n.err = nil
		if err := n.Reload(); err != nil {
			t.Error(err)
		}
		if c := n.Fleet().Config; c.Err != "" || !c.Loaded.Equal(time.Now()) {
			t.Errorf("it is shown as %+v", c)
		}
		n.stop()
		if len(w.opened) != 1 {
			t.Errorf("opened: %q", w.opened)
		}
		w.same("records", w.records(config.Verify), []string{"10T09:00 by a", "10T10:00 by a"})
	})
}

// A configuration that changes before the daemon runs is the one that it runs.
func TestReloadBeforeTheStart(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		n := w.node("a", named("changes", w.job(config.Verify, "0 * * * *")), named("goes", w.job(config.Verify, "0 * * * *")))
		err := n.configure(func(f *config.File) {
			f.Clusters = []config.Cluster{named("changes", w.job(config.Prune, "0 * * * *"))}
		})
		if err != nil || len(w.opened) != 0 || names(n) != "changes" {
			t.Errorf("Reload: %v, opened %q, clusters %s", err, w.opened, names(n))
		}
		n.run()
		w.until("09:00:10")
		n.stop()
		w.same("opened", w.opened, []string{"changes"})
		w.same("records", w.records(config.Prune), []string{"10T09:00 by a"})
		w.same("others", w.records(config.Verify), nil)
	})
}

// A wrong configuration at the start is the end.
func TestWrongFromTheStart(t *testing.T) {
	wrong := errors.New("etcdha.yaml:3: no such key")
	_, err := New(Options{Now: time.Now, Load: func() (*config.File, error) { return nil, wrong }})
	if !errors.Is(err, wrong) {
		t.Errorf("New: %v", err)
	}
}

// A cluster that cannot be worked with does not stop the others, and is tried again after
// pauses and with each reload.
func TestOpenFails(t *testing.T) {
	tell(t, "2026-03-10T08:58:00Z", func(w *world) {
		var tries []string
		missing := true
		w.opens = func(c config.Cluster) error {
			if c.Name != "broken" {
				return nil
			}
			tries = append(tries, time.Now().UTC().Format(time.TimeOnly))
			if missing {
				return fail.WithHint(errors.New("open ca.crt: no such file"), "mount it")
			}
			return nil
		}
		job := w.job(config.Verify, "0 * * * *")
		n := w.start("a", named("broken", job), named("c", job))
		w.until("09:00:00")
		if s := n.of("broken"); s.Err != "open ca.crt: no such file" || s.Hint != "mount it" || len(s.Troubles) != 1 || len(s.Jobs) != 1 {
			t.Errorf("shown as %+v", s)
		}
		if len(w.records(config.Verify)) != 1 {
			t.Error("the other cluster does not run")
		}
		if err := n.Reload(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.change(func() { missing = false })
		w.until("09:59:00")
		w.same("tries", tries, []string{"08:58:00", "08:58:10", "08:58:30", "08:59:10", "09:00:00", "09:02:40"})
		if s := n.of("broken"); s.Err != "" || s.ID != "c1" {
			t.Errorf("shown as %+v", s)
		}
		w.until("10:01:00")
		n.stop()
		if len(w.records(config.Verify)) != 3 {
			t.Errorf("records: %q", w.records(config.Verify))
		}
	})
}

// An instance ends while a cluster cannot be opened, and while a reload waits for runs.
func TestEndAmidstAReload(t *testing.T) {
	tell(t, "2026-03-10T08:59:50Z", func(w *world) {
		w.opens = func(c config.Cluster) error {
			if c.Name == "broken" {
				return errors.New("no")
			}
			return nil
		}
		w.do = takes(time.Hour)
		job := w.job(config.Verify, "0 * * * *")
		n := w.start("a", named("broken", job), named("c", job), named("d", job))
		w.until("09:00:10")
		done := make(chan error)
		go func() {
			done <- n.configure(func(f *config.File) {
				f.Clusters = []config.Cluster{f.Clusters[0], named("c", w.job(config.Prune, "@daily"))}
			})
		}()
		time.Sleep(10 * time.Second)
		n.stop()
		if clock := time.Now().UTC().Format(time.TimeOnly); clock != "09:00:40" {
			t.Errorf("the end was at %s", clock)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(w.opened) != 2 || w.open["c"] != 0 || w.open["d"] != 0 {
			t.Errorf("opened %q, open %v", w.opened, w.open)
		}
	})
}

// All that a cluster says of its place in the file is left out when two are compared, and
// nothing else is.
func TestUnlined(t *testing.T) {
	full := config.Cluster{Name: "c", Line: 1, Encryption: config.Encryption{Line: 2},
		Stores: []config.Store{{Name: "s", Line: 3}}, Jobs: []config.Job{{Name: config.Prune, Line: 4}}}
	bare := unlined(full)
	lines := 0
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				if v.Type().Field(i).Name == "Line" {
					lines++
					if v.Field(i).Int() != 0 {
						t.Errorf("a line of %s is left", v.Type())
					}
					continue
				}
				walk(v.Field(i))
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(reflect.ValueOf(bare))
	if lines != 4 || bare.Name != "c" || bare.Stores[0].Name != "s" || bare.Jobs[0].Name != config.Prune {
		t.Errorf("%d lines in %+v", lines, bare)
	}
	if full.Stores[0].Line != 3 || full.Jobs[0].Line != 4 {
		t.Error("the cluster itself was changed")
	}
}
