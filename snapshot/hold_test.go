package snapshot_test

import (
	"bytes"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot"
)

// holding is a backup that is held and released, each time a second later.
type holding struct {
	testing.TB
	store   *memory
	catalog *snapshot.Catalog
	clock   *clock
	random  byte
}

func newHolding(t testing.TB) *holding {
	store, c, _ := reported(t)
	return &holding{TB: t, store: store, catalog: c, clock: newClock()}
}

// backup is listed anew, as another command sees it.
func (h *holding) backup() *snapshot.Backup {
	backups, _ := list(h, h.catalog)
	return backups[0]
}

func (h *holding) hold() {
	b := h.backup()
	h.random++
	must(h.catalog.Hold(h.Context(), b, snapshot.Hold{Time: h.clock.Now(), Reason: "audit", Etcdha: "v1"}, bytes.NewReader([]byte{0, h.random})))
	h.wantHeld(b, true)
}

func (h *holding) release() {
	b := h.backup()
	must(h.catalog.Release(h.Context(), b, snapshot.Hold{Time: h.clock.Now(), Reason: "over", Etcdha: "v1"}))
	h.wantHeld(b, false)
}

// wantHeld asks the backup at hand, and the store.
func (h *holding) wantHeld(b *snapshot.Backup, want bool) {
	h.Helper()
	if b.Held() != want || h.backup().Held() != want {
		h.Errorf("held %t, in the store %t; want %t", b.Held(), h.backup().Held(), want)
	}
}

func (h *holding) names() []string {
	var names []string
	for _, key := range h.store.keys() {
		if path.Base(path.Dir(key)) == "holds" {
			names = append(names, path.Base(key))
		}
	}
	return names
}

// Each hold is ended by the release that has seen it. No clock decides.
func TestHoldsAddUpAndAreReleasedTogether(t *testing.T) {
	h := newHolding(t)
	h.wantHeld(h.backup(), false)
	h.hold()
	h.hold()
	h.release()
	h.hold() // again
	if want := []string{
		"20261120T235211Z-0001-hold.json", "20261120T235211Z-0001-release.json",
		"20261120T235212Z-0002-hold.json", "20261120T235212Z-0002-release.json",
		"20261120T235214Z-0003-hold.json",
	}; !slices.Equal(h.names(), want) {
		t.Errorf("holds %q", h.names())
	}
	h.clock.now = start.AddDate(-1, 0, 0) // a clock that went wrong
	h.hold()
	h.release()
	if n := len(h.names()); n != 8 {
		t.Errorf("%d records: %q", n, h.names())
	}
	h.release() // there is nothing to release
	if n := len(h.names()); n != 8 {
		t.Errorf("%d records: %q", n, h.names())
	}
}

// A hold that a release has not seen stays.
func TestAReleaseEndsOnlyTheHoldsItKnows(t *testing.T) {
	h := newHolding(t)
	h.hold()
	seen := h.backup()
	h.hold()
	must(h.catalog.Release(t.Context(), seen, snapshot.Hold{Time: h.clock.Now()}))
	if seen.Held() || !h.backup().Held() {
		t.Errorf("held %t, in the store %t", seen.Held(), h.backup().Held())
	}
}

func TestManyHoldAndReleaseAtOnce(t *testing.T) {
	h := newHolding(t)
	var people sync.WaitGroup
	for i := range byte(8) {
		b := h.backup()
		people.Go(func() {
			must(h.catalog.Hold(t.Context(), b, snapshot.Hold{Time: start}, bytes.NewReader([]byte{1, i})))
		})
	}
	people.Wait()
	if b := h.backup(); !b.Held() || len(h.names()) != 8 {
		t.Errorf("held %t by %q", b.Held(), h.names())
	}
	for range 8 {
		b := h.backup()
		people.Go(func() {
			must(h.catalog.Release(t.Context(), b, snapshot.Hold{Time: h.clock.Now()}))
			if b.Held() {
				t.Error("a release leaves it held")
			}
		})
	}
	people.Wait()
	h.wantHeld(h.backup(), false)
	if len(h.names()) != 16 {
		t.Errorf("records %q", h.names())
	}
}

// Two who release at the same time both succeed, whoever is first.
func TestAReleaseThatSomebodyElseWasQuickerWith(t *testing.T) {
	h := newHolding(t)
	h.hold()
	one, other := h.backup(), h.backup()
	for _, b := range []*snapshot.Backup{one, other} {
		must(h.catalog.Release(t.Context(), b, snapshot.Hold{Time: h.clock.Now(), Reason: "over"}))
		h.wantHeld(b, false)
	}
	if len(h.names()) != 2 {
		t.Errorf("records %q", h.names())
	}
}

func TestAHeldBackupIsNotPruned(t *testing.T) {
	store := january()
	c := &snapshot.Catalog{Store: store, Cluster: "prod"}
	backups, _ := list(t, c)
	must(c.Hold(t.Context(), backups[0], snapshot.Hold{Time: start}, bytes.NewReader([]byte{1, 2})))
	// A record that is damaged holds as well: nobody has released it.
	store.objects[keyOf(backups[1].Manifest, "holds/20260101T000000Z-0001-hold.json")] = []byte("{")
	p := plan(t, c)
	if days(p, true) != "04 02 01" || !slices.Contains(p.Decisions[3].Reasons, "held") || !slices.Contains(p.Decisions[2].Reasons, "held") {
		t.Errorf("keeps %s: %+v", days(p, true), p.Decisions)
	}
	must(c.Release(t.Context(), backups[0], snapshot.Hold{Time: start}))
	if p := plan(t, c); days(p, true) != "04 02" {
		t.Errorf("after the release it keeps %s", days(p, true))
	}
}

func TestAHoldThatCannotBeKeptIsAnError(t *testing.T) {
	h := newHolding(t)
	h.hold()
	h.catalog.Store = liar(h.store, nil)
	b := h.backup()
	if err := h.catalog.Release(t.Context(), b, snapshot.Hold{Time: start}); err == nil || !b.Held() {
		t.Errorf("release: held %t, error %v", b.Held(), err)
	}
	h.catalog.Store = &faulty{Store: h.store, put: nil, open: brokenAt(h.store, "20261120T235211Z-0707-hold.json", errDown).open}
	err := h.catalog.Hold(t.Context(), b, snapshot.Hold{Time: start}, bytes.NewReader([]byte{7, 7}))
	if !errors.Is(err, errDown) || !strings.HasPrefix(err.Error(), "hold or release backup "+b.ID+": ") {
		t.Errorf("hold that cannot be read back: %v", err)
	}
	if err := h.catalog.Hold(t.Context(), b, snapshot.Hold{Time: start}, io.LimitReader(bytes.NewReader([]byte{1}), 1)); err == nil || !strings.Contains(err.Error(), "random") {
		t.Errorf("no randomness: %v", err)
	}
	// The name of another hold is never taken.
	h.catalog.Store = h.store
	at := h.clock.Now().Add(-time.Second)
	for i, want := range []bool{true, false} {
		if err := h.catalog.Hold(t.Context(), b, snapshot.Hold{Time: at}, bytes.NewReader([]byte{9, 9})); (err == nil) != want {
			t.Errorf("hold %d of one name: %v", i, err)
		}
	}
}
