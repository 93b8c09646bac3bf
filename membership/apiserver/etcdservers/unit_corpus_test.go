package etcdservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

// host is a file of the corpus: some files of a host, and which of them are read.
type host struct {
	name  string
	files fstest.MapFS
	read  []string
}

// hosts are the hosts in a folder of testdata. Without "read" the only file is read.
func hosts(t testing.TB, folder string) []host {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var all []host
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h := host{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), files: fstest.MapFS{}}
		for _, f := range archive.Files {
			h.files[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
		}
		for line := range strings.Lines(string(archive.Comment)) {
			if file, ok := strings.CutPrefix(strings.TrimSpace(line), "read "); ok {
				h.read = append(h.read, file)
			}
		}
		if len(h.read) == 0 && len(archive.Files) == 1 {
			h.read = []string{"/" + archive.Files[0].Name}
		}
		if len(h.read) == 0 {
			t.Fatalf("%s does not say what is read", name)
		}
		all = append(all, h)
	}
	return all
}

// environmentHosts are the environment files of the corpus, each alone on a host.
func environmentHosts(t testing.TB) []host {
	t.Helper()
	var all []host
	for _, name := range corpusFiles(t, "environment") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, host{
			name:  filepath.Base(name),
			files: fstest.MapFS{"etc/default/kube-apiserver": {Data: data}}, read: []string{"/etc/default/kube-apiserver"},
		})
	}
	return all
}

// with is the host with another content of one file.
func (h host) with(name string, data []byte) host {
	files := fstest.MapFS{}
	for n, f := range h.files {
		files[n] = f
	}
	files[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: data}
	h.files = files
	return h
}

// golden compares what was seen with a file beside the corpus.
func golden(t *testing.T, folder, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", folder, name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s", file, diff(string(want), got))
	}
}

// summary is what a golden file says of one read.
func summary(t *testing.T, h host, name string) string {
	t.Helper()
	f, err := Read(h.files, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %s, %s, %s, unit %q\n", f.Path, f.Form, f.Flag, f.Where, f.Unit)
	for _, server := range f.Servers {
		fmt.Fprintf(&out, "server %s\n", server)
	}
	for _, arg := range f.Args {
		fmt.Fprintf(&out, "arg %q\n", arg)
	}
	if ca, ok := f.Value("--etcd-cafile"); ok {
		fmt.Fprintf(&out, "CA %s, on the host %s\n", ca, f.HostPath(ca))
	}
	after, err := f.With(append(slices.Clone(f.Servers[1:]), "https://etcd-new.example.net:2379", "https://10.99.0.1:2379"))
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString(diff(string(f.Data()), string(after)))
	return out.String()
}

// Each host of the corpus says what was found, and what changes when the first
// server goes and two others come: the lines of the list and no other one.
func TestUnits(t *testing.T) {
	all := append(hosts(t, "unit"), environmentHosts(t)...)
	if len(all) < 20 {
		t.Fatalf("only %d hosts in the corpus", len(all))
	}
	for _, h := range all {
		t.Run(h.name, func(t *testing.T) {
			var got strings.Builder
			for _, name := range h.read {
				got.WriteString(summary(t, h, name))
			}
			folder := "unit"
			if strings.HasSuffix(h.name, ".env") {
				folder = "environment"
			}
			golden(t, folder, h.name, got.String())
		})
	}
}

// A list that was changed and is changed back leaves no trace; with the line
// endings of another system, and where the file ends in the middle of a line, too.
func TestUnitsThereAndBack(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, h := range append(hosts(t, "unit"), environmentHosts(t)...) {
		f, err := Read(h.files, h.read[0])
		if err != nil {
			t.Fatal(err)
		}
		content := string(f.Data())
		for ending, data := range map[string]string{
			"":                 content,
			"CRLF":             strings.ReplaceAll(content, "\n", "\r\n"),
			"no final newline": strings.TrimRight(content, "\n"),
		} {
			if ending == "CRLF" && f.Form == EnvironmentFile && strings.Contains(content, "\\\n") {
				continue // for systemd, a backslash before CR LF continues nothing
			}
			t.Run(h.name+" "+ending, func(t *testing.T) {
				for range 2 {
					hostThereAndBack(t, h.with(f.Path, []byte(data)), randomServers(random, f.Servers))
				}
			})
		}
	}
}

func hostThereAndBack(t *testing.T, h host, target []string) {
	t.Helper()
	f, err := Read(h.files, h.read[0])
	if err != nil {
		t.Fatal(err)
	}
	there, err := f.With(target)
	if err != nil {
		t.Fatalf("to %q: %v", target, err)
	}
	changed, err := Read(h.with(f.Path, there).files, h.read[0])
	if err != nil || !slices.Equal(changed.Servers, target) {
		t.Fatalf("to %q: %v, %v", target, changed, err)
	}
	back, err := changed.With(f.Servers)
	if err != nil {
		t.Fatalf("back from %q: %v", target, err)
	}
	// A list over two lines comes back on one.
	if string(back) != string(f.Data()) && strings.Contains(string(f.Data()), strings.Join(f.Servers, ",")) {
		t.Fatalf("to %q and back:\n%s", target, diff(string(f.Data()), string(back)))
	}
}

// What belongs to another system is refused with a reason and the right way.
func TestForeignFiles(t *testing.T) {
	all := hosts(t, "foreign")
	if len(all) < 15 {
		t.Fatalf("only %d foreign files", len(all))
	}
	var got strings.Builder
	for _, h := range all {
		f, err := Read(h.files, h.read[0])
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%s: %v, %v", h.name, f, err)
			continue
		}
		if refusal.Instead == "" {
			t.Errorf("%s: no other way is named", h.name)
		}
		fmt.Fprintf(&got, "%s\n  %v\n  %s\n", h.name, refusal, refusal.Instead)
	}
	golden(t, "foreign", "all", got.String())
}
