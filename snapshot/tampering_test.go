package snapshot_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

// tampering is one damage to a store, and what has to be said about it.
type tampering struct {
	name    string
	objects map[string][]byte // new contents by key; nil: removed
	backup  int               // whose damage has to be found
	records bool              // only reports or holds: the snapshot itself is whole
}

// Whatever is changed in a store is noticed, nothing panics, and nothing but
// the right content is ever fetched without an error.
func TestTamperingIsNoticed(t *testing.T) {
	for name, sealed := range map[string]bool{"signed and encrypted": true, "in the clear": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t, sealed)
			good := inMemory(t, v.store)
			v.wantNotNoticed(t, good)
			all := v.tamperings(good)
			for _, d := range all {
				store := good.clone()
				for key, data := range d.objects {
					if store.objects[key] = data; data == nil {
						delete(store.objects, key)
					}
				}
				v.wantNoticed(t, store, d)
			}
			t.Logf("%d ways to tamper with %d objects", len(all), len(good.objects))
			if len(all) < 3000 {
				t.Error("too few to mean something")
			}
		})
	}
}

// The same on the files of a directory, for a few of each kind.
func TestTamperingWithFilesIsNoticed(t *testing.T) {
	v := newVault(t, true)
	dir := strings.TrimPrefix(v.store.String(), "file://")
	good := inMemory(t, v.store)
	all := v.tamperings(good)
	for i := 0; i < len(all); i += len(all) / 60 {
		d := all[i]
		for key, data := range d.objects {
			file := filepath.Join(dir, key)
			if data == nil {
				must(os.Remove(file))
			} else {
				must(os.WriteFile(file, data, 0o600))
			}
		}
		v.wantNoticed(t, v.store, d)
		for key := range d.objects {
			must(os.WriteFile(filepath.Join(dir, key), good.objects[key], 0o600))
		}
	}
	v.wantNotNoticed(t, v.store)
}

// spread is every position of something small, and some of something large.
func spread(size, most int) []int {
	step := max(1, size/most)
	var at []int
	for i := 0; i < size; i += step {
		at = append(at, i)
	}
	if last := size - 1; at[len(at)-1] != last {
		at = append(at, last)
	}
	return at
}

func (v *vault) tamperings(good *memory) []tampering {
	var all []tampering
	for _, name := range v.names() {
		key := keyOf(v.backups[0].Manifest, name)
		data := good.objects[key]
		add := func(what string, data []byte) {
			all = append(all, tampering{fmt.Sprintf("%s %s", name, what), map[string][]byte{key: data}, 0, isRecord(name)})
		}
		most := 3000
		if name == v.backups[0].Stored.Name {
			most = 400
		}
		for _, at := range spread(len(data), most) {
			add(fmt.Sprintf("with byte %d changed", at), flipped(data, at))
			add(fmt.Sprintf("cut to %d bytes", at), data[:at:at])
		}
		add("with a byte more", append(bytes.Clone(data), '\n'))
		add("with a byte before", append([]byte{'\n'}, data...))
		add("twice", append(bytes.Clone(data), data...))
		if !isRecord(name) { // nothing tells how many reports there were
			add("removed", nil)
		}
	}
	return slices.Concat(all, v.swaps(good))
}

// swaps exchange two objects: of one name, and within one backup.
func (v *vault) swaps(good *memory) []tampering {
	var all []tampering
	swap := func(a, b string, backup int, records bool) {
		all = append(all, tampering{fmt.Sprintf("%s for %s", a, b),
			map[string][]byte{a: good.objects[b], b: good.objects[a]}, backup, records})
	}
	first, second := v.backups[0].Manifest, v.backups[1].Manifest
	names := v.names()
	for i, name := range names {
		for backup := range v.backups {
			swap(keyOf(first, name), keyOf(second, name), backup, isRecord(name))
		}
		for _, other := range names[:i] {
			swap(keyOf(first, name), keyOf(first, other), 0, isRecord(name) && isRecord(other))
		}
	}
	return all
}

func (v *vault) wantNotNoticed(t *testing.T, store storage.Store) {
	t.Helper()
	for _, b := range v.backups {
		if _, said := v.said(t, v.catalog(store), b.ID); said != nil {
			t.Fatalf("of a store that nobody has tampered with: %v", said)
		}
	}
}

func (v *vault) wantNoticed(t *testing.T, store storage.Store, d tampering) {
	t.Helper()
	c := v.catalog(store)
	if d.records {
		c.Identities = nil // it takes none, and opening takes time
	}
	checks, said := v.said(t, c, v.backups[d.backup].ID)
	switch {
	case said == nil:
		t.Errorf("%s: nothing is said", d.name)
	case d.records && (len(checks) == 0 || checks[0].Name != snapshot.RungReports || checks[0].Verdict != snapshot.Mismatch):
		t.Errorf("%s: checks %+v", d.name, checks)
	}
}

// said is the first thing that listing, resolving and verifying say against a
// backup. It fails the test if other content is fetched than was saved.
func (v *vault) said(t *testing.T, c *snapshot.Catalog, id string) (snapshot.Checks, error) {
	t.Helper()
	b, err := c.Resolve(t.Context(), id, nil) // lists, and tells the problem with id
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	if err := c.Fetch(t.Context(), b, &plain); err == nil && !bytes.Equal(plain.Bytes(), v.all[id]) {
		t.Errorf("%s: %d other bytes are fetched", id, plain.Len())
	}
	verification, spool, err := c.VerifyBackup(t.Context(), b, "", newClock().Now)
	if err != nil {
		return nil, err
	}
	if spool != nil {
		defer spool.Close()
		if got := must1(io.ReadAll(io.NewSectionReader(spool, 0, spool.Size()))); !bytes.Equal(got, v.all[id]) {
			t.Errorf("%s: %d other bytes are in the spool", id, len(got))
		}
	}
	return verification.Checks, verification.Checks.Err()
}
