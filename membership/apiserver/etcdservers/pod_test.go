package etcdservers

import (
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// pod is a manifest with a container, whose fields are given.
func pod(container string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-apiserver\nspec:\n  containers:\n  - name: kube-apiserver\n" +
		indent(container, "    ")
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by) + "\n"
}

func TestManifestsThatAreRefused(t *testing.T) {
	shell := func(script string) string { return pod("command: [/bin/sh, -c]\nargs:\n- |\n" + indent(script, "  ")) }
	for _, test := range []struct{ name, data, reason string }{
		{"given twice", pod("command: [kube-apiserver, --etcd-servers=https://a:2379, --etcd-servers=https://b:2379]"), "given twice"},
		{"no value", pod("command: [kube-apiserver, --etcd-servers]"), "has no value"},
		{"twice in a mapping", pod("command: [kube-apiserver]\ncommand: [kube-apiserver, --etcd-servers=https://a:2379]"), "already set in map"},
		{"no YAML", pod("command: [kube-apiserver, --etcd-servers=https://a:2379"), "is no YAML"},
		{"a template", pod("command:\n- kube-apiserver\n- --etcd-servers=${ETCD_SERVERS}"), "is a template"},
		{"a Deployment", strings.Replace(pod("command: [kube-apiserver, --etcd-servers=https://a:2379]"), "kind: Pod", "kind: Deployment", 1), "is a Deployment"},
		{"a list of Pods", "apiVersion: v1\nkind: PodList\nitems:\n- kind: Pod\n  spec: {containers: [{command: [kube-apiserver, --etcd-servers=https://a:2379]}]}\n", "is a PodList"},
		{"the second document", "apiVersion: v1\nkind: Service\n---\n" + pod("command: [kube-apiserver, --etcd-servers=https://a:2379]"), "kubelet reads only the first one"},
		{"two of them", pod("command: [kube-apiserver, --etcd-servers=https://a:2379]") + "  - name: second\n    command: [kube-apiserver, --etcd-servers=https://a:2379]\n", "several containers"},
		{"an init container", strings.Replace(pod("command: [kube-apiserver, --etcd-servers=https://a:2379]"), "containers:", "initContainers:", 1), "not in the command of a container"},
		{"another server", strings.Replace(pod("command: [/wardle, --etcd-servers=https://a:2379]"), "name: kube-apiserver\n    command", "name: wardle\n    command", 1), "runs /wardle, not kube-apiserver"},
		{"merged", "apiVersion: v1\nkind: Pod\nx: &x\n  command: [kube-apiserver, --etcd-servers=https://a:2379]\nspec:\n  containers:\n  - <<: *x\n    name: a\n", "merged from another place"},
		{"a variable from elsewhere", pod("env:\n- name: SERVERS\n  valueFrom: {configMapKeyRef: {name: c, key: k}}\ncommand: [kube-apiserver, --etcd-servers=$(SERVERS)]"), "the variable SERVERS, which has its value from outside"},
		{"a variable that came to be from elsewhere", pod("env:\n- {name: S, value: 'https://a:2379'}\n- {name: S, valueFrom: {}}\ncommand: [kube-apiserver, --etcd-servers=$(S)]"), "from outside"},
		{"an argument that is called apiserver", strings.Replace(pod("command: [/wardle, apiserver, --log=/var/log/kube-apiserver, --etcd-servers=https://a:2379]"), "name: kube-apiserver\n    command", "name: wardle\n    command", 1), "runs /wardle"},
		{"a variable of envFrom", pod("envFrom:\n- configMapRef: {name: c}\ncommand: [kube-apiserver, --etcd-servers=$(SERVERS)]"), "from outside"},
		{"an unknown variable", pod("command: [kube-apiserver, --etcd-servers=$(SERVERS)]"), "no value in the manifest"},
		{"a script", shell("set -e\nexec kube-apiserver --etcd-servers=https://a:2379"), "is a shell script"},
		{"after another command", shell("sleep 5 && kube-apiserver --etcd-servers=https://a:2379"), "is a shell script"},
		{"a pipe", shell("kube-apiserver --etcd-servers=https://a:2379 2>&1 | tee /var/log/x"), "is a shell script"},
		{"a loop", shell("while true; do kube-apiserver --etcd-servers=https://a:2379; done"), "is a shell script"},
		{"in the background", shell("kube-apiserver --etcd-servers=https://a:2379 &"), "is a shell script"},
		{"a substitution", shell("kube-apiserver --etcd-servers=`cat /etcd`"), "only a shell can tell"},
		{"words from elsewhere", shell("kube-apiserver $FLAGS --etcd-servers=https://a:2379"), "only a shell can tell"},
		{"a default", shell("kube-apiserver --etcd-servers=${ETCD:-https://a:2379}"), "only a shell can tell"},
		{"no shell", shell("kube-apiserver --etcd-servers='https://a:2379"), "is no shell's"},
		{"other quotes", shell("kube-apiserver --etcd-servers=$'https://a:2379'"), "quotes of that kind"},
		{"an argument of a script", pod(`command: [sh, -c, 'exec kube-apiserver "$@"', x, --etcd-servers=https://a:2379]`), "an argument of a shell script"},
		{"variables in other quotes", shell(`kube-apiserver --etcd-servers=$"https://a:2379"`), "quotes of that kind"},
		{"lines of another system", pod(`command: [sh, -c, "kube-apiserver \r\n --etcd-servers=https://a:2379"]`), "line breaks of another system"},
		{"a variable of several words", pod("env:\n- {name: S, value: 'https://a:2379 --v=2'}\ncommand: [sh, -c, 'kube-apiserver --etcd-servers=$S']"), "several words"},
		{"nothing but exec", shell("exec # --etcd-servers="), "runs nothing"},
		{"a command that is a mapping", pod("command: [kube-apiserver, --etcd-servers=https://a:2379, {a: b}]"), "is no string"},
		{"a variable that is a mapping", pod("env:\n- {name: S, value: {a: b}}\ncommand: [kube-apiserver, --etcd-servers=https://a:2379]"), "is no string"},
		{"other line breaks", pod("command: [kube-apiserver, --etcd-servers=https://a:2379] # \u2028"), "not every parser"},
		{"only a comment", pod("command: [kube-apiserver] # --etcd-servers=https://a:2379"), "not in the command"},
		{"a variable of a shell", pod("command: [kube-apiserver, --etcd-servers=https://a:2379, '--advertise-address=${IP}']"), "kubelet puts nothing in place of ${IP}"},
		{"a URL behind the list", pod("command: [sh, -c, 'kube-apiserver --etcd-servers=https://a:2379, https://b:2379 --v=2']"), "a word of its own"},
		{"a URL behind the list in two items", pod("command: [kube-apiserver, --etcd-servers, 'https://a:2379,', 'https://b:2379']"), "a word of its own"},
		{"flow YAML that is no JSON", "{kind: Pod, spec: {containers: [{name: a, command: [kube-apiserver, '--etcd-servers=https://a:2379']}]}}", "reads it as JSON"},
		{"JSON with a key that comes twice", `{"kind": "Pod", "spec": {"containers": [{"name": "a", "command": [], "command": ["kube-apiserver", "--etcd-servers=https://a:2379"]}]}}`, "already set in map"},
		{"nothing but a sidecar", shell("grep -- --etcd-servers=x /proc/1/cmdline | cat"), "is a shell script"},
		{"a word of several lines", shell("kube-apiserver --x='\n--etcd-servers=https://a:2379'"), "not a word of its own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := readFrom("kube-apiserver.yaml", []byte(test.data))
			refused(t, err, test.reason)
		})
	}
}

func refused(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || !errors.Is(err, fail.ErrUnsafe) {
		t.Fatalf("%v is no refusal", err)
	}
	if !strings.Contains(err.Error(), reason) || refusal.Instead == "" || !strings.HasPrefix(refusal.Path, "/") {
		t.Errorf("refused with %q instead of %q, hint %q", err, reason, refusal.Instead)
	}
}

// What can be read, but not be changed without a change elsewhere, is refused
// when it is to be changed.
func TestChangesThatAreRefused(t *testing.T) {
	for _, test := range []struct{ name, data, reason string }{
		{"an alias", "x: &x [kube-apiserver, --etcd-servers=https://a:2379]\n" + pod("command: *x"), "would both change"},
		{"a shared word", pod("env:\n- name: A\n  value: &flag --etcd-servers=https://a:2379\ncommand: [kube-apiserver, *flag]"), "would both change"},
		{"a URL of two parts", pod("env:\n- {name: HOST, value: a}\ncommand: [kube-apiserver, --etcd-servers=https://$(HOST):2379]"), "several places"},
		{"a variable that is used twice", pod("env:\n- {name: S, value: 'https://a:2379'}\ncommand: [kube-apiserver, --etcd-servers=$(S), --external-hostname=$(S)]"), "another part of the command line"},
		{"half of it in quotes", pod("command: [sh, -c, 'kube-apiserver --etcd-servers=https://a:2379,\"https://b:2379\"']"), "several places"},
		{"a backslash in it", pod("command:\n- sh\n- -c\n- |\n  kube-apiserver --etcd-servers=https://a:2379,\\\n  https://b:2379"), "several places"},
		{"an empty variable in it", pod("env:\n- {name: NONE, value: ''}\ncommand: [sh, -c, 'kube-apiserver --etcd-servers=https://a$(NONE):2379']"), "several places"},
		{"parts behind a shell", pod("env:\n- {name: HOST, value: a}\ncommand: [sh, -c, 'kube-apiserver --etcd-servers=https://$(HOST):2379']"), "several places"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := mustRead(t, "kube-apiserver.yaml", []byte(test.data))
			_, err := f.With([]string{"https://c:2379"})
			refused(t, err, test.reason)
		})
	}
}

// These are read as well: each names the servers a and b to kube-apiserver with --v=2.
func TestCommandLines(t *testing.T) {
	const list = "https://a:2379,https://b:2379"
	for name, container := range map[string]string{
		"busybox":                    "command: [/bin/busybox, sh, -c, 'kube-apiserver --etcd-servers=" + list + " --v=2']",
		"options of the shell":       "command: [bash, --norc, -o, pipefail, -c, 'exec kube-apiserver --etcd-servers=" + list + " --v=2']",
		"an assignment":              "command: [sh, -c, 'GOGC=50 exec kube-apiserver --etcd-servers=" + list + " --v=2']",
		"backslashes":                `command: [sh, -c, 'kube-apiserver \--etcd-servers=` + list + ` "--v=2"']`,
		"quotes within quotes":       `command: [sh, -c, "kube-apiserver '--etcd-servers=` + list + `' \"--v=2\""]`,
		"a backslash that stays":     `command: [sh, -c, 'FOO="a\b" kube-apiserver --etcd-servers=` + list + ` --v=2']`,
		"a variable without a value": "env:\n- name: NONE\ncommand: [kube-apiserver, '$(NONE)--etcd-servers=" + list + "$(NONE)', --v=2]",
		"a variable that is set anew": "env:\n- {name: S, value: x}\n- {name: S, valueFrom: {}}\n- {name: S, value: '" + list + "'}\n" +
			"command: [kube-apiserver, --etcd-servers=$(S), --v=2]",
		"words in a variable of the shell": "env:\n- {name: V, value: '--v=2'}\ncommand: [sh, -c, 'kube-apiserver --etcd-servers=" + list + " $V']",
		"hyperkube":                        "command: [/hyperkube, apiserver, '--etcd-servers=" + list + "', --v=2]",
	} {
		f, err := readFrom("kube-apiserver.yaml", []byte(pod(container)))
		if err != nil {
			t.Errorf("%s: %v in\n%s", name, err, container)
			continue
		}
		if args := strings.TrimPrefix(strings.Join(f.Args, " "), "/hyperkube apiserver"); strings.TrimPrefix(args, "kube-apiserver") != " --etcd-servers="+list+" --v=2" {
			t.Errorf("%s: %q", name, f.Args)
		}
		if v, ok := f.Value("--v"); v != "2" || !ok {
			t.Errorf("%s: --v is %q", name, v)
		}
		if _, err := f.With([]string{"https://c:2379"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoList(t *testing.T) {
	for name, data := range map[string]string{
		"a scheduler":       strings.ReplaceAll(pod("command: [kube-scheduler, --v=2]"), "kube-apiserver", "kube-scheduler"),
		"only the override": pod("command: [kube-apiserver, --etcd-servers-overrides=/events#https://a:2379]"),
		"a Service":         "apiVersion: v1\nkind: Service\n",
		"empty":             "",
	} {
		_, err := readFrom("kube-apiserver.yaml", []byte(data))
		if !errors.Is(err, ErrNotFound) || errors.Is(err, fail.ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// kubelet replaces $(NAME); the cases are those of its documentation.
func TestExpand(t *testing.T) {
	at := func(text string) view { src := &source{data: text}; return verbatim(src, 0, len(text), nil) }
	env := environment{known: map[string]view{"A": at("one"), "EMPTY": {}, "B": at("$(A)")}}
	for text, want := range map[string]string{
		"":                 "",
		"$":                "$",
		"$A ${A}":          "$A ${A}",
		"$(A)":             "one",
		"-$(A)$(A)-":       "-oneone-",
		"$(EMPTY)x":        "x",
		"$(NONE)":          "$(NONE)",
		"$$(A)":            "$(A)",
		"$$$(A)":           "$one",
		"$$$$":             "$$",
		"$(A":              "$(A",
		"$(B)":             "$(A)", // once only
		"$(NONE)$(A)$$(A)": "$(NONE)one$(A)",
		"$()":              "$()",
		"a$":               "a$",
	} {
		if got := env.expand(at(text)); got.text != want || len(got.from) != len(want) {
			t.Errorf("%q gives %q, not %q", text, got.text, want)
		}
	}
}
