package snapshot

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// Listing is a committed backup as the listing of its store tells of it, unread. It
// has not changed as long as its records are the same: nothing is ever overwritten.
type Listing struct {
	ID, Lineage string
	Records     int    // reports, holds and releases
	Newest      string // key of the last of them in their order
	Signed      bool   // a signature is beside the manifest; by whom is not known

	backup Backup
}

// Index lists the committed backups without reading any of them, in the order of
// their keys. It costs one listing, however many there are.
func (c *Catalog) Index(ctx context.Context) ([]Listing, error) {
	all, err := c.entries(ctx, c.prefix())
	if err != nil {
		return nil, err
	}
	var listed []Listing
	for _, e := range all {
		if !e.committed() {
			continue
		}
		l := Listing{ID: e.id(), Lineage: e.lineage(), backup: Backup{prefix: e.prefix, reports: e.below(reportsDir), holds: e.below(holdsDir)}}
		l.Signed = slices.ContainsFunc(e.objects, func(o storage.Object) bool { return path.Base(o.Key) == signatureName })
		l.Records = len(l.backup.reports) + len(l.backup.holds)
		for _, key := range slices.Concat(l.backup.reports, l.backup.holds) {
			l.Newest = max(l.Newest, key)
		}
		listed = append(listed, l)
	}
	return listed, nil
}

// Read reads the manifest of a backup of an index.
func (c *Catalog) Read(ctx context.Context, l Listing) (*Backup, error) {
	b := l.backup
	var err error
	b.Manifest, _, err = c.readManifest(ctx, b.prefix)
	return &b, err
}

// Gone tells whether a backup has been removed since it was listed.
func (c *Catalog) Gone(ctx context.Context, b *Backup) (bool, error) {
	all, err := c.entries(ctx, b.prefix+"/")
	return err == nil && (len(all) == 0 || !all[0].committed()), err
}

// ReportedAt is when the newest report of the kinds was written, sound or not, as its
// name says; zero if there is none.
func (b *Backup) ReportedAt(kinds ...string) time.Time {
	var newest time.Time
	for _, key := range b.reports {
		if at, ok := reportTime(key); ok && ofKind(key, kinds) && at.After(newest) {
			newest = at
		}
	}
	return newest
}

// Began is when the backup was begun, to the second, as its id says; ok is false for an
// id that does not.
func (l Listing) Began() (t time.Time, ok bool) { return idTime(l.ID) }

func (l Listing) began() time.Time {
	t, _ := l.Began()
	return t
}

// ReportedAt is [Backup.ReportedAt].
func (l Listing) ReportedAt(kinds ...string) time.Time { return l.backup.ReportedAt(kinds...) }
