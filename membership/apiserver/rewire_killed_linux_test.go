package apiserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleRewire rewires a saved node, and is killed on the way.
const roleRewire = "rewire-killed"

func init() {
	roles[roleRewire] = func(args []string) { rewireKilled(args[0], args[1]) }
}

// rewireKilled goes on with a saved node until the point with the number.
func rewireKilled(dir, number string) {
	last, err := strconv.Atoi(number)
	n := loadNode(aborts{}, dir)
	n.point = func(n *node, _ string) {
		if last--; last < 0 {
			n.save()
			kill()
		}
	}
	if err == nil {
		err = n.site().Rewire(context.Background(), n.file(), five)
	}
	n.save()
	_, _ = fmt.Fprintln(os.Stdout, "came to its end:", err)
}

// aborts is a test in a process that has none: what would fail it ends the process.
type aborts struct{ testing.TB }

func (aborts) Helper()                         {}
func (aborts) Fatal(args ...any)               { panic(fmt.Sprint(args...)) }
func (aborts) Fatalf(text string, args ...any) { panic(fmt.Sprintf(text, args...)) }

// kill ends this process as nothing can prevent.
func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// Killed at any point: the next call ends what was left. Then the old or the new
// file is in place, whole, and an apiserver serves with it.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string][]string{"a good list": nil, "a list that is taken back": five[4:]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func() *node {
				n := newNode(t, three)
				n.Broken = broken
				return n
			}
			for _, point := range points(start()) {
				n := start()
				if end := killAt(n, point); end != "" {
					t.Errorf("at point %d it %s", point, end)
					continue
				}
				n = loadNode(t, n.Dir)
				n.pass(time.Duration(point%3) * 25 * time.Second)
				if point%4 == 0 { // the next one is killed, too
					n.save()
					_ = killAt(n, 5+point%11)
					n = loadNode(t, n.Dir)
				}
				n.endsWell(point)
			}
		})
	}
}

// points are the numbers of those at which to kill: all between which something
// is done, and some of those that come by while it is waited.
func points(n *node) []int {
	seen := make(map[string]int)
	var all []int
	stage, number := "", 0
	n.point = func(_ *node, point string) {
		if strings.HasPrefix(point, "doing") {
			stage = point
		}
		if times := seen[stage+point]; times < 1 || times%50 == 49 {
			all = append(all, number)
		}
		seen[stage+point]++
		number++
	}
	_ = n.site().Rewire(context.Background(), n.file(), five) // a broken list is an error
	return all
}

// killAt lets another process rewire the node until it is killed. It returns how
// it ended otherwise.
func killAt(n *node, point int) (end string) {
	n.save()
	child := exec.Command(os.Args[0], roleRewire, n.Dir, strconv.Itoa(point))
	out, _ := child.CombinedOutput()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		return fmt.Sprintf("ended with %v: %s", child.ProcessState, out)
	}
	return ""
}

// endsWell lets the next call go on.
func (n *node) endsWell(point int) {
	n.t.Helper()
	if err := n.site().Resume(n.t.Context(), n.file()); err != nil {
		n.t.Errorf("point %d: Resume: %v", point, err)
	}
	f := n.file()
	if !slices.Equal(f.Servers, three) && (!slices.Equal(f.Servers, five) || n.Broken != nil) {
		n.t.Errorf("point %d: the list is %q", point, f.Servers)
	}
	n.wantNothingLeft()
	n.wantFile(f.Servers)
	restarts := n.Restarts
	n.pass(2 * time.Minute)
	n.wantServing(f.Servers)
	if n.Restarts != restarts {
		n.t.Errorf("point %d: the apiserver was restarted after the end", point)
	}
	n.Broken = nil
	if err := n.site().Rewire(n.t.Context(), n.file(), five); err != nil {
		n.t.Errorf("point %d: then: %v", point, err)
	}
	n.wantServing(five)
	n.wantFile(five)
	if n.t.Failed() {
		n.t.Fatalf("stages %q, waits %q", n.stages, n.waits)
	}
}

// What a killed process can leave between two of the points: the old file with a
// second name, and that name gone.
func TestKilledWithinAWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, n *node, r record)
		want   []string
	}{
		"the old file has a second name": {func(t *testing.T, n *node, r record) { link(t, n.path(), r.Spare) }, three},
		"the new one is in place": {func(t *testing.T, n *node, r record) {
			link(t, n.path(), r.Spare)
			place(t, n.path(), n.content(five))
		}, five},
		"the new one is in place, without second names": {func(t *testing.T, n *node, _ record) {
			place(t, n.path(), n.content(five))
		}, five},
		"about to put the old one back": {func(t *testing.T, n *node, r record) {
			link(t, n.path(), r.Spare)
			place(t, n.path(), n.content(five))
			r.Stage = stageRestoring
			note(t, n, r)
		}, three},
		"the old one is back": {func(t *testing.T, n *node, r record) {
			r.Stage = stageRestoring
			note(t, n, r)
		}, three},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, three)
			kept, err := copies{dir: n.copies(), file: n.path()}.keep([]byte(n.content(three)), n.Clock)
			if err != nil {
				t.Fatal(err)
			}
			r := record{File: n.path(), Copy: kept, Spare: spareName(n.path()), Stage: stagePrepared, From: three, To: five,
				Old: sum([]byte(n.content(three))), New: sum([]byte(n.content(five))), Processes: identities([]Process{n.Running[0].Process})}
			note(t, n, r)
			c.change(t, n, r)
			if err := n.site().Resume(t.Context(), n.file()); err != nil {
				t.Error(err)
			}
			n.wantFile(c.want)
			n.wantServing(c.want)
			n.wantNothingLeft()
		})
	}
}

// Whoever has changed the file since knows better.
func TestResumeLeavesWhatOthersWrote(t *testing.T) {
	n := newNode(t, three)
	if err := os.Mkdir(n.copies(), 0o700); err != nil {
		t.Fatal(err)
	}
	note(t, n, record{File: n.path(), Copy: "none", Stage: stagePrepared, Old: sum(nil), New: sum([]byte("new"))})
	if err := n.site().Resume(t.Context(), n.file()); err != nil {
		t.Error(err)
	}
	n.wantFile(three)
	n.wantNothingLeft()
	if n.Restarts != 0 {
		t.Error("the apiserver was restarted")
	}
}

func (n *node) content(servers []string) string {
	return fmt.Sprintf(manifestText, strings.Join(servers, ","))
}

func note(t testing.TB, n *node, r record) {
	t.Helper()
	if err := (copies{dir: n.copies(), file: n.path()}).write(r); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Link(from, to); err != nil {
		t.Fatal(err)
	}
}

func place(t *testing.T, path, content string) {
	t.Helper()
	if err := replace(path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}
