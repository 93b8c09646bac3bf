package restore

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/etcdha/etcdha/internal/fail"
)

// Owner is who a restored data directory belongs to: etcd refuses to start on
// files that its service user cannot read.
type Owner struct{ UID, GID int }

// ParseOwner reads USER, USER:GROUP, or numbers.
func ParseOwner(s string) (*Owner, error) {
	name, group, hasGroup := strings.Cut(s, ":")
	u, err := user.Lookup(name)
	if err != nil {
		if _, numErr := parseID(name); numErr != nil {
			return nil, fail.Usagef("--owner: %v", err)
		}
		u = &user.User{Uid: name, Gid: name}
	}
	gid := u.Gid
	if hasGroup {
		gid = group
		if g, err := user.LookupGroup(group); err == nil {
			gid = g.Gid
		}
	}
	o := new(Owner)
	if o.UID, err = parseID(u.Uid); err == nil {
		o.GID, err = parseID(gid)
	}
	if err != nil {
		return nil, fail.Usagef("--owner: no group %q", group)
	}
	return o, nil
}

// parseID reads a number that chown does not take for "leave it as it is".
func parseID(s string) (int, error) {
	id, err := strconv.ParseUint(s, 10, 31)
	return int(id), err
}

// ownerOf is the owner of dir, or of the nearest parent that exists. Who is
// not root makes new directories as himself, whoever the parent belongs to.
func ownerOf(dir string) *Owner {
	self := &Owner{UID: os.Getuid(), GID: os.Getgid()}
	if _, err := os.Stat(dir); err != nil && self.UID != 0 {
		return self
	}
	for {
		if fi, err := os.Stat(dir); err == nil {
			st := fi.Sys().(*syscall.Stat_t)
			return &Owner{UID: int(st.Uid), GID: int(st.Gid)}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return &Owner{UID: os.Getuid(), GID: os.Getgid()}
		}
		dir = parent
	}
}

func (o *Owner) take(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st := fi.Sys().(*syscall.Stat_t)
	if int(st.Uid) == o.UID && int(st.Gid) == o.GID {
		return nil
	}
	if err := os.Lchown(path, o.UID, o.GID); err != nil {
		return fail.WithHint(fmt.Errorf("give %s to uid %d: %w", path, o.UID, err), "only root can; run as root, or with --owner of yourself")
	}
	return nil
}
