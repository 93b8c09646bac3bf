package config

import (
	"slices"
	"strings"

	"github.com/xrash/smetrics"

	"github.com/etcdha/etcdha/storage/s3"
)

// shape is a kind of section, and the keys that it may have.
type shape struct {
	name string // for people, as in "a key of NAME"
	keys []string
	// below are the shapes of the keys that are sections themselves.
	below map[string]*shape
}

var (
	fileShape = &shape{name: "the file", keys: []string{"server", "concurrency", "spoolDir", "webhooks", "stores", "defaults", "clusters"},
		below: map[string]*shape{"server": serverShape, "webhooks": webhookShape, "stores": storeShape, "defaults": defaultsShape, "clusters": clusterShape}}
	serverShape  = &shape{name: "server", keys: []string{"listen", "certFile", "keyFile", "tokenFile", "clientCAFile"}}
	webhookShape = &shape{name: "a webhook", keys: []string{"name", "url", "urlFile", "headers"}}
	storeShape   = &shape{name: "a store", keys: []string{"url", "accessKey", "accessKeyFile", "secretKey", "secretKeyFile", "sessionToken", "sessionTokenFile"}}

	defaultsShape = &shape{name: "defaults", keys: []string{"tls", "auth", "zones", "stores", "encryption", "keep", "rehearsal", "sample", "jobs"},
		below: map[string]*shape{"tls": tlsShape, "auth": authShape, "encryption": encryptionShape, "keep": keepShape, "rehearsal": rehearsalShape, "jobs": jobsShape}}
	clusterShape = &shape{name: "a cluster", keys: append([]string{"name", "endpoints", "local"}, defaultsShape.keys...), below: defaultsShape.below}

	tlsShape        = &shape{name: "tls", keys: []string{"caFile", "certFile", "keyFile", "insecureTransport", "insecureSkipVerify"}}
	authShape       = &shape{name: "auth", keys: []string{"user", "password", "passwordFile"}}
	encryptionShape = &shape{name: "encryption", keys: []string{"recipients", "recipientsFiles", "identityFiles", "signKeyFile", "verifyKeyFiles"}}
	keepShape       = &shape{name: "keep", keys: []string{"last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "timeZone"}}
	rehearsalShape  = &shape{name: "rehearsal", keys: []string{"members", "kubernetes", "etcd"}}
	jobShape        = &shape{name: "a job", keys: []string{"schedule", "jitter", "deadline", "timeZone"}}
	jobsShape       = newJobsShape()
)

func newJobsShape() *shape {
	k := &shape{name: "jobs", keys: []string{"timeZone"}, below: make(map[string]*shape)}
	for _, name := range JobNames {
		k.keys = append(k.keys, string(name))
		k.below[string(name)] = jobShape
	}
	return k
}

// shapes are all of them, in the order in which people read the file.
func shapes() []*shape {
	return []*shape{fileShape, serverShape, webhookShape, storeShape, clusterShape, defaultsShape, tlsShape, authShape, encryptionShape, keepShape, rehearsalShape, jobsShape, jobShape}
}

func (k *shape) has(key string) bool { return slices.Contains(k.keys, key) }

// fix says what to write in place of a key that the section cannot have.
func (k *shape) fix(key string) string {
	if near := k.nearest(key); near != "" {
		return "did you mean " + near + "?"
	}
	if k == storeShape && slices.ContainsFunc(s3.Params, func(p s3.Param) bool { return plain(p.Name) == plain(key) }) {
		return "settings of S3 go into the URL, as in url: s3://backups/etcd?region=eu-central-1"
	}
	if k == defaultsShape && clusterShape.has(key) {
		return "each cluster has its own; move it to the clusters"
	}
	var elsewhere []string
	for _, other := range shapes() {
		if other.has(key) && other != k {
			elsewhere = append(elsewhere, other.name)
		}
	}
	if len(elsewhere) > 0 {
		return "it is a key of " + strings.Join(elsewhere, ", ") + "; check the indentation"
	}
	return "known here are " + strings.Join(k.keys, ", ")
}

// others are what other tools call a key.
var others = map[string]string{
	"cacert": "caFile", "cert": "certFile", "key": "keyFile", "username": "user", "cron": "schedule", "interval": "schedule", "retention": "keep",
}

// nearest returns the key that was probably meant, or "".
func (k *shape) nearest(key string) string {
	if other := others[plain(key)]; k.has(other) {
		return other
	}
	return nearest(key, k.keys)
}

// nearest returns the name that was probably meant, or "".
func nearest(given string, names []string) string {
	// Two letters in five may be wrong, and one always.
	best, found := max(1, len(given)*2/5), ""
	for _, name := range names {
		if d := smetrics.WagnerFischer(plain(given), plain(name), 1, 1, 1); d <= best && (found == "" || d < best) {
			best, found = d, name
		}
	}
	return found
}

// plain writes a name without what differs between the customs of writing names.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}
