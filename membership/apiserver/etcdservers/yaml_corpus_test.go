package etcdservers

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write the golden files of manifests and configurations anew")

// corpusFiles are the files of folders of testdata, without what was written to
// go with them.
func corpusFiles(t testing.TB, folders ...string) []string {
	t.Helper()
	var files []string
	for _, folder := range folders {
		entries, err := os.ReadDir(filepath.Join("testdata", folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext != ".golden" && ext != ".md" && !strings.Contains(e.Name(), "-stacked-config") {
				files = append(files, filepath.Join("testdata", folder, e.Name()))
			}
		}
	}
	return files
}

// readFrom reads content as the file of that name on a host of its own.
func readFrom(name string, data []byte) (*File, error) {
	name = filepath.Base(name)
	return Read(fstest.MapFS{"srv/" + name: {Data: data}}, "/srv/"+name)
}

func mustRead(t testing.TB, name string, data []byte) *File {
	t.Helper()
	f, err := readFrom(name, data)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// Each file of the corpus says what was found in it, and what changes when its
// first server goes and two others come: the lines of the list and no other one.
func TestManifestsAndConfigurations(t *testing.T) {
	files := corpusFiles(t, "pod", "kubeadm")
	if len(files) < 40 {
		t.Fatalf("only %d files in the corpus", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(t, name, data)
			golden := name + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// describe is what a golden file says.
func describe(t *testing.T, name string, data []byte) string {
	f := mustRead(t, name, data)
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %s, %s\n", f.Form, f.Flag, f.Where)
	for _, server := range f.Servers {
		fmt.Fprintf(&out, "server %s\n", server)
	}
	for _, arg := range f.Args {
		fmt.Fprintf(&out, "arg %s\n", arg)
	}
	if ca, ok := f.Value("--etcd-cafile"); ok {
		fmt.Fprintf(&out, "CA %s, on the host %s\n", ca, f.HostPath(ca))
	}
	target := append(slices.Clone(f.Servers[1:]), "https://etcd-new.example.net:2379", "https://10.99.0.1:2379")
	after, err := f.With(target)
	if err != nil {
		t.Fatal(err)
	}
	out.WriteString(diff(string(data), string(after)))
	return out.String()
}

// diff shows lines that went and lines that came.
func diff(before, after string) string {
	b, a := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	var out strings.Builder
	for _, h := range hunks(b, a) {
		for _, line := range b[h.from:h.to] {
			fmt.Fprintf(&out, "-%q\n", line)
		}
		for _, line := range h.added {
			fmt.Fprintf(&out, "+%q\n", line)
		}
	}
	return out.String()
}

// A list that was changed and is changed back leaves no trace.
func TestThereAndBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range corpusFiles(t, "pod", "kubeadm") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			thereAndBack(t, name, data, randomServers(random, mustRead(t, name, data).Servers))
		}
	}
}

func thereAndBack(t *testing.T, name string, data []byte, target []string) {
	t.Helper()
	f := mustRead(t, name, data)
	there, err := f.With(target)
	if err != nil {
		t.Fatalf("%s to %q: %v", name, target, err)
	}
	changed := mustRead(t, name, there)
	if !slices.Equal(changed.Servers, target) {
		t.Fatalf("%s to %q: the list reads %q", name, target, changed.Servers)
	}
	back, err := changed.With(f.Servers)
	if err != nil {
		t.Fatalf("%s from %q back: %v", name, target, err)
	}
	if !bytes.Equal(back, data) && !leavesTraces(t, f, there) {
		t.Fatalf("%s to %q and back:\n%s", name, target, diff(string(data), string(back)))
	}
	if again := mustRead(t, name, back); !slices.Equal(again.Servers, f.Servers) || !slices.Equal(withoutServers(again.Args), withoutServers(f.Args)) {
		t.Fatalf("%s to %q and back reads %q", name, target, again.Servers)
	}
}

// leavesTraces tells whether a file is of those that do not come back to the last
// byte. Only these do not: a value in brackets without quotes gets them; white
// space, empty items and escapes in a list are not written again; and a line of
// kubeadm's list takes its comment and its quotes along when it goes.
func leavesTraces(t *testing.T, f *File, there []byte) bool {
	t.Helper()
	same, err := f.With(f.Servers)
	if err != nil {
		t.Fatalf("%s: its own list is refused: %v", f.Path, err)
	}
	if f.Form == KubeadmConfig {
		return bytes.ContainsAny(f.data, "#'[")
	}
	return !bytes.Equal(same, f.data) || f.Form == StaticPod && bytes.Count(there, []byte(`"`)) != bytes.Count(f.data, []byte(`"`))
}

// randomServers is a list that may have some of the present servers in it.
func randomServers(random *rand.Rand, present []string) []string {
	var all []string
	for _, server := range present {
		if random.IntN(2) == 0 {
			all = append(all, server)
		}
	}
	for range random.IntN(4) {
		all = append(all, fmt.Sprintf("https://10.200.%d.%d:2379", random.IntN(250), random.IntN(250)))
	}
	if random.IntN(4) == 0 {
		all = append(all, fmt.Sprintf("https://[fd00::%x]:2379", 1+random.IntN(60000)))
	}
	if len(all) == 0 {
		return []string{"https://etcd.example.net:2379"}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.Sort(all)
	return slices.Compact(all)
}
