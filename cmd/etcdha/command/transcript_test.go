package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/membershiptest"
	"github.com/etcdha/etcdha/snapshot"
	"github.com/etcdha/etcdha/storage"
)

var update = flag.Bool("update", false, "write the transcripts anew; read the difference before you keep it")

// Each file in testdata/member is a story: a cluster in memory, what an
// operator types, what happens meanwhile, and what is printed. A line begins with
//
//	#      words about the story
//	|      the cluster, in the words of membershiptest.Parse
//	>      something that happens; see (*teller).happen
//	$      a command line
//	?      what the cluster really is, whatever was printed
//
// and after a command there is what it has printed: stdout indented by four
// spaces, stderr behind two exclamation marks, a question on the terminal and its
// answer behind question marks, and the exit code if it is not 0.
func TestTranscripts(t *testing.T) {
	stories, err := filepath.Glob("testdata/member/*.txt")
	if err != nil || len(stories) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, story := range stories {
		story, err := filepath.Abs(story) // each story has a directory of its own
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(story), ".txt"), func(t *testing.T) {
			written, err := os.ReadFile(story)
			if err != nil {
				t.Fatal(err)
			}
			told := newTeller(t).tell(string(written))
			if *update {
				if err := os.WriteFile(story, []byte(told), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if told != string(written) {
				t.Errorf("the story goes otherwise now; -update writes it anew\n%s", firstDifference(string(written), told))
			}
		})
	}
}

// firstDifference shows where two texts part.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d\n- %s\n+ %s\n\nall of it:\n%s", i+1, a[i], b[i], got)
		}
	}
	return "one ends before the other; all of it:\n" + got
}

// teller tells one story.
type teller struct {
	t          *testing.T
	cluster    *membershiptest.Cluster
	foreign    *membershiptest.Cluster // another one, which answers as well
	answers    []string                // to what is asked on the terminal
	kubernetes *toldRegistry           // what it keeps of kube-apiservers
	backup     error                   // how the next backup ends
	printed    bytes.Buffer
}

// newTeller puts a cluster in memory where a real one would be.
func newTeller(t *testing.T) *teller {
	tell := &teller{t: t}
	swap(t, &connectMembers, func(etcdclient.Config) memberClient { return &world{tell.cluster, tell.foreign, tell.kubernetes} })
	swap(t, &now, func() time.Time { return tell.cluster.Now() })
	swap(t, &sleep, func(ctx context.Context, d time.Duration) error { return tell.cluster.Sleep(ctx, d) })
	swap(t, &lookupHost, lookUp)
	swap(t, &operator, func() string { return "ops@cp-1 (pid 4711)" })
	swap(t, &canAsk, func() bool { return len(tell.answers) > 0 })
	swap(t, &ask, tell.answer)
	swap(t, &takeBackup, func(context.Context, etcdclient.Config, snapshot.SaveOptions) ([]string, error) {
		if tell.backup != nil {
			return nil, tell.backup
		}
		return []string{"20261121T030000Z-r90000-3f9a in file:///var/backups/etcd"}, nil
	})
	t.Chdir(t.TempDir())
	return tell
}

// swap sets a variable until the test ends.
func swap[T any](t *testing.T, variable *T, value T) {
	before := *variable
	*variable = value
	t.Cleanup(func() { *variable = before })
}

// tell plays a story and returns it with what was printed now.
func (t *teller) tell(story string) string {
	var told strings.Builder
	var cluster []string
	lines := strings.Split(strings.TrimRight(story, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		fmt.Fprintln(&told, line)
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "|":
			cluster = append(cluster, rest)
			if i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "|") {
				t.cluster = membershiptest.New(t.t, strings.Join(cluster, "\n"))
				t.kubernetes = &toldRegistry{cluster: t.cluster, marks: make(map[uint64]apiserver.Withdrawal)}
				cluster = nil
			}
			continue
		case ">":
			if err := t.happen(rest); err != nil {
				t.t.Fatalf("line %d: > %s: %v", i+1, rest, err)
			}
			continue
		case "$":
			t.run(rest)
		case "?":
			fmt.Fprintln(t.stdout(), t.cluster)
			if !t.cluster.HasQuorum() {
				fmt.Fprintln(t.stdout(), "QUORUM IS LOST")
			}
			if marked := t.kubernetes.marked(); marked != "" {
				fmt.Fprintln(t.stdout(), "withdrawn:", marked)
			}
		default:
			continue
		}
		for i+1 < len(lines) && (lines[i+1] == "" || strings.HasPrefix(lines[i+1], "  ")) {
			i++ // what was printed the last time
		}
		told.Write(t.printed.Bytes())
		t.printed.Reset()
		if i+1 < len(lines) {
			fmt.Fprintln(&told)
		}
	}
	return told.String()
}

// logTime is the time of a log line, which is the real one.
var logTime = regexp.MustCompile(`time=\S+ `)

// run types a command line.
func (t *teller) run(line string) {
	args, err := splitWords(line)
	if err != nil {
		t.t.Fatal(err)
	}
	t.t.Setenv("ETCDHA_ENDPOINTS", strings.Join(t.cluster.Endpoints(), ","))
	app := newApp("test")
	app.Writer, app.ErrWriter = t.stdout(), t.stderr()
	t.cluster.Recover()
	err = runApp(t.t.Context(), app, args)
	switch {
	case err == nil:
		return
	case errors.Is(err, membershiptest.ErrCrashed):
		fmt.Fprintln(&t.printed, "  = killed")
		return
	}
	fmt.Fprintln(t.stderr(), "etcdha:", err)
	if hint := fail.Hint(err); hint != "" {
		fmt.Fprintln(t.stderr(), "hint:", hint)
	}
	fmt.Fprintf(&t.printed, "  = exit %d\n", exitCodeOf(err))
}

// exitCodeOf is what main makes of an error.
func exitCodeOf(err error) int {
	switch {
	case errors.Is(err, fail.ErrUsage):
		return 2
	case errors.Is(err, fail.ErrUnsafe):
		return 11
	case errors.Is(err, storage.ErrUnavailable):
		return 12
	}
	return 1
}

func (t *teller) stdout() io.Writer { return &marked{to: &t.printed, mark: "    "} }
func (t *teller) stderr() io.Writer { return &marked{to: &t.printed, mark: "  !! "} }

// marked puts a mark before each line. A line is written in one piece.
type marked struct {
	to   *bytes.Buffer
	mark string
	part []byte
}

func (m *marked) Write(p []byte) (int, error) {
	m.part = append(m.part, p...)
	for {
		line, rest, whole := bytes.Cut(m.part, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		text := m.mark + logTime.ReplaceAllString(string(line), "")
		fmt.Fprintln(m.to, strings.TrimRight(text, " "))
		m.part = rest
	}
}

// splitWords takes a command line apart as a shell does, single quotes included.
func splitWords(line string) ([]string, error) {
	var args []string
	var word strings.Builder
	quoted, in := false, false
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, in = !quoted, true
		case r == ' ' && !quoted:
			if in {
				args = append(args, word.String())
			}
			word.Reset()
			in = false
		default:
			word.WriteRune(r)
			in = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is open in %q", line)
	}
	if in {
		args = append(args, word.String())
	}
	return args, nil
}
