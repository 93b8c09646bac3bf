package retention_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the stories' zones, wherever the test runs

	"github.com/etcdha/etcdha/snapshot/retention"
)

// story is a section of a file in testdata: a policy, the present, and the plan
// that is expected, whose lines are at once the backups that there are.
type story struct {
	title   string
	policy  retention.Policy
	now     time.Time
	backups []retention.Backup
	plan    []string
}

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("stories: %v, error %v", files, err)
	}
	for _, file := range files {
		for _, s := range readStories(t, file) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+s.title, func(t *testing.T) {
				slices.Reverse(s.backups) // a store lists the oldest first
				var got []string
				for _, d := range retention.Plan(s.backups, s.policy, s.now) {
					got = append(got, describe(d))
				}
				if !slices.Equal(got, s.plan) {
					t.Errorf("the plan is\n%s\nand should be\n%s", strings.Join(got, "\n"), strings.Join(s.plan, "\n"))
				}
			})
		}
	}
}

func describe(d retention.Decision) string {
	verdict := "remove"
	if d.Keep {
		verdict = "keep"
	}
	return verdict + " | " + d.ID + " | " + facts(d.Backup) + " | " + strings.Join(d.Reasons, ", ")
}

// facts is what a story says of a backup, in one order.
func facts(b retention.Backup) string {
	words := []string{
		"life=" + b.Lineage,
		map[bool]string{true: "emergency"}[b.Emergency],
		map[retention.Proof]string{retention.Passed: "verified", retention.Failed: "failed-verification"}[b.Verified],
		map[retention.Proof]string{retention.Passed: "rehearsed", retention.Failed: "failed-rehearsal"}[b.Rehearsed],
		map[bool]string{true: "held"}[b.Held],
		"locked=" + b.Locked,
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool {
		return w == "" || w == "locked=" || w == "life="
	}), " ")
}

func readStories(t *testing.T, file string) []*story {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stories []*story
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if title, ok := strings.CutPrefix(line, "== "); ok {
			stories = append(stories, &story{title: title})
			continue
		}
		if err := stories[len(stories)-1].read(line); err != nil {
			t.Fatalf("%s:%d: %v", file, i+1, err)
		}
	}
	return stories
}

func (s *story) read(line string) (err error) {
	if words, ok := strings.CutPrefix(line, "policy: "); ok {
		s.policy, err = readPolicy(strings.Fields(words))
		return err
	}
	if at, ok := strings.CutPrefix(line, "now: "); ok {
		s.now, err = readTime(at, s.policy.Location)
		return err
	}
	fields := strings.Split(line, "|")
	if len(fields) != 5 {
		return fmt.Errorf("%d fields", len(fields))
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	b := retention.Backup{ID: fields[1]}
	if b.Started, err = readTime(fields[2], s.policy.Location); err != nil {
		return err
	}
	if err := readFacts(&b, strings.Fields(fields[3])); err != nil {
		return err
	}
	s.backups = append(s.backups, b)
	s.plan = append(s.plan, fields[0]+" | "+b.ID+" | "+facts(b)+" | "+fields[4])
	return nil
}

func readPolicy(words []string) (p retention.Policy, err error) {
	p.Location = time.UTC
	numbers := map[string]*int{
		"last": &p.Last, "hourly": &p.Hourly, "daily": &p.Daily,
		"weekly": &p.Weekly, "monthly": &p.Monthly, "yearly": &p.Yearly,
	}
	for i := 0; i+1 < len(words); i += 2 {
		var e error
		switch name, value := words[i], words[i+1]; name {
		case "zone":
			p.Location, e = time.LoadLocation(value)
		case "within":
			p.Within, e = retention.ParseDuration(value)
		default:
			*numbers[name], e = strconv.Atoi(value)
		}
		err = cmp.Or(err, e)
	}
	return p, err
}

func readTime(s string, loc *time.Location) (time.Time, error) {
	if s == "-" {
		return time.Time{}, nil
	}
	if t, err := time.Parse("2006-01-02 15:04Z07:00", s); err == nil {
		return t, nil
	}
	return time.ParseInLocation("2006-01-02 15:04", s, loc)
}

func readFacts(b *retention.Backup, words []string) error {
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "life":
			b.Lineage = value
		case "emergency":
			b.Emergency = true
		case "verified":
			b.Verified = retention.Passed
		case "failed-verification":
			b.Verified = retention.Failed
		case "rehearsed":
			b.Rehearsed = retention.Passed
		case "failed-rehearsal":
			b.Rehearsed = retention.Failed
		case "held":
			b.Held = true
		case "locked":
			b.Locked = strings.ReplaceAll(value, "_", " ")
		default:
			return fmt.Errorf("unknown word %q", word)
		}
	}
	return nil
}
