package apiserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// roleFileLimit rewires a saved node with no room for the new file.
const roleFileLimit = "rewire-no-space"

func init() {
	roles[roleFileLimit] = func(args []string) { rewireNoSpace(args[0], args[1]) }
}

// rewireNoSpace rewires a saved node where no file can have more bytes than the
// limit, as on a disk that is full by then.
func rewireNoSpace(dir, limit string) {
	n := loadNode(aborts{}, dir)
	size, err := strconv.ParseUint(limit, 10, 64)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: size})
	}
	if err == nil {
		err = n.site().Rewire(context.Background(), n.file(), five)
	}
	_, _ = fmt.Fprintln(os.Stdout, err)
}

// A disk that is full, for the copy, for the record or for the file itself, leaves
// the old file and no restart.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	padding := strings.Repeat("# what operators note in their manifests\n", 100)
	for name, c := range map[string]struct {
		limit func(size int) int
		want  string
	}{
		"for the copy":   {func(int) int { return 100 }, "keep a copy: "},
		"for the file":   {func(size int) int { return size + 10 }, "write "},
		"for nothing":    {func(int) int { return 0 }, "lock /"},
		"there is space": {func(size int) int { return 2 * size }, "<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, three)
			before := padding + n.content(three)
			place(t, n.path(), before)
			n.save()
			child := exec.Command(os.Args[0], roleFileLimit, n.Dir, strconv.Itoa(c.limit(len(before))))
			out, err := child.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			said := strings.TrimSpace(string(out))
			if !strings.HasPrefix(said, c.want) || c.want != "<nil>" && !strings.HasSuffix(said, "file too large") {
				t.Errorf("it says %q", said)
			}
			servers := three
			if c.want == "<nil>" {
				servers = five
			}
			now, err := os.ReadFile(n.path())
			if want := padding + n.content(servers); string(now) != want || err != nil {
				t.Errorf("%v\n%s", err, now)
			}
			n.wantNothingLeft()
		})
	}
}

// With the old file at hand, putting it back needs no room.
func TestNoSpaceToPutTheOldFileBack(t *testing.T) {
	n := newNode(t, three)
	n.Broken = five[4:]
	n.point = func(n *node, point string) {
		if point == "doing put the old file back" {
			// Neither the copy nor a temporary file can be had any more.
			if err := os.RemoveAll(n.copies()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := n.site().Rewire(t.Context(), n.file(), five); err == nil || !strings.Contains(err.Error(), "the old file is back in place") {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantServing(three)
}
