package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Hold is a record that keeps a backup from being pruned, or lets it go again.
// Records are written once, so that a release is one of its own beside the hold
// that it ends. No clock decides which of them came last.
type Hold struct {
	Format int       `json:"format"`
	Backup string    `json:"backup"` // its id
	Name   string    `json:"name"`   // below the backup's own prefix
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Etcdha string    `json:"etcdha"`
}

// How the names of holds and of their releases end.
const (
	holdSuffix    = "-hold.json"
	releaseSuffix = "-release.json"
)

// Held tells whether a backup is held.
func (b *Backup) Held() bool { return len(b.activeHolds()) > 0 }

// activeHolds returns the keys, without their suffix, of holds not released.
func (b *Backup) activeHolds() []string {
	var active []string
	for _, key := range b.holds {
		if stem, ok := strings.CutSuffix(key, holdSuffix); ok && !slices.Contains(b.holds, stem+releaseSuffix) {
			active = append(active, stem)
		}
	}
	return active
}

// held tells whether a backup is held, as a prune has to know it: a release that
// cannot be read ends no hold.
func (c *Catalog) held(ctx context.Context, b *Backup) (bool, error) {
	if b.Held() {
		return true, nil
	}
	for _, key := range b.holds {
		if !strings.HasSuffix(key, releaseSuffix) {
			continue
		}
		_, err := c.readRecord(ctx, b, key)
		if errors.Is(err, fail.ErrVerification) || errors.Is(err, ErrNewerFormat) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// Hold keeps a backup from being pruned until it is released.
func (c *Catalog) Hold(ctx context.Context, b *Backup, h Hold, random io.Reader) error {
	suffix, err := randomHex(random, 2)
	if err != nil {
		return err
	}
	h.Name = path.Join(holdsDir, h.Time.UTC().Format(timeFormat)+"-"+suffix+holdSuffix)
	if err := c.putHold(ctx, b, h); err != nil {
		return err
	}
	if _, _, err := c.readManifest(ctx, b.prefix); err != nil {
		return fmt.Errorf("hold backup %s, which a prune may have removed meanwhile: %w", b.ID, err)
	}
	return nil
}

// Release ends every hold of a backup.
func (c *Catalog) Release(ctx context.Context, b *Backup, h Hold) error {
	for _, stem := range b.activeHolds() {
		h.Name = path.Join(holdsDir, path.Base(stem)+releaseSuffix)
		err := c.putHold(ctx, b, h)
		switch {
		case errors.Is(err, storage.ErrExist): // somebody else has just released it
			b.holds = append(b.holds, stem+releaseSuffix)
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *Catalog) putHold(ctx context.Context, b *Backup, h Hold) error {
	h.Format, h.Backup, h.Time = Format, b.ID, h.Time.UTC()
	key := path.Join(b.prefix, h.Name)
	if err := c.putRecord(ctx, key, h); err != nil {
		return fmt.Errorf("hold or release backup %s: %w", b.ID, err)
	}
	b.holds = append(b.holds, key)
	return nil
}

func checkHold(b *Backup, key string, data []byte) error {
	h := new(Hold)
	if err := decodeRecord(data, h); err != nil {
		return fmt.Errorf("hold %s: %w", key, err)
	}
	return b.owns(key, h.Backup, h.Name)
}
