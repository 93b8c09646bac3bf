package etcdservers

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// systemd is what can be asked without a manager: systemd-analyze verify loads a
// unit as the manager does, and with debug messages it prints what it has loaded.
type systemd struct{ analyze string }

// findSystemd returns false where there is no systemd. What it has answered
// elsewhere is on record.
func findSystemd() (systemd, bool) {
	analyze, err := exec.LookPath("systemd-analyze")
	return systemd{analyze}, err == nil
}

// loaded is what systemd has loaded.
type loaded struct {
	commands    []string // of ExecStart=, as systemd quotes them
	environment []string
	complaints  string
	err         error
}

// load asks about a unit of a host.
func (s systemd) load(t *testing.T, files fstest.MapFS, unit string, env ...string) loaded {
	t.Helper()
	root := t.TempDir()
	for _, stub := range []string{"basic", "sysinit", "shutdown", "multi-user", "network-online", "network"} {
		write(t, root, "usr/lib/systemd/system/"+stub+".target", "[Unit]\nDefaultDependencies=no\n", 0o644)
	}
	for _, stub := range []string{"docker", "etcd"} {
		write(t, root, "usr/lib/systemd/system/"+stub+".service", "[Service]\nExecStart=/bin/true\n", 0o644)
	}
	for _, stub := range []string{
		"bin/true", "bin/sh", "bin/bash", "bin/echo", "usr/bin/docker", "usr/bin/kube-apiserver",
		"usr/local/bin/kube-apiserver", "opt/bin/hyperkube", "opt/kubernetes/bin/kube-apiserver",
	} {
		write(t, root, stub, "#!/bin/true\n", 0o755)
	}
	for name, f := range files {
		write(t, root, name, string(f.Data), 0o644)
	}
	cmd := exec.CommandContext(t.Context(), s.analyze, "--man=no", "--root="+root, "verify", unit)
	cmd.Env = append(append(os.Environ(), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console"), env...)
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	l := loaded{err: cmd.Run()}
	own, start := false, false
	for line := range strings.Lines(out.String()) {
		text := strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(text, "-> Unit "); ok {
			own = strings.TrimSuffix(name, ":") == unit
		}
		if strings.HasPrefix(text, "-> Exec") {
			start = text == "-> ExecStart:"
		}
		if command, ok := strings.CutPrefix(text, "Command Line: "); ok && own && start {
			l.commands = append(l.commands, command)
		}
		if variable, ok := strings.CutPrefix(text, "Environment: "); ok && own {
			l.environment = append(l.environment, variable)
		}
	}
	l.complaints = complaints.String()
	return l
}

func write(t *testing.T, root, name, content string, mode fs.FileMode) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// answer returns what systemd has answered, on record in testdata. Where systemd is
// installed it is asked again, and has to answer the same.
func answer(t *testing.T, name string, ask func(systemd) string) string {
	t.Helper()
	name = filepath.Join("testdata", "systemd", name+".answer")
	s, installed := findSystemd()
	if installed && *update {
		if err := os.WriteFile(name, []byte(ask(s)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	recorded, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if installed {
		if now := ask(s); now != string(recorded) {
			t.Errorf("systemd answers\n%s\nand on record is\n%s", now, recorded)
		}
	}
	return string(recorded)
}

// Words are split, escapes and specifiers undone, and lines continued as systemd
// does all that.
func TestWordsAreThoseOfSystemd(t *testing.T) {
	data, err := os.ReadFile("testdata/systemd/words.service")
	if err != nil {
		t.Fatal(err)
	}
	const unit = "/etc/systemd/system/words.service"
	files := fstest.MapFS{unit[1:]: {Data: data}}
	want := answer(t, "words", func(s systemd) string {
		l := s.load(t, files, "words.service")
		return strings.Join(l.commands, "\n") + "\n\n" + strings.Join(l.environment, "\n") + "\n"
	})

	s, err := loadService(files, &source{path: unit, data: string(data)})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := s.commands()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, c := range commands {
		got.WriteString(quote(texts(c.words)) + "\n")
	}
	vars, err := s.variables()
	if err != nil {
		t.Fatal(err)
	}
	got.WriteString("\n")
	for name := range strings.Lines(want[strings.Index(want, "\n\n")+2:]) {
		name, _, _ = strings.Cut(name, "=")
		fmt.Fprintf(&got, "%s=%s\n", name, vars.set[name].value.text)
		delete(vars.set, name)
	}
	if got.String() != want {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	for name := range vars.set {
		t.Errorf("systemd does not set %s", name)
	}
}

// quote writes a command line as systemd does.
func quote(words []string) string {
	var quoted []string
	for _, word := range words {
		if word == "" || strings.ContainsAny(word, " \a\t\n\r\"'\\$`;!*?[{}()<>|&~^") {
			word = `"` + strings.NewReplacer(
				`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "\a", `\a`, "\t", `\t`, "\n", `\n`, "\r", `\r`,
			).Replace(word) + `"`
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}

// Variables are put in as a running systemd has done it.
func TestVariablesAreThoseOfSystemd(t *testing.T) {
	const unit = "/etc/systemd/system/expand.service"
	files := fstest.MapFS{}
	for name, from := range map[string]string{unit[1:]: "expand.service", "etc/expand.env": "expand.env"} {
		data, err := os.ReadFile(filepath.Join("testdata/systemd", from))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	s, err := loadService(files, &source{path: unit, data: string(files[unit[1:]].Data)})
	if err != nil {
		t.Fatal(err)
	}
	commands, err := s.commands()
	if err != nil {
		t.Fatal(err)
	}
	vars, err := s.variables()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, c := range commands {
		words, err := c.expand(vars.lookup(c.program.from[0]))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%q\n", texts(words))
	}
	want, err := os.ReadFile("testdata/systemd/expand.answer")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
}

// asked are the variables of os-release that have a specifier. systemd reads that
// file by the parser of EnvironmentFile=, which cannot be asked otherwise.
var asked = map[string]string{
	"IMAGE_VERSION": "%A", "IMAGE_ID": "%M", "BUILD_ID": "%B", "VERSION_ID": "%w", "VARIANT_ID": "%W", "ID": "%o",
}

// An environment file has the values that systemd reads from it.
func TestEnvironmentIsThatOfSystemd(t *testing.T) {
	entries, err := os.ReadDir("testdata/systemd/environment")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, e := range entries {
		if path.Ext(e.Name()) == ".answer" {
			continue
		}
		cases++
		t.Run(e.Name(), func(t *testing.T) {
			name, err := filepath.Abs(filepath.Join("testdata/systemd/environment", e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			want := answer(t, "environment/"+e.Name(), func(s systemd) string { return askEnvironment(t, s, name) })
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all, err := environmentOf(&source{path: name, data: string(data)})
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, variable := range slices.Sorted(maps.Keys(asked)) {
				fmt.Fprintf(&got, "%s: %s\n", variable, quote([]string{"/bin/true", "<" + all[variable].value.text + ">"}))
			}
			if got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
	if cases < 10 {
		t.Fatalf("only %d cases", cases)
	}
}

func askEnvironment(t *testing.T, s systemd, osRelease string) string {
	t.Helper()
	var unit, got strings.Builder
	unit.WriteString("[Service]\nType=oneshot\n")
	for _, variable := range slices.Sorted(maps.Keys(asked)) {
		fmt.Fprintf(&unit, "ExecStart=/bin/true <%s>\n", asked[variable])
	}
	l := s.load(t, fstest.MapFS{"etc/systemd/system/ask.service": {Data: []byte(unit.String())}}, "ask.service", "SYSTEMD_OS_RELEASE="+osRelease)
	if len(l.commands) != len(asked) {
		t.Fatalf("%q\n%s", l.commands, l.complaints)
	}
	for i, variable := range slices.Sorted(maps.Keys(asked)) {
		fmt.Fprintf(&got, "%s: %s\n", variable, l.commands[i])
	}
	return got.String()
}
