package restore_test

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/restore"
)

func TestAClusterThatCannotBe(t *testing.T) {
	change := func(f func(*restore.Options)) func(*restore.Options) { return f }
	tests := []struct {
		name       string
		change     func(*restore.Options)
		text, hint string
	}{
		{"no name", change(func(o *restore.Options) { o.Name = "" }), "--name", ""},
		{"a name that is not among the members", change(func(o *restore.Options) { o.Name = "m4" }),
			`couldn't find local name "m4"`, "must be an entry of --initial-cluster"},
		{"no members", change(func(o *restore.Options) { o.InitialCluster = "" }), `couldn't find local name "m1"`, "--initial-cluster"},
		{"a member without a URL", change(func(o *restore.Options) { o.InitialCluster = "m1" }), "--initial-cluster: ", ""},
		{"a member with an empty URL", change(func(o *restore.Options) { o.InitialCluster = "m1=" }), "--initial-cluster: ", ""},
		{"a URL without a port", change(func(o *restore.Options) { o.InitialCluster = "m1=https://10.0.0.1" }), `"host:port"`, ""},
		{"a URL with a path", change(func(o *restore.Options) { o.InitialCluster = "m1=https://10.0.0.1:2380/x" }), "must not contain a path", ""},
		{"a URL without a scheme", change(func(o *restore.Options) { o.InitialCluster = "m1=10.0.0.1:2380" }), "--initial-cluster: ", ""},
		{"another scheme", change(func(o *restore.Options) { o.InitialCluster = "m1=ftp://10.0.0.1:2380" }), "URL scheme must be", ""},
		{"a URL of two members", change(func(o *restore.Options) { o.InitialCluster = oneMember + ",m2=https://10.0.0.1:2380" }), "duplicate", ""},
		{"a member that advertises another URL", change(func(o *restore.Options) { o.PeerURLs = []string{"https://10.0.0.9:2380"} }),
			"--initial-advertise-peer-urls", "must be an entry of --initial-cluster"},
		{"a member that advertises a URL too many", change(func(o *restore.Options) { o.PeerURLs = append(o.PeerURLs, "https://10.0.0.9:2380") }),
			"--initial-advertise-peer-urls", "must be an entry of --initial-cluster"},
		{"a member that advertises nothing", change(func(o *restore.Options) { o.PeerURLs = nil }), "--initial-advertise-peer-urls: no valid URLs", ""},
		{"a member that advertises no URL", change(func(o *restore.Options) { o.PeerURLs = []string{"10.0.0.1"} }), "--initial-advertise-peer-urls: ", ""},
		{"a bump that is not marked", change(func(o *restore.Options) { o.BumpRevision = 1000 }),
			"--bump-revision and --mark-compacted go together", "--kubernetes sets both"},
		{"a bump beyond all revisions", change(func(o *restore.Options) { o.BumpRevision, o.MarkCompacted = math.MaxInt64-6, true }),
			"there is no such revision", "1000000000 is what Kubernetes needs"},
		{"a mark without a bump", change(func(o *restore.Options) { o.MarkCompacted = true }),
			"--bump-revision and --mark-compacted go together", "--kubernetes sets both"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			o := options(filepath.Join(root, "data"), oneMember)
			test.change(&o)
			_, err := restore.Restore(t.Context(), input(newSnapshot(t)), o)
			if !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), test.text) || !strings.Contains(fail.Hint(err), test.hint) {
				t.Errorf("error %v, hint %q", err, fail.Hint(err))
			}
			if left := names(root); len(left) != 1 {
				t.Errorf("left are %q", left)
			}
		})
	}
}

// The new cluster is told from the old one by its token: members with the same
// one meet, others do not.
func TestTheTokenMakesTheCluster(t *testing.T) {
	snap := newSnapshot(t)
	at := func(token, name, url string) *restore.Result {
		o := options(filepath.Join(t.TempDir(), "data"), threeMembers)
		o.Token, o.Name, o.PeerURLs = token, name, []string{url}
		return mustRestore(t, snap, o)
	}
	first, second := at("a", "m1", "https://10.0.0.1:2380"), at("a", "m2", "https://10.0.0.2:2380")
	if first.ClusterID != second.ClusterID || first.MemberID == second.MemberID {
		t.Errorf("%+v and %+v", first, second)
	}
	if other := at("b", "m1", "https://10.0.0.1:2380"); other.ClusterID == first.ClusterID || other.MemberID == first.MemberID {
		t.Errorf("%+v and, with another token, %+v", first, other)
	}
}

func TestTokens(t *testing.T) {
	token := func(digest, id string) string {
		return must1(restore.NewToken(digest, id, strings.NewReader("")))
	}
	same := token("d1", "friday")
	if again := token("d1", "friday"); again != same || !strings.HasPrefix(same, "etcdha-") || len(same) != len("etcdha-")+16 {
		t.Errorf("one backup and restore id: %s and %s", same, again)
	}
	for name, other := range map[string]string{
		"another backup": token("d2", "friday"), "another restore id": token("d1", "monday"),
		"the same letters, parted otherwise": token("d1f", "riday"),
	} {
		if other == same {
			t.Errorf("%s: the same token", name)
		}
	}
	random := bytes.NewReader([]byte("0123456789abcdef"))
	first, second := must1(restore.NewToken("d1", "", random)), must1(restore.NewToken("d1", "", random))
	if first != "etcdha-3031323334353637" || second != "etcdha-3839616263646566" {
		t.Errorf("without a restore id: %s and %s", first, second)
	}
	if _, err := restore.NewToken("d1", "", random); err == nil {
		t.Error("a token without randomness")
	}
}

// A file and the backup that it was saved with get the same token.
func TestTheDigestOfAFileIsThatOfItsDB(t *testing.T) {
	snap := newSnapshot(t)
	digest := func(b []byte) string { return must1(restore.Digest(bytes.NewReader(b), int64(len(b)))) }
	want := must1(restore.Digest(bytes.NewReader(unsealed(snap)), int64(len(snap)-32)))
	if got := digest(snap); got != want || len(got) != 64 {
		t.Errorf("with its trailer %s, without %s", got, want)
	}
	if got := digest(flipped(unsealed(snap), 100)); got == want {
		t.Error("another db has the same digest")
	}
	if _, err := restore.Digest(bytes.NewReader(snap), int64(len(snap)+512)); err == nil {
		t.Error("a file that cannot be read has a digest")
	}
}

func TestTheFlagsToStartWith(t *testing.T) {
	o := options("/var/lib/etcd", "m2=https://10.0.0.2:2380,m1=https://10.0.0.1:2380,m1=https://192.168.0.1:2380")
	o.WALDir = "/disk/wal"
	got, err := restore.StartFlags(o)
	member := func(name, urls string) []string {
		return []string{"--name=" + name, "--data-dir=/var/lib/etcd", "--initial-cluster=" + o.InitialCluster,
			"--initial-cluster-token=fresh", "--initial-cluster-state=new", "--initial-advertise-peer-urls=" + urls,
			"--listen-peer-urls=" + urls, "--wal-dir=/disk/wal"}
	}
	want := [][]string{member("m1", "https://10.0.0.1:2380,https://192.168.0.1:2380"), member("m2", "https://10.0.0.2:2380")}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q, error %v", got, want, err)
	}
}

// etcd binds to addresses, not to names; what it advertises stays a name.
func TestANameIsNoAddressToListenOn(t *testing.T) {
	o := options("/data", "m1=https://etcd-1.example:2380,m2=https://localhost:2381,m3=https://[fd00::3]:2380")
	flags, err := restore.StartFlags(o)
	if err != nil || len(flags) != 3 {
		t.Fatalf("%q, error %v", flags, err)
	}
	for i, want := range []string{"https://0.0.0.0:2380", "https://localhost:2381", "https://[fd00::3]:2380"} {
		if got := flags[i][6]; got != "--listen-peer-urls="+want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := flags[0][5]; got != "--initial-advertise-peer-urls=https://etcd-1.example:2380" {
		t.Errorf("%s", got)
	}
}

// On one host each member has a directory of its own name, unless one is given.
func TestTheDirectoryOfAMemberHasItsName(t *testing.T) {
	o := options("", threeMembers)
	flags, err := restore.StartFlags(o)
	if err != nil || len(flags) != 3 {
		t.Fatalf("%q, error %v", flags, err)
	}
	here := must1(os.Getwd())
	for i, name := range []string{"m1.etcd", "m2.etcd", "m3.etcd"} { // absolute, as a unit file needs it
		want := "--data-dir=" + filepath.Join(here, name)
		if flags[i][1] != want || strings.Contains(strings.Join(flags[i], " "), "--wal-dir") {
			t.Errorf("%q, want %s", flags[i], want)
		}
	}
	o.DataDir = "m1.etcd" // the same, spelled out
	if spelled, err := restore.StartFlags(o); err != nil || !reflect.DeepEqual(spelled, flags) {
		t.Errorf("%q, want %q, error %v", spelled, flags, err)
	}
	o.DataDir = ""
	t.Chdir(t.TempDir())
	mustRestore(t, newSnapshot(t), o)
	if got := names("."); len(got) < 3 || got[1] != "m1.etcd" {
		t.Errorf("restored into %q", got)
	}
}
