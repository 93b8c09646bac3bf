package etcdservers

import (
	"slices"
	"testing"
	"testing/fstest"
)

// Words never panic, and written with quotes they read as themselves.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{`a b`, `"a b" 'c'd`, `\x41\u00e4\101\q`, "a\\", `"open`, "a\tb\n", `$A ${B} $$ %n %% %H`, "\xff\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		src := &source{data: data}
		whole := verbatim(src, 0, len(data), bare{})
		for _, rules := range []wordRules{commandWords, assignmentWords, variableWords} {
			all, err := words(whole, rules)
			for _, word := range all {
				checkPlaces(t, word)
			}
			if err != nil {
				continue
			}
			quoted := &source{data: quote(texts(all))}
			again, err := words(verbatim(quoted, 0, len(quoted.data), bare{}), variableWords)
			if rules == variableWords && !hasControl(data) && (err != nil || !slices.Equal(texts(again), texts(all))) {
				t.Fatalf("%q reads %q, and that %q (%v)", data, texts(all), texts(again), err)
			}
		}
		value := func(name string) (view, bool) { return whole, len(name)%2 == 0 }
		c := command{words: []view{specifiersOf("a-b@c.service").resolve(whole)}}
		if all, err := c.expand(value); err == nil {
			for _, word := range all {
				checkPlaces(t, word)
			}
		}
	})
}

// hasControl tells whether a text has bytes that systemd prints as escapes.
func hasControl(s string) bool {
	return slices.ContainsFunc([]byte(s), func(b byte) bool { return b == '\a' || b == '\t' || b == '\n' || b == '\r' })
}

// checkPlaces sees to it that every byte of a view stands somewhere.
func checkPlaces(t *testing.T, v view) {
	t.Helper()
	if len(v.from) != len(v.text) {
		t.Fatalf("%q has %d places", v.text, len(v.from))
	}
	for _, p := range v.from {
		if p.src == nil || p.from < 0 || p.to <= p.from || p.to > len(p.src.data) {
			t.Fatalf("%q stands at %d..%d", v.text, p.from, p.to)
		}
	}
}

// An environment file is refused, or changed so that it reads as it should.
func FuzzEnvironmentFile(f *testing.F) {
	for _, h := range environmentHosts(f) {
		f.Add(h.files["etc/default/kube-apiserver"].Data)
	}
	f.Add([]byte("A='--etcd-servers=https://a:1'\"b\" c \\\n d\n# x\\\nB=1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, _ := assignments(&source{data: string(data)})
		for _, a := range all {
			checkPlaces(t, a.value)
		}
		fuzzRead(t, fstest.MapFS{"etc/default/kube-apiserver": {Data: data}}, "/etc/default/kube-apiserver")
	})
}

// A unit is refused, or changed so that it reads as it should.
func FuzzUnit(f *testing.F) {
	for _, h := range hosts(f, "unit") {
		f.Add(h.files[h.read[0][1:]].Data, []byte("ETCD=https://10.0.0.1:2379\nOPTS=\"--etcd-servers=https://10.0.0.1:2379 --v=2\"\n"))
	}
	f.Fuzz(func(t *testing.T, unit, environment []byte) {
		host := fstest.MapFS{unitPath[1:]: {Data: unit}}
		for _, name := range []string{"etc/kubernetes/apiserver", "etc/kubernetes/etcd.env", "etc/default/kube-apiserver"} {
			host[name] = &fstest.MapFile{Data: environment}
		}
		fuzzRead(t, host, unitPath)
	})
}

func fuzzRead(t *testing.T, host fstest.MapFS, name string) {
	f, err := Read(host, name)
	if err != nil {
		return
	}
	target := []string{"https://10.99.0.1:2379", "https://[fd00::1]:2379"}
	after, err := f.With(target)
	if err != nil {
		return
	}
	host[f.Path[1:]] = &fstest.MapFile{Data: after}
	again, err := Read(host, name)
	if err != nil || !slices.Equal(again.Servers, target) || again.Path != f.Path {
		t.Fatalf("%q became %q, which reads %+v, %v", f.Data(), after, again, err)
	}
	if err := onlyList(string(f.Data()), string(after), f.Servers, target); err != nil {
		t.Fatalf("%q became %q: %v", f.Data(), after, err)
	}
}
