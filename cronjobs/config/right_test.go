package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/snapshot/retention"
)

func read(t *testing.T, path string, o config.Options) *config.File {
	t.Helper()
	file, err := config.Read(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSmallestFile(t *testing.T) {
	file := read(t, "testdata/right/one-cluster.yaml", world)
	if file.Concurrency != 4 || file.Server.Listen != "" || file.SpoolDir != "" || len(file.Webhooks) != 0 {
		t.Errorf("defaults of the file are %+v", file)
	}
	if len(file.Clusters) != 1 {
		t.Fatalf("there are %d clusters", len(file.Clusters))
	}
	c := file.Clusters[0]
	if c.Name != "production" || c.Line != 4 || c.Sample != 1.0/7 || c.Rehearsal.Members != 3 || c.Rehearsal.Kubernetes || c.Local != "" || c.User != "" {
		t.Errorf("cluster is %+v", c)
	}
	if len(c.Stores) != 1 || c.Stores[0].URL != "s3://backups/etcd?region=eu-central-1" || c.Stores[0].AccessKey != "" {
		t.Errorf("stores are %+v", c.Stores)
	}
	if len(c.Jobs) != 1 || c.Jobs[0].Name != config.Snapshot || c.Jobs[0].Spec != "0 * * * *" || c.Jobs[0].Deadline != time.Hour || c.Jobs[0].Jitter != 0 {
		t.Errorf("jobs are %+v", c.Jobs)
	}
	next := c.Jobs[0].Schedule.Next(time.Date(2026, 8, 1, 6, 30, 0, 0, time.UTC))
	if next.Format(time.TimeOnly) != "07:00:00" {
		t.Errorf("the next slot is %v", next)
	}
	if refs := file.References(); len(refs) != 0 {
		t.Errorf("it refers to %v", refs)
	}
}

func TestDefaultsAreTaken(t *testing.T) {
	file := read(t, "testdata/right/defaults.yaml", world)
	c := file.Clusters[0]
	dir := "testdata/right/"
	if c.CACert != dir+"ca.crt" || c.Cert != dir+"client.crt" || c.Key != dir+"client.key" || c.User != "root" || c.Password.Reveal() != "hunter2" {
		t.Errorf("it connects by %s, %s, %s as %s", c.CACert, c.Cert, c.Key, c.User)
	}
	berlin, _ := time.LoadLocation("Europe/Berlin")
	if want := (retention.Policy{Last: 3, Daily: 14, Within: 36 * time.Hour, Location: c.Keep.Location}); c.Keep != want || c.Keep.Location.String() != berlin.String() {
		t.Errorf("it keeps %+v", c.Keep)
	}
	if got := storeNames(c); got != "a b" || c.Stores[1].URL != dir+"backups" {
		t.Errorf("it stores in %s, %+v", got, c.Stores)
	}
	if !reflect.DeepEqual(c.Zones, map[string]string{"m1": "a", "m2": "b"}) || c.Sample != 0.2 || c.Rehearsal != (config.Rehearsal{Members: 5, Kubernetes: true}) {
		t.Errorf("cluster is %+v", c)
	}
	if got := jobsOf(c); got != "snapshot 0 * * * * 5m0s 30m0s, rehearse @weekly 0s 12h0m0s, prune 30 2 * * * 0s 1h0m0s, health @every 1m 0s 1m0s" {
		t.Errorf("its jobs are %s", got)
	}
	if got := nextOf(t, c, config.Prune); got != "2026-08-01 06:30:00" {
		t.Errorf("it prunes at %s", got)
	}
}

func TestClusterOverridesKeyByKey(t *testing.T) {
	file := read(t, "testdata/right/defaults.yaml", world)
	c := file.Clusters[1]
	if c.CACert != "/etc/other-ca.crt" || c.Cert != "testdata/right/client.crt" || c.Local != "https://127.0.0.1:2379" {
		t.Errorf("it connects by %s, %s, %s", c.CACert, c.Cert, c.Local)
	}
	if c.User != "root" || c.Password.Reveal() != "hunter2" {
		t.Errorf("it logs in as %s", c.User)
	}
	if !reflect.DeepEqual(c.Zones, map[string]string{"n1": "x"}) {
		t.Errorf("zones are merged: %v", c.Zones)
	}
	if got := storeNames(c); got != "c" || c.Stores[0].URL != "file:///var/backups" {
		t.Errorf("it stores in %s, %+v", got, c.Stores)
	}
	if len(c.Encryption.Recipients) != 0 || !reflect.DeepEqual(c.Encryption.IdentityFiles, []string{"testdata/right/id"}) {
		t.Errorf("it encrypts by %+v", c.Encryption)
	}
	if want := (retention.Policy{Last: 3, Weekly: 8, Within: 36 * time.Hour, Location: c.Keep.Location}); c.Keep != want {
		t.Errorf("it keeps %+v", c.Keep)
	}
	if c.Rehearsal != (config.Rehearsal{Members: 1, Kubernetes: true}) || c.Sample != 0.2 {
		t.Errorf("it rehearses %+v", c.Rehearsal)
	}
	if got := jobsOf(c); got != "snapshot 0 * * * * 10m0s 30m0s, verify @daily 0s 24h0m0s, health @every 1m 0s 1m0s" {
		t.Errorf("its jobs are %s", got)
	}
	if got := nextOf(t, c, config.Verify); got != "2026-08-01 15:00:00" { // midnight in Tokyo
		t.Errorf("it verifies at %s", got)
	}
}

func storeNames(c config.Cluster) string {
	var names []string
	for _, s := range c.Stores {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func jobsOf(c config.Cluster) string {
	var jobs []string
	for _, j := range c.Jobs {
		jobs = append(jobs, fmt.Sprintf("%s %s %v %v", j.Name, j.Spec, j.Jitter, j.Deadline))
	}
	return strings.Join(jobs, ", ")
}

// nextOf is when a job runs first in August.
func nextOf(t *testing.T, c config.Cluster, name config.JobName) string {
	t.Helper()
	for _, j := range c.Jobs {
		if j.Name == name {
			return j.Schedule.Next(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)).Format(time.DateTime)
		}
	}
	t.Fatalf("%s is no job of %s", name, c.Name)
	return ""
}

func TestTexts(t *testing.T) {
	file := read(t, "testdata/right/texts.yaml", world)
	first, second := file.Webhooks[0], file.Webhooks[1]
	if first.URL.Reveal() != "https://example.com/hunter2" || second.URL.Reveal() != "https://chat.example.com/hunter2" {
		t.Errorf("webhooks are %q and %q", first.URL.Reveal(), second.URL.Reveal())
	}
	for name, want := range map[string]string{
		"Authorization": "Bearer hunter2", "X-Price": "$5 is $5, and $${SECRET}",
		"X-Again": "${SECRET}", // what a variable contains is not looked at again
	} {
		if got := second.Headers[name].Reveal(); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	if file.Server.Listen != "unix:///run/etcdha.sock" || file.Server.TokenFile != "testdata/right/token" || file.SpoolDir != "testdata/right/spool" || file.Concurrency != 12 {
		t.Errorf("file is %+v", file)
	}
	store := file.Clusters[0].Stores[0]
	if store.Name != "1.10" || store.URL != "s3://backups/etcd" || store.AccessKey != "AKIA" || store.SecretKey.Reveal() != "hunter2" || store.SessionToken.Reveal() != "hunter2" {
		t.Errorf("store is %+v", store)
	}
	a, b := file.Clusters[0], file.Clusters[1]
	if a.Name != "1.10" || a.User != "0123" || b.Name != "true" || !b.InsecureTransport || b.InsecureSkipVerify || !reflect.DeepEqual(a.Endpoints, b.Endpoints) || len(b.Endpoints) != 2 {
		t.Errorf("clusters are %+v", file.Clusters)
	}
}

// What is needed in several places is named once, with the first line, wherever in the file that is.
func TestReferenceIsThatOfTheFirstLine(t *testing.T) {
	file, err := config.ReadData("config.yaml", []byte(`
clusters:
- {name: a, endpoints: ["https://10.0.0.11:2379"], auth: {user: root, password: "${SECRET}"}, stores: [s3], jobs: {snapshot: {schedule: "@hourly"}}}
stores: {s3: {url: "s3://backups/etcd"}}
webhooks: [{name: on-call, url: "https://example.com/${SECRET}"}]
`), world)
	if err != nil {
		t.Fatal(err)
	}
	if want := []config.Reference{{Kind: config.Variable, Name: "SECRET", Line: 3}}; !reflect.DeepEqual(file.References(), want) {
		t.Errorf("references are %v", file.References())
	}
}

// A file that is read again is the same, so that a reload disturbs nobody.
func TestReadAgain(t *testing.T) {
	for _, path := range []string{"testdata/right/defaults.yaml", "testdata/right/texts.yaml", "../../deploy/config.example.yaml"} {
		first, again := read(t, path, world), read(t, path, world)
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%s has changed", path)
		}
		for i, c := range first.Clusters {
			if location := again.Clusters[i].Keep.Location; c.Keep.Location != location {
				t.Errorf("%s: the zone of %s was loaded twice", path, c.Name)
			}
		}
	}
	other := world
	other.LookupEnv = func(name string) (string, bool) { return "https://other.example.com", true }
	first, changed := read(t, "testdata/right/defaults.yaml", world), read(t, "testdata/right/defaults.yaml", other)
	if !reflect.DeepEqual(first.Clusters[0], changed.Clusters[0]) || reflect.DeepEqual(first.Clusters[1], changed.Clusters[1]) {
		t.Error("a new password changes another cluster than its own")
	}
}

// However many clusters need a secret, its file is read once.
func TestSecretFilesAreReadOnce(t *testing.T) {
	reads := make(map[string]int)
	counting := world
	counting.ReadFile = func(name string) ([]byte, error) {
		reads[name]++
		return []byte("hunter2"), nil
	}
	file, err := config.ReadData("file.yaml", manyClusters(5), counting)
	if err != nil || file.Clusters[4].Password.Reveal() != "hunter2" {
		t.Fatal(err)
	}
	if want := map[string]int{"key": 1, "password": 1}; !reflect.DeepEqual(reads, want) {
		t.Errorf("files were read: %v", reads)
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	_, err := config.Read(filepath.Join(t.TempDir(), "none.yaml"), world)
	checkErrors(t, err)
	if !strings.Contains(err.Error(), "none.yaml: it cannot be read: no such file") {
		t.Errorf("error is %v", err)
	}
	_, err = config.Read(t.TempDir(), world)
	checkErrors(t, err)
}

// Without options, variables and files are those of the process.
func TestVariablesAndFilesOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ETCDHA_TEST_BUCKET", "from-the-environment")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("password", "from the file\n")
	write("config.yaml", `
stores: {s3: {url: "s3://${ETCDHA_TEST_BUCKET}/etcd"}}
clusters: [{name: a, endpoints: ["https://10.0.0.11:2379"], auth: {user: root, passwordFile: password}, stores: [s3], jobs: {snapshot: {schedule: "@hourly"}}}]
`)
	file := read(t, filepath.Join(dir, "config.yaml"), config.Options{})
	if file.Stores[0].URL != "s3://from-the-environment/etcd" || file.Clusters[0].Password.Reveal() != "from the file" {
		t.Errorf("file is %+v", file)
	}
}
