package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/fail"
)

// record is what somebody who was killed has left to go on by. It lies among the
// copies from before the file is written until the apiserver is ready.
type record struct {
	File      string     `json:"file"`
	Copy      string     `json:"copy"`  // name of the copy of the old content
	Spare     string     `json:"spare"` // path of the old file, if there were hard links
	Stage     stage      `json:"stage"`
	Since     time.Time  `json:"since"`
	From      []string   `json:"from"` // the old list
	To        []string   `json:"to"`
	Old       string     `json:"old"` // SHA-256 of the content
	New       string     `json:"new"`
	Processes []identity `json:"processes"` // from before the change
}

type stage string

const (
	// stagePrepared: the new file is about to be written, or was.
	stagePrepared stage = "prepared"
	// stageRestoring: the old file is about to be put back, or was.
	stageRestoring stage = "restoring"
)

// journal is where the record of the file is.
func (c copies) journal() string { return filepath.Join(c.dir, c.prefix()+"change.json") }

// owner is the file by which those who act on the file on this host are kept apart.
func (c copies) owner() string { return filepath.Join(c.dir, c.prefix()+"owner") }

// write makes a record durable, in place of an earlier one.
func (c copies) write(r record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	f, err := atomicfile.Create(c.journal())
	if err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	defer f.Abort()
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	if err := f.Commit(); err != nil {
		return fmt.Errorf("record the change: %w", err)
	}
	return nil
}

// record reads what was left; ok is false if there is nothing.
func (c copies) record() (r record, ok bool, err error) {
	data, err := os.ReadFile(c.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && r.File != c.file {
		err = fmt.Errorf("it is of %q", r.File)
	}
	if err != nil {
		return record{}, false, fail.WithHint(fmt.Errorf("read the record of an interrupted change, %s: %w", c.journal(), err),
			"see that the file is as it should be and that kube-apiserver is ready, and remove the record")
	}
	return r, true, nil
}

// forget removes the record, durably: a later change must not be taken for this one.
func (c copies) forget() error {
	err := os.Remove(c.journal())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the record of the change: %w", err)
	}
	return atomicfile.SyncDir(c.dir)
}
