package restore_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
)

func TestOwnersByNameAndNumber(t *testing.T) {
	me := must1(user.Current())
	group := must1(user.LookupGroupId(me.Gid))
	uid, gid := must1(strconv.Atoi(me.Uid)), must1(strconv.Atoi(me.Gid))
	tests := []struct {
		owner string
		want  restore.Owner
	}{
		{me.Username, restore.Owner{UID: uid, GID: gid}},
		{me.Username + ":" + group.Name, restore.Owner{UID: uid, GID: gid}},
		{me.Username + ":12345", restore.Owner{UID: uid, GID: 12345}},
		{"12345:" + group.Name, restore.Owner{UID: 12345, GID: gid}},
		{"12345:23456", restore.Owner{UID: 12345, GID: 23456}},
		{"12345", restore.Owner{UID: 12345, GID: 12345}},
		{"0:0", restore.Owner{}},
	}
	for _, test := range tests {
		got, err := restore.ParseOwner(test.owner)
		if err != nil || *got != test.want {
			t.Errorf("%s: %+v, error %v, want %+v", test.owner, got, err, test.want)
		}
	}
	for owner, text := range map[string]string{
		"":                              "--owner: ",
		":":                             "--owner: ",
		"nobody-of-that-name":           "nobody-of-that-name",
		"12345:nobody-of-that-name":     `no group "nobody-of-that-name"`,
		me.Username + ":":               `no group ""`,
		"-1":                            "--owner: ", // chown takes it for "leave it as it is"
		"12345:-1":                      `no group "-1"`,
		"4294967295":                    "--owner: ", // -1 once more
		"1.5":                           "--owner: ",
		"12345:23456:34567":             `no group "23456:34567"`,
		"99999999999999999999":          "--owner: ",
		"nobody-of-that-name:" + me.Gid: "nobody-of-that-name",
	} {
		if got, err := restore.ParseOwner(owner); !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %+v, error %v", owner, got, err)
		}
	}
}

// stranger is a user whom only root can give files to.
var stranger = restore.Owner{UID: 65534, GID: 65533}

// etcd's service user can read what was restored: by default it belongs to
// whoever owns the data directory, or the nearest parent that is there. Who is
// not root owns both.
func TestARestoreBelongsToTheOwnerOfTheDataDirectory(t *testing.T) {
	want := stranger
	if os.Geteuid() != 0 {
		want = ownerOf(t.TempDir())
	}
	tests := []struct {
		name, owned, dataDir, walDir string
		owner                        *restore.Owner
	}{
		{name: "the data directory's", owned: "data/", dataDir: "data"},
		{name: "the parent's", owned: "lib/", dataDir: "lib/etcd/data"},
		{name: "with the WAL elsewhere", owned: "data/", dataDir: "data", walDir: "disk/wal"},
		{name: "as told", owned: "other/", dataDir: "lib/data", walDir: "disk/wal", owner: &want},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			makeTree(root, test.owned)
			must(os.Chown(filepath.Join(root, test.owned), want.UID, want.GID))
			o := options(filepath.Join(root, test.dataDir), oneMember)
			o.Owner = test.owner
			if test.walDir != "" {
				o.WALDir = filepath.Join(root, test.walDir)
			}
			mustRestore(t, newSnapshot(t), o)
			restored := names(root)[1:]
			if len(restored) < 7 {
				t.Errorf("restored are %q", restored)
			}
			for _, name := range restored {
				if got := ownerOf(filepath.Join(root, name)); got != want {
					t.Errorf("%s belongs to %+v, want %+v", name, got, want)
				}
			}
		})
	}
}

func ownerOf(path string) restore.Owner {
	st := must1(os.Lstat(path)).Sys().(*syscall.Stat_t)
	return restore.Owner{UID: int(st.Uid), GID: int(st.Gid)}
}
