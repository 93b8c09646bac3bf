package command

import (
	"os"
	"path/filepath"
	"testing"
)

// The daemon reads its configuration again when the file has changed, or a secret, or a key
// that only a worker opens. A cluster whose keys have changed is another one.
func TestConfigWatch(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.yaml", `
stores:
  s3: {url: "s3://backups/etcd?region=eu-central-1", accessKey: A, secretKeyFile: secret}
defaults:
  endpoints_are: none
`)
	w := &configWatch{path: filepath.Join(dir, "config.yaml")}
	if _, err := w.read(); err == nil {
		t.Fatal("a wrong file was read")
	}
	if w.changed() {
		t.Error("a file that stays wrong has changed")
	}
	write("secret", "one\n")
	write("recipients", "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg\n")
	write("config.yaml", `
stores:
  s3: {url: "s3://backups/etcd?region=eu-central-1", accessKey: A, secretKeyFile: secret}
clusters:
- name: one
  endpoints: [https://127.0.0.1:2379]
  stores: [s3]
  encryption: {recipientsFiles: [recipients]}
  jobs: {snapshot: {schedule: "@hourly"}}
- name: two
  endpoints: [https://127.0.0.1:2379]
  stores: [s3]
  jobs: {snapshot: {schedule: "@hourly"}}
`)
	for _, name := range []string{"config.yaml", "secret", "recipients"} {
		before, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		if w.changed() {
			t.Errorf("before %s was changed, something has", name)
		}
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		write(name, string(old)+"# more\n")
		if !w.changed() {
			t.Errorf("%s has changed, and nobody notices", name)
		}
		after, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		if keys := before.Clusters[0].Files != after.Clusters[0].Files; keys != (name == "recipients") {
			t.Errorf("%s has changed: other keys: %t", name, keys)
		}
		if before.Clusters[1].Files != after.Clusters[1].Files {
			t.Errorf("%s has changed, and a cluster without keys has others", name)
		}
	}
}
