package restore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/atomicfile"
	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
)

const dirMode fs.FileMode = 0o700

// stagePrefix begins the name of the directory in which a member is built.
const stagePrefix = ".etcdha-restore-"

// target is a data directory in which nothing has its name yet.
type target struct {
	dataDir string
	walDir  string // "" is within member
	owner   *Owner
	noSync  bool

	stage    string      // directory inside dataDir
	walStage string      // beside walDir; "" without
	locks    []*os.File  // on both, for as long as they are worked in
	created  []string    // directories made on the way, outermost first
	emptyWAL fs.FileInfo // of an empty directory at walDir; nil if there is none
}

// openTarget refuses what is not empty and makes the staging directory.
func openTarget(o Options, size int64) (*target, error) {
	t := &target{dataDir: o.DataDir, walDir: o.WALDir, owner: o.Owner, noSync: o.NoSync}
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.owner == nil {
		t.owner = ownerOf(t.dataDir)
	}
	if uid := os.Getuid(); uid != 0 && t.owner.UID != uid {
		return nil, fail.WithHint(fmt.Errorf("data directory %s belongs to uid %d, and only root can give files away", t.dataDir, t.owner.UID),
			"run as root, or with --owner of yourself")
	}
	if err := t.makeDirs(); err != nil {
		t.abort()
		return nil, fmt.Errorf("prepare data directory: %w", err)
	}
	if err := diskspace.Check(t.dataDir, roomFor(size), "name a --data-dir on a disk with room"); err != nil {
		t.abort()
		return nil, err
	}
	return t, nil
}

// roomFor is what a member takes: its db, which grows when it is opened, and
// the WAL's first segment with the one that etcd makes ahead.
func roomFor(size int64) int64 { return size + size/16 + 2*wal.SegmentSizeBytes }

func (t *target) check() error {
	entries, err := os.ReadDir(t.dataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	for _, e := range entries {
		switch {
		case e.Name() == "lost+found", strings.HasPrefix(e.Name(), stagePrefix):
		case strings.HasPrefix(e.Name(), "member."): // moved aside; see holdsMember
		case e.Name() == "member":
			return t.holdsMember()
		default:
			return fail.WithHint(fail.Unsafef("data directory %s is not empty: it holds %s", t.dataDir, e.Name()),
				"restore into a new or empty directory")
		}
	}
	if t.walDir == "" {
		return nil
	}
	if entries, err := os.ReadDir(t.walDir); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail.WithHint(fail.Unsafef("WAL directory %s is not empty", t.walDir), "name a new --wal-dir")
	}
	t.emptyWAL, _ = os.Stat(t.walDir)
	if isMountPoint(t.walDir) {
		return fail.WithHint(fail.Usagef("WAL directory %s is a mount point, which cannot be given its content at once", t.walDir),
			"name a directory inside it: --wal-dir %s/wal", t.walDir)
	}
	return nil
}

// isMountPoint tells whether dir is there and on another device than its parent.
func isMountPoint(dir string) bool {
	var here, above unix.Stat_t
	return unix.Stat(dir, &here) == nil && unix.Stat(filepath.Join(dir, ".."), &above) == nil && here.Dev != above.Dev
}

func (t *target) holdsMember() error {
	if locked(filepath.Join(t.dataDir, "member", "snap", "db")) {
		return fail.WithHint(fail.Unsafef("data directory %s is in use by a running etcd", t.dataDir),
			"stop that etcd, then move its member directory aside: mv %[1]s/member %[1]s/member.old", t.dataDir)
	}
	return fail.WithHint(fail.Unsafef("data directory %s holds a member already", t.dataDir),
		"nothing is overwritten; to restore here, move it aside: mv %[1]s/member %[1]s/member.old", t.dataDir)
}

// locked tells whether a process has the db open, as bbolt locks it.
func locked(db string) bool {
	f, err := os.Open(db)
	if err != nil {
		return false
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK)
}

func (t *target) makeDirs() error {
	if err := t.mkdirAll(t.dataDir); err != nil {
		return err
	}
	t.stage = stageIn(t.dataDir)
	if err := t.makeStage(t.stage); err != nil {
		return err
	}
	if err := os.MkdirAll(t.snapPath(), dirMode); err != nil {
		return err
	}
	if t.walDir == "" {
		return nil
	}
	if err := t.mkdirAll(filepath.Dir(t.walDir)); err != nil {
		return err
	}
	t.walStage = stageIn(filepath.Dir(t.walDir))
	return t.makeStage(t.walStage)
}

func stageIn(dir string) string { return filepath.Join(dir, stagePrefix+rand.Text()[:8]) }

// makeStage makes and locks a directory to build in.
func (t *target) makeStage(stage string) error {
	sweep(filepath.Dir(stage))
	if err := os.Mkdir(stage, dirMode); err != nil {
		return err
	}
	lock, err := lockDir(stage)
	if err == nil {
		t.locks = append(t.locks, lock)
	}
	return err
}

// mkdirAll remembers what it makes, so that a failed restore leaves nothing.
func (t *target) mkdirAll(dir string) error {
	if fi, err := os.Stat(dir); err == nil {
		if !fi.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		return nil
	}
	if err := t.mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil {
		return err
	}
	t.created = append(t.created, dir)
	return nil
}

// sweep removes what killed restores have left in parent, and nothing that a
// living one works in.
func sweep(parent string) {
	stages, _ := filepath.Glob(filepath.Join(parent, stagePrefix+"*"))
	for _, dir := range stages {
		if lock, err := lockDir(dir); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

// lockDir takes the exclusive lock of a directory without waiting. The lock
// ends when the file is closed, at the latest with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (t *target) snapPath() string { return filepath.Join(t.stage, "member", "snap") }

func (t *target) dbPath() string { return filepath.Join(t.snapPath(), "db") }

func (t *target) walPath() string {
	if t.walStage != "" {
		return filepath.Join(t.walStage, "wal")
	}
	return filepath.Join(t.stage, "member", "wal")
}

// commit makes everything durable and gives it its name: first the WAL, if it
// lies elsewhere, then the member.
func (t *target) commit() error {
	for _, root := range []string{filepath.Join(t.stage, "member"), t.walStage} {
		if err := t.finish(root); err != nil {
			return fmt.Errorf("finish data directory: %w", err)
		}
	}
	if t.walDir != "" {
		// Unlike os.Rename, this replaces an empty directory, and no other.
		if err := unix.Rename(t.walPath(), t.walDir); err != nil {
			return fmt.Errorf("place WAL in %s: %w", t.walDir, err)
		}
	}
	if err := os.Rename(filepath.Join(t.stage, "member"), filepath.Join(t.dataDir, "member")); err != nil {
		t.takeBackWAL()
		return fmt.Errorf("place member: %w", err)
	}
	created := t.created
	t.created = nil
	t.abort()
	if t.walDir != "" {
		created = append(created, t.walDir)
	}
	for _, dir := range append(created, filepath.Join(t.dataDir, "member")) {
		if err := t.sync(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// takeBackWAL undoes the placing of the WAL.
func (t *target) takeBackWAL() {
	if t.walDir == "" {
		return
	}
	_ = os.Rename(t.walDir, t.walPath()) // removed with the stage
	if t.emptyWAL != nil && os.Mkdir(t.walDir, dirMode) == nil {
		st := t.emptyWAL.Sys().(*syscall.Stat_t)
		_ = os.Chown(t.walDir, int(st.Uid), int(st.Gid))
		_ = os.Chmod(t.walDir, t.emptyWAL.Mode())
	}
}

// finish hands every file below root to the owner, and to nobody else, and
// syncs it.
func (t *target) finish(root string) error {
	if root == "" {
		return nil
	}
	for _, dir := range t.created {
		if err := t.owner.take(dir); err != nil {
			return err
		}
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := t.owner.take(path); err != nil {
			return err
		}
		// etcd's own code leaves some modes to the umask.
		mode := atomicfile.Mode
		if d.IsDir() {
			mode = dirMode
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		return t.sync(path)
	})
}

// sync makes a file, or the names in a directory, durable.
func (t *target) sync(path string) error {
	if t.noSync {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// abort removes everything that is not committed.
func (t *target) abort() {
	for _, dir := range []string{t.stage, t.walStage} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	for i := len(t.created) - 1; i >= 0; i-- {
		_ = os.Remove(t.created[i]) // fails if something else has come in
	}
	t.created = nil
	for _, lock := range t.locks {
		_ = lock.Close()
	}
}
