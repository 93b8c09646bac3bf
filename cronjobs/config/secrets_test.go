package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// No log and no encoder tells what is secret in a file that was read.
func TestSecretsArePrintedNowhere(t *testing.T) {
	var all strings.Builder
	for _, path := range []string{"testdata/right/texts.yaml", "testdata/right/defaults.yaml", "../../deploy/config.example.yaml"} {
		file := read(t, path, world)
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			log := slog.New(handler)
			log.Info("read", "file", file, "clusters", file.Clusters, "hook", file.Webhooks, "password", file.Clusters[0].Password)
		}
		for _, value := range []any{file, *file, file.Clusters, file.Stores, file.Webhooks, file.Clusters[0].Password} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			asJSON, err := json.Marshal(value)
			asYAML, yamlErr := yaml.Marshal(value)
			if err != nil || yamlErr != nil {
				t.Fatal(err, yamlErr)
			}
			out.Write(asJSON)
			out.Write(asYAML)
		}
		all.WriteString(out.String())
	}
	hex := fmt.Sprintf("%x", "hunter2")
	if text := strings.ToLower(all.String()); strings.Contains(text, "hunter2") || strings.Contains(text, hex) {
		t.Error("a secret is printed")
	}
	if !strings.Contains(all.String(), "(secret)") || !strings.Contains(all.String(), "production") {
		t.Error("nothing is printed")
	}
	if fmt.Sprint(config.Secret("")) != "" {
		t.Error("no secret looks like one")
	}
}

// The manifests are told what has to be there, without its being there.
func TestReferencesWithoutSecrets(t *testing.T) {
	without := config.Options{
		LookupEnv: func(string) (string, bool) { return config.Placeholder, true },
		ReadFile:  func(string) ([]byte, error) { return []byte(config.Placeholder), nil },
	}
	for _, path := range []string{"testdata/right/texts.yaml", "testdata/right/defaults.yaml", "../../deploy/config.example.yaml", "testdata/wrong/variable-with-wrong-content.yaml"} {
		file := read(t, path, without)
		if strings.HasPrefix(path, "testdata/wrong") {
			continue
		}
		if with := read(t, path, world); !reflect.DeepEqual(file.References(), with.References()) {
			t.Errorf("%s refers to %v, and with its secrets to %v", path, file.References(), with.References())
		}
	}
	var lines []string
	for _, ref := range read(t, "testdata/right/texts.yaml", without).References() {
		lines = append(lines, fmt.Sprintf("%d %s %s", ref.Line, ref.Kind, filepath.Base(ref.Name)))
	}
	want := "4 variable ON_CALL_URL, 6 variable CHAT_TOKEN, 8 variable DOLLAR, 9 secret file chat-url, 10 secret file token, 15 variable BUCKET, " +
		"17 secret file s3-access-key, 18 secret file s3-secret-key, 19 variable SECRET, 23 secret file password"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("references are\n%s\nwant\n%s", got, want)
	}
	lines = nil
	for _, ref := range read(t, "testdata/right/defaults.yaml", without).References() {
		lines = append(lines, fmt.Sprintf("%d %s %s", ref.Line, ref.Kind, ref.Name))
	}
	want = "6 file testdata/right/ca.crt, 6 file testdata/right/client.crt, 6 file testdata/right/client.key, 7 secret file testdata/right/password, " +
		"12 file testdata/right/id, 28 file /etc/other-ca.crt, 29 variable SECRET"
	if got := strings.Join(lines, ", "); got != want {
		t.Errorf("references are\n%s\nwant\n%s", got, want)
	}
}
