package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/manifest"
	"github.com/etcdha/etcdha/internal/fail"
)

// What cannot be run in a pod is refused, with what to do about it.
func TestRefused(t *testing.T) {
	const cluster = "stores: {s3: {url: 's3://backups/etcd'}}\nclusters:\n- {name: c, endpoints: ['https://192.0.2.21:2379'], stores: [s3], jobs: {snapshot: {schedule: '@hourly'}}}\n"
	replaced := func(old, new string) string { return strings.Replace(cluster, old, new, 1) }
	good := manifest.Options{Image: image}
	for name, with := range map[string]struct {
		text   string
		render render
		o      manifest.Options
		err    string
		hint   string
	}{
		"no image":            {cluster, manifest.Daemon, manifest.Options{}, "what is the image", "--image"},
		"a name too long":     {cluster, manifest.Daemon, manifest.Options{Image: image, Name: strings.Repeat("a", 26)}, "at most 25", ""},
		"a name no label":     {cluster, manifest.Daemon, manifest.Options{Image: image, Name: "Etcd"}, `name "Etcd"`, ""},
		"another kind":        {cluster, manifest.Daemon, manifest.Options{Image: image, Kind: "StatefulSet"}, "DaemonSet or Deployment", ""},
		"a socket":            {"server: {listen: 'unix:///run/etcdha.sock'}\n" + cluster, manifest.Daemon, good, "nobody can reach a socket", ":2391"},
		"nothing to monitor":  {cluster, manifest.Daemon, manifest.Options{Image: image, ServiceMonitor: true}, "server.listen", ":2391"},
		"only loopback":       {"server: {listen: '127.0.0.1:2391'}\n" + replaced("192.0.2.21", "127.0.0.1"), manifest.Daemon, manifest.Options{Image: image, ServiceMonitor: true}, "nobody can reach server.listen", ":2391"},
		"no token":            {"server: {listen: ':2391', clientCAFile: secrets/ca/ca.crt}\n" + cluster, manifest.Daemon, manifest.Options{Image: image, ServiceMonitor: true}, "no token to ask the daemon with", "secrets/etcdha-token/token"},
		"a token of the node": {"server: {listen: ':2391', tokenFile: /opt/etcdha/token}\n" + cluster, manifest.Daemon, manifest.Options{Image: image, ServiceMonitor: true}, "no token to ask the daemon with", "secrets/etcdha-token/token"},
		"seconds":             {replaced("@hourly", "30 0 * * * *"), manifest.CronJobs, good, "etcdha.yaml:3: a CronJob cannot have seconds", "first of the six"},
		"every":               {replaced("@hourly", "@every 6h"), manifest.CronJobs, good, `cannot have the schedule "@every 6h"`, "0 */6 * * *"},
		"a variable":          {replaced("@hourly", "${SCHEDULE}"), manifest.CronJobs, good, "cannot have a variable as its schedule", "the schedule itself"},
		"no jobs":             {replaced("snapshot", "health"), manifest.CronJobs, good, "schedules no job that a CronJob could run", "snapshot"},
		"loopback":            {replaced("192.0.2.21", "127.0.0.1"), manifest.Daemon, manifest.Options{Image: image, Kind: manifest.Deployment}, "a Deployment has not 127.0.0.1", "DaemonSet"},
		"a directory":         {replaced("s3://backups/etcd", "/var/backups/etcd"), manifest.Daemon, manifest.Options{Image: image, Kind: manifest.Deployment}, "a Deployment has not /var/backups/etcd", "DaemonSet"},
		"files of the node":   {replaced("stores: [s3]", "stores: [s3], tls: {caFile: /pki/ca.crt}"), manifest.Daemon, manifest.Options{Image: image, Kind: manifest.Deployment}, "a Deployment has not /pki", "secrets/NAME/KEY"},
		"files in /etc":       {replaced("stores: [s3]", "stores: [s3], tls: {caFile: /etc/ca.crt}"), manifest.Daemon, good, "/etc cannot be mounted", "directory of their own"},
		"beside the config":   {replaced("stores: [s3]", "stores: [s3], tls: {caFile: ca.crt}"), manifest.Daemon, good, "/etc/etcdha cannot be mounted", "secrets/NAME/KEY"},
		"deep in a Secret":    {replaced("stores: [s3]", "stores: [s3], tls: {caFile: secrets/a/b/ca.crt}"), manifest.Daemon, good, "cannot be mounted", "secrets/NAME/KEY"},
		"a store as spool":    {"spoolDir: /var/backups\n" + replaced("s3://backups/etcd", "/var/backups/etcd"), manifest.Daemon, good, "/var/backups/etcd cannot be mounted", ""},
		"a directory of root": {replaced("s3://backups/etcd", "/"), manifest.Daemon, good, "/ cannot be mounted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			file, text := written(t, with.text)
			_, err := with.render(file, text, with.o)
			if !errors.Is(err, fail.ErrUsage) || !strings.Contains(err.Error(), with.err) || !strings.Contains(fail.Hint(err), with.hint) {
				t.Errorf("%v (hint: %s), expected %q (hint: %s)", err, fail.Hint(err), with.err, with.hint)
			}
		})
	}
}
