package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// Whatever stands in a file, it is either read or answered with lines that help, and no
// answer has the content of a variable or of a file.
func FuzzRead(f *testing.F) {
	for _, pattern := range []string{"testdata/wrong/*.yaml", "testdata/right/*.yaml", "../../deploy/config.example.yaml"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	const secret = "\x01kept to itself\x02"
	o := config.Options{
		LookupEnv: func(name string) (string, bool) { return secret, name != "NOT_SET" },
		ReadFile:  func(string) ([]byte, error) { return []byte(secret), nil },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := config.ReadData("dir/file.yaml", data, o)
		if (file == nil) == (err == nil) {
			t.Fatalf("file is %v, and the error %v", file, err)
		}
		if err == nil {
			return
		}
		all, ok := err.(config.Errors) //nolint:errorlint // no other type may come back
		if !ok || len(all) == 0 {
			t.Fatalf("%v is %T", err, err)
		}
		lines := 1
		for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} { // YAML's
			lines += strings.Count(string(data), lineBreak)
		}
		for _, one := range all {
			if one.What == "" || one.Fix == "" || one.Line < 0 || one.Line > lines || strings.ContainsAny(one.Error(), "\n\r") {
				t.Fatalf("%q, in a file of %d lines", one, lines)
			}
			if strings.Contains(one.Error(), "kept to itself") {
				t.Fatalf("%v tells a secret", one)
			}
		}
	})
}

// manyClusters is a file of so many.
func manyClusters(count int) []byte {
	var text strings.Builder
	text.WriteString(`stores:
  s3: {url: "s3://backups/etcd?region=eu-central-1", accessKeyFile: key, secretKeyFile: key}
defaults:
  tls: {caFile: ca.crt, certFile: client.crt, keyFile: client.key}
  auth: {user: root, passwordFile: password}
  stores: [s3]
  encryption: {recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p], identityFiles: [id]}
  keep: {last: 3, daily: 14, timeZone: Europe/Berlin}
  jobs:
    timeZone: Europe/Berlin
`)
	for i, job := range config.JobNames {
		fmt.Fprintf(&text, "    %s: {schedule: \"%d 2 * * *\", jitter: 5m}\n", job, i)
	}
	text.WriteString("clusters:\n")
	for i := range count {
		fmt.Fprintf(&text, "- name: c%d\n  endpoints: [\n    https://10.0.%d.%d:2379,\n    https://10.1.%d.%d:2379,\n  ]\n  jobs:\n    snapshot: {schedule: \"%d * * * *\"}\n",
			i, i/256, i%256, i/256, i%256, i%60)
	}
	return []byte(text.String())
}

func BenchmarkReadOf500Clusters(b *testing.B) {
	data := manyClusters(500)
	b.ReportAllocs()
	for b.Loop() {
		file, err := config.ReadData("file.yaml", data, world500)
		if err != nil || len(file.Clusters) != 500 {
			b.Fatal(err)
		}
	}
}

// An error at the end of a file of many clusters is found in its line.
func TestErrorAfterManyClusters(t *testing.T) {
	data := manyClusters(500)
	line := strings.Count(string(data), "\n") + 2
	_, err := config.ReadData("file.yaml", append(data, "- name: last\n  endpoints: [unclosed\n  stores: [s3]\n"...), world500)
	checkErrors(t, err)
	if want := fmt.Sprintf("file.yaml:%d: ", line); !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error is %v, want it in line %d", err, line)
	}
}

var world500 = config.Options{ReadFile: func(string) ([]byte, error) { return []byte("hunter2"), nil }, LookupEnv: world.LookupEnv}
