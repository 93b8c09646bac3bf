package snapshot_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage/storagetest"
)

// A damaged report is told and left out; it keeps no backup from its copy.
func TestADamagedRecordIsLeftOut(t *testing.T) {
	for _, name := range []string{"holds/20261120T235211Z-0102-hold.json", "reports/20261120T235211Z-rehearsal.json"} {
		for what, data := range map[string][]byte{"damaged": []byte("{"), "newer": sumAdded(`{"format":2`)} {
			c := newCopying(t)
			c.from.objects[c.key(name)] = data
			copied, err := c.copy(t, c.to)
			if err != nil || !copied.Data || copied.Added != 2 || copied.Damaged == nil || !strings.Contains(copied.Damaged.Error(), c.key(name)) {
				t.Errorf("%s %s: %+v, error %v", what, name, copied, err)
			}
			if err := copied.Damaged; !errors.Is(err, map[string]error{"damaged": fail.ErrVerification, "newer": snapshot.ErrNewerFormat}[what]) {
				t.Errorf("%s %s: error %v", what, name, err)
			}
			delete(c.from.objects, c.key(name))
			c.wantSame(t, what)
		}
	}
}

func TestDamagedDataNeverBecomesAnObject(t *testing.T) {
	c := newCopying(t)
	good := c.from.objects[c.key("db.zst.age")]
	for name, data := range map[string][]byte{
		"flipped at first": flipped(good, 0), "flipped": flipped(good, len(good)/2), "flipped at last": flipped(good, len(good)-1),
		"cut off": good[:len(good)-1], "empty": {}, "longer": append(bytes.Clone(good), 0), "twice": append(bytes.Clone(good), good...),
	} {
		c.from.objects[c.key("db.zst.age")] = data
		if copied, err := c.copy(t, c.to); !errors.Is(err, fail.ErrVerification) || copied.Data {
			t.Errorf("%s: %+v, error %v", name, copied, err)
		}
		if len(c.to.objects) != 0 {
			t.Errorf("%s: the target holds %q", name, c.to.keys())
		}
	}
	delete(c.from.objects, c.key("db.zst.age"))
	if _, err := c.copy(t, c.to); !errors.Is(err, fail.ErrVerification) || !strings.Contains(err.Error(), "has a manifest but no data") {
		t.Errorf("without data: %v", err)
	}
}

// What a target has changed is never listed there, now or later.
func TestATargetThatLiesListsNothing(t *testing.T) {
	c := newCopying(t)
	data := func(key string) bool { return key == c.key("db.zst.age") }
	if _, err := c.copy(t, changing(c.to, data, func(b []byte) []byte { return flipped(b, 7) })); !errors.Is(err, fail.ErrVerification) || !strings.Contains(fail.Hint(err), "prune --apply") {
		t.Errorf("error %v, hint %q", err, fail.Hint(err))
	}
	c.wantNothingListed(t, "lied")
	if _, err := c.copy(t, c.to); !errors.Is(err, fail.ErrVerification) {
		t.Errorf("gone on: %v", err)
	}
	c.wantNothingListed(t, "gone on")
}

// A source that flips a bit once, at any of its objects, puts no wrong byte
// into the target.
func TestABitFlippedOnTheWayIsNotCopied(t *testing.T) {
	c := newCopying(t)
	for nth := 1; ; nth++ {
		for _, fault := range []storagetest.Fault{storagetest.Flip(40), storagetest.Truncate(63)} {
			c.to = newMemory()
			flipping := storagetest.NewFaulty(c.from)
			flipping.On(storagetest.Open, nth, fault)
			copied, err := c.catalog(flipping).Copy(t.Context(), c.backup, c.to)
			if flipping.Count(storagetest.Open) < nth {
				return
			}
			if err = errors.Join(err, copied.Damaged); !errors.Is(err, fail.ErrVerification) {
				t.Errorf("at %d: error %v", nth, err)
			}
			for key, data := range c.to.objects {
				if !bytes.Equal(data, c.from.objects[key]) {
					t.Errorf("at %d: %s is copied with other bytes", nth, key)
				}
			}
		}
	}
}

// With a key to verify by, what is unsigned or wrongly signed is not spread.
func TestAnUnsignedBackupIsNotCopiedWhereSignaturesCount(t *testing.T) {
	for name, signature := range map[string][]byte{"unsigned": nil, "wrongly signed": make([]byte, 64)} {
		c := newCopying(t)
		if c.from.objects[c.key("manifest.sig")] = signature; signature == nil {
			delete(c.from.objects, c.key("manifest.sig"))
		}
		if _, err := c.catalog(c.from).Copy(t.Context(), c.backup, c.to); !errors.Is(err, fail.ErrVerification) || len(c.to.objects) != 0 {
			t.Errorf("%s: error %v, the target holds %q", name, err, c.to.keys())
		}
		if _, err := c.copy(t, c.to); err != nil {
			t.Errorf("%s, and nobody asks: %v", name, err)
		}
		c.wantSame(t, name)
	}
}
