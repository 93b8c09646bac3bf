package etcdservers

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// fuzzNames are the names under which a fuzzed file is read, one for each way to
// tell a form.
var fuzzNames = []string{"kube-apiserver.yaml", "kube-apiserver", "kube-apiserver.service", "kube-apiserver.env", "config.json"}

// Whatever a file is, its list is changed to exactly the other one, or the change
// is refused; and the way back ends at the first byte.
func FuzzWith(f *testing.F) {
	err := filepath.WalkDir("testdata", func(name string, d fs.DirEntry, err error) error {
		ext := filepath.Ext(name)
		if err != nil || !d.Type().IsRegular() || ext == ".golden" || ext == ".md" || filepath.Base(filepath.Dir(filepath.Dir(name))) == "fuzz" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		form := max(0, slices.IndexFunc(fuzzNames, func(n string) bool { return filepath.Ext(n) == ext }))
		f.Add(data, uint8(form), uint64(1))
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, form uint8, seed uint64) {
		name := fuzzNames[int(form)%len(fuzzNames)]
		before, err := readFrom(name, data)
		if err != nil {
			return
		}
		target := randomServers(rand.New(rand.NewPCG(seed, 7)), sound(before.Servers))
		there, err := before.With(target)
		if err != nil {
			if !errors.Is(err, fail.ErrUnsafe) {
				t.Fatalf("a change that cannot be is no refusal: %v", err)
			}
			return
		}
		after := mustRead(t, name, there)
		if !slices.Equal(after.Servers, target) || after.Form != before.Form || after.Path != before.Path ||
			!slices.Equal(withoutServers(after.Args), withoutServers(before.Args)) {
			t.Fatalf("%q reads %q %q in\n%s", target, after.Servers, after.Args, there)
		}
		if CheckServers(before.Servers) != nil {
			return
		}
		back, err := after.With(before.Servers)
		if err != nil {
			t.Fatalf("the way back is refused: %v", err)
		}
		if again := mustRead(t, name, back); !slices.Equal(again.Servers, before.Servers) {
			t.Fatalf("back reads %q in\n%s", again.Servers, back)
		}
		if before.Form != KubeadmConfig && !bytes.Equal(back, data) && !leavesTraces(t, before, there) {
			t.Fatalf("there and back:\n%s", diff(string(data), string(back)))
		}
	})
}

// sound are those servers that may be in a new list.
func sound(servers []string) []string {
	return slices.DeleteFunc(slices.Clone(servers), func(s string) bool { return CheckServers([]string{s}) != nil })
}
