package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

// printedManifest runs a command of the version, and returns what it prints.
func printedManifest(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	app := newApp("test")
	var out, errs bytes.Buffer
	app.Writer, app.ErrWriter = &out, &errs
	err = runApp(t.Context(), app, append([]string{"etcdha"}, args...))
	return out.String(), errs.String(), err
}

const configWithSecrets = `
stores:
  s3: {url: "s3://backups/etcd", accessKey: "${S3_ACCESS_KEY}", secretKeyFile: secrets/s3/secret-key}
clusters:
- name: production
  endpoints: ["https://192.0.2.21:2379"]
  stores: [s3]
  jobs: {snapshot: {schedule: "@hourly"}}
`

// Secrets that lie beside the configuration, or in the environment, are not in what is
// printed; nor have they to be there.
func TestManifestsHaveNoSecrets(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etcdha.yaml")
	if err := errors.Join(os.WriteFile(file, []byte(configWithSecrets), 0o600), os.MkdirAll(filepath.Join(dir, "secrets/s3"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"daemon", "cronjob"} {
		for _, form := range []string{"yaml", "json"} {
			args := []string{command, "manifest", "--config", file, "--image", "registry.example/etcdha", "-w", form}
			bare, _, err := printedManifest(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("S3_ACCESS_KEY", "very-secret-access")
			if err := os.WriteFile(filepath.Join(dir, "secrets/s3/secret-key"), []byte("very-secret-key"), 0o600); err != nil {
				t.Fatal(err)
			}
			stdout, stderr, err := printedManifest(t, args...)
			if err != nil || strings.Contains(stdout+stderr, "very-secret") {
				t.Errorf("%s %s: %v:\n%s%s", command, form, err, stdout, stderr)
			}
			if stdout != bare {
				t.Errorf("%s %s: it makes a difference that there are secrets:\n%s", command, form, stdout)
			}
			for _, line := range []string{
				"kubectl -n kube-system create secret generic etcdha-env --from-env-file=etcdha.env  # lines NAME=VALUE: S3_ACCESS_KEY\n",
				"kubectl -n kube-system create secret generic s3 --from-file=secrets/s3/secret-key\n",
			} {
				if !strings.Contains(stderr, line) || form == "yaml" && !strings.Contains(stdout, "#   "+line) {
					t.Errorf("%s %s: %q is not said", command, form, line)
				}
			}
			if form == "json" && !json.Valid([]byte(stdout)) {
				t.Errorf("%s: no JSON: %s", command, stdout)
			}
		}
	}
}

// Which image is to run has to be said.
func TestManifestImage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcdha.yaml")
	if err := os.WriteFile(file, []byte(configWithSecrets), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := printedManifest(t, "daemon", "manifest", "--config", file)
	if !errors.Is(err, fail.ErrUsage) || fail.Hint(err) != "--image IMAGE" || stdout != "" {
		t.Errorf("%v (hint: %s)\n%s", err, fail.Hint(err), stdout)
	}
}

// What is wrong on the command line, or in the file, is a usage error, and nothing is printed.
func TestManifestUsage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcdha.yaml")
	if err := os.WriteFile(file, []byte("clusterz: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for err, args := range map[string][]string{
		"no configuration":           {},
		"no such file":               {"--config", file + ".other"},
		`clusterz`:                   {"--config", file},
		`--write-out "table"`:        {"--config", file, "-w", "table"},
		`--db-size "much"`:           {"--config", file, "--db-size", "much"},
		`--spool-limit "0" is no`:    {"--config", file, "--spool-limit", "0"},
		`--db-size "2EiB" is no siz`: {"--config", file, "--db-size", "2EiB"},
	} {
		stdout, _, got := printedManifest(t, append([]string{"cronjob", "manifest", "--image", "registry.example/etcdha"}, args...)...)
		if !errors.Is(got, fail.ErrUsage) || !strings.Contains(got.Error(), err) || stdout != "" {
			t.Errorf("%v, expected %q:\n%s", got, err, stdout)
		}
	}
}
