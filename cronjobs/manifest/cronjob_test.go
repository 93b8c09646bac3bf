package manifest_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/manifest"
)

// Names of CronJobs fit, are names for DNS, and tell clusters apart.
func TestCronJobNames(t *testing.T) {
	clusters := []string{
		"production", "production-eu", "Production", "PRODUCTION", "production.eu", "production_eu", "production-", "7",
		"a-cluster-with-a-name-that-is-longer-than-any-name-of-a-cronjob-may-be", "a-cluster-with-a-name-that-is-longer-than-any-name-of-a-cronjob-may-bee",
	}
	text := "stores: {s3: {url: 's3://backups/etcd'}}\ndefaults:\n  stores: [s3]\n  keep: {daily: 14}\n" +
		"  jobs: {snapshot: {schedule: '@hourly'}, verify: {schedule: '@weekly'}, verify-sample: {schedule: '@daily'}, prune: {schedule: '@daily'}}\nclusters:\n"
	for _, c := range clusters {
		text += "- {name: '" + c + "', endpoints: ['https://192.0.2.21:2379']}\n"
	}
	file, raw := written(t, text)
	for _, name := range []string{"etcdha", "b", "the-name-of-an-installatn"} {
		m, err := manifest.CronJobs(file, raw, manifest.Options{Image: image, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, o := range objects(t, m) {
			if o["kind"] != "CronJob" {
				continue
			}
			got := at(o, "metadata", "name").(string)
			if len(got) > 52 || strings.Trim(got, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Contains(got, "--") || seen[got] {
				t.Errorf("%q is too long, no name, or taken", got)
			}
			seen[got] = true
		}
		if want := 4 * len(clusters); len(seen) != want {
			t.Errorf("%d CronJobs, expected %d", len(seen), want)
		}
		if !seen[name+"-production-snapshot"] {
			t.Errorf("a plain name is not kept: %v", slices.Sorted(maps.Keys(seen)))
		}
	}
}
