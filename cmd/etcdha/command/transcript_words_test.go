package command

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What transcripts print of each reason for a refusal, and of each finding.
// People read words, and no codes.
var told = map[string]string{
	// Reasons, quorum.Reason.
	"NotALearner":   untold("member promote of a voter has nothing to do, and is not refused"),
	"NotAChange":    untold("no command asks for it"),
	"NoSuchMember":  untold("a name that nobody has is a usage error before anything is judged"),
	"AlreadyLeader": untold("member move-leader to the leader has nothing to do"),
	"IsLeader":      untold("a plan moves the leader before it removes it"),
	"NoLeader":      untold("where no leader is seen nobody is known to take part, which is told first"),
	"NotAVoter":     "it is a learner, which cannot lead",
	"NoQuorum":      "is known to take part, quorum is",
	"PendingMember": "is still a learner",
	"CorruptLeader": "has corrupt data and would fill the new member with it",
	"VoterDown":     "add a learner: the voter m2 does not answer",
	"NotStarted":    "its etcd has never started",
	"NotAnswering":  "it does not answer",
	"NotCaughtUp":   "it has not caught up with the leader",
	"CorruptMember": "its data is corrupt",
	"LastVoter":     "it is the only voter",
	"LosesQuorum":   "would be left with 1 healthy, quorum is 2",

	// Codes of findings.
	"alarm-":                 "holds other data than the rest",
	"bug-promotion":          "which can forget a promotion",
	"bug-update":             "which makes a voter of a learner",
	"bug-zombies":            "in which members removed long ago can come back",
	"client-url-loopback":    "which leads every host to itself",
	"client-url-unresolved":  "whose host has no address here",
	"client-url-unspecified": "which is no address",
	"clock-skew":             "the clock of m2 is ahead",
	"db-fragmented":          "of which 100 MiB are in use",
	"db-near-quota":          "of a quota of 2.0 GiB",
	"even-voters":            "note  4 voters can lose 1",
	"ghost":                  "is no member any more",
	"hash-differs":           "members hold different data at revision",
	"hash-missing":           "was not compared",
	"hash-not-comparable":    untold("the cluster in memory compacts all its members at once"),
	"leader-unreachable":     "leads the others and does not answer here",
	"learner-ready":          "has caught up and does not vote yet",
	"lists-differ":           "has another member list",
	"member-behind":          "m3 is behind by 4711 entries",
	"member-cut-off":         "answers and does not reach the leader",
	"member-down":            "m2 does not answer: https://",
	"member-error":           untold("the cluster in memory complains of nothing but that it has no leader"),
	"never-started":          "its etcd has never run",
	"other-cluster":          "is of another cluster",
	"quorum-at-limit":        "the next failure costs quorum",
	"quorum-lost":            "too few reach each other",
	"quorum-not-seen":        "there is quorum, but from here",
	"two-clusters":           untold("the cluster in memory is one"),
	"version-skew":           "more than one minor version apart",
	"wrong-member":           "cannot be asked: at its client URL",
	"zone-quorum":            "so does quorum",
}

// untold is why no transcript prints something.
func untold(why string) string { return "-" + why }

// No reason and no finding comes to be without a story of how it reads.
func TestEveryWordIsTold(t *testing.T) {
	var stories strings.Builder
	files, err := filepath.Glob("testdata/member/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stories.Write(data)
	}
	known := append(reasons(t, "../../../membership/quorum/refusal.go"), codes(t, "../../../membership")...)
	if len(known) < len(told) {
		t.Errorf("%d reasons and codes are known, and %d told", len(known), len(told))
	}
	for _, name := range known {
		words, listed := told[name]
		switch {
		case !listed:
			t.Errorf("%s is in no story: tell it, or say why not", name)
		case strings.HasPrefix(words, "-"):
		case !strings.Contains(stories.String(), words):
			t.Errorf("%s: no story has the words %q", name, words)
		}
	}
}

// reasons are the constants of type Reason in a file.
func reasons(t *testing.T, file string) []string {
	var names []string
	ast.Inspect(parse(t, file), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
				names = append(names, spec.Names[0].Name)
			}
		}
		return true
	})
	return names
}

// codes are the literals that are codes of findings: what stands at the key Code
// or code, and the first argument of add, which makes findings of URLs.
func codes(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(parse(t, file), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "code") {
					codes = append(codes, literals(t, n.Value)...)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "add" && len(n.Args) > 1 {
					codes = append(codes, literals(t, n.Args[0])...)
				}
			}
			return true
		})
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func literals(t *testing.T, e ast.Expr) []string {
	var found []string
	ast.Inspect(e, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, text)
		}
		return true
	})
	return found
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
