package etcdservers

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// systemd finds every unit of the corpus sound, before the list is changed and
// after it, and its words are those that were read.
func TestUnitsAreSoundToSystemd(t *testing.T) {
	s, installed := findSystemd()
	if !installed {
		t.Log("systemd-analyze is not installed; the rest of this test needs it")
		return
	}
	for _, h := range hosts(t, "unit") {
		f, err := Read(h.files, h.read[0])
		if err != nil {
			t.Fatal(err)
		}
		if !within(h.read[0], "/etc") && !within(h.read[0], "/usr") || h.name == "alone" {
			continue // systemd does not look for it there
		}
		t.Run(h.name, func(t *testing.T) {
			after, err := f.With([]string{"https://10.99.0.1:2379", "https://[2001:db8::99]:2379"})
			if err != nil {
				t.Fatal(err)
			}
			for when, now := range map[string]host{"before": h, "after": h.with(f.Path, after)} {
				l := s.load(t, now.files, f.Unit)
				if l.err != nil {
					t.Errorf("%s: %v\n%s", when, l.err, l.complaints)
				}
				if got := wordsOf(t, now); !slices.Equal(got, l.commands) {
					t.Errorf("%s: got\n%s\nwant\n%s", when, strings.Join(got, "\n"), strings.Join(l.commands, "\n"))
				}
			}
		})
	}
}

// wordsOf are the commands of a unit as systemd prints them. This host's name is
// that of %H.
func wordsOf(t *testing.T, h host) []string {
	t.Helper()
	data, err := readFile(h.files, h.read[0])
	if err != nil {
		t.Fatal(err)
	}
	service, err := loadService(h.files, &source{path: h.read[0], data: string(data)})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := service.commands()
	if err != nil {
		t.Fatal(err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range commands {
		all = append(all, strings.ReplaceAll(quote(texts(c.words)), "%H", hostname))
	}
	return all
}
