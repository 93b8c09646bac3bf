package dbfile_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// alterKeys adds raw pairs to the key bucket of a snapshot.
func alterKeys(t testing.TB, snap []byte, pairs ...pair) []byte {
	return alter(t, snap, func(tx backend.UnsafeReadWriter) {
		for _, p := range pairs {
			tx.UnsafePut(schema.Key, []byte(p.key), []byte(p.value))
		}
	})
}

func TestValuesAreCountedByKind(t *testing.T) {
	encrypted := func(name string) dbfile.Values {
		return dbfile.Values{Encrypted: map[string]int64{name: 1}}
	}
	for _, c := range []struct {
		value string
		want  dbfile.Values
	}{
		{"k8s\x00\n\x0f\n\x02v1\x12\tConfigMap", dbfile.Values{Protobuf: 1}},
		{"k8s\x00", dbfile.Values{Protobuf: 1}},
		{`{"kind":"Widget"}`, dbfile.Values{JSON: 1}},
		{"{", dbfile.Values{JSON: 1}},
		{"", dbfile.Values{Other: 1}},
		{"k8s", dbfile.Values{Other: 1}},
		{"[1]", dbfile.Values{Other: 1}},
		{" {}", dbfile.Values{Other: 1}},
		{"k8s:enc", dbfile.Values{Other: 1}},
		{"k8s:enc:aescbc:v1:key1:\x01\x02", encrypted("aescbc:v1:key1")},
		{"k8s:enc:aesgcm:v1:key-2:x:y:z", encrypted("aesgcm:v1:key-2")},
		{"k8s:enc:secretbox:v1:key1:", encrypted("secretbox:v1:key1")},
		{"k8s:enc:kms:v1:vault:\x00", encrypted("kms:v1:vault")},
		{"k8s:enc:kms:v2:vault:\n\x10", encrypted("kms:v2:vault")},
		{"k8s:enc:", encrypted("(malformed)")},
		{"k8s:enc:aescbc:v1:key1", encrypted("(malformed)")},
		{"k8s:enc:aescbc:v1:" + strings.Repeat("k", 300) + ":x", encrypted("(malformed)")},
	} {
		m := newMember(t)
		m.put("/registry/things/a", []byte(c.value))
		m.put("/registry/things/b", []byte("deleted"))
		m.delete("/registry/things/b") // the tombstone is no value; the put before it is one
		c.want.Other++
		if r := inspect(t, m.snapshot()); !reflect.DeepEqual(r.Values, c.want) {
			t.Errorf("%.40q: got %+v, want %+v", c.value, r.Values, c.want)
		}
	}
}

// A hostile file cannot grow the report with a name for every record.
func TestEncryptionNamesAreBounded(t *testing.T) {
	m := newMember(t)
	for i := range 500 {
		m.put("/registry/secrets/default/a", fmt.Appendf(nil, "k8s:enc:aescbc:v1:key%d:x", i))
	}
	v := inspect(t, m.snapshot()).Values
	var sum int64
	for _, n := range v.Encrypted {
		sum += n
	}
	if len(v.Encrypted) != 65 || v.Encrypted["(others)"] != 500-64 || sum != 500 {
		t.Errorf("%d names for %d values, %d of them others", len(v.Encrypted), sum, v.Encrypted["(others)"])
	}
}

// Every record counts, also those that a later one supersedes.
func TestValuesOfHistory(t *testing.T) {
	m := newMember(t)
	h := newHistory(m, seeded(21))
	h.live(300)
	r := inspect(t, m.snapshot())
	puts := int64(0)
	for _, p := range pairsOf(m.be, schema.Key) {
		if len(p.key) == 17 {
			puts++
		}
	}
	sum := r.Values.Protobuf + r.Values.JSON + r.Values.Other
	for _, name := range []string{"aescbc:v1:key1", "secretbox:v1:key2", "kms:v2:vault"} {
		sum += r.Values.Encrypted[name]
		if r.Values.Encrypted[name] == 0 {
			t.Errorf("no value of %s", name)
		}
	}
	if sum != puts || r.Values.Protobuf == 0 || r.Values.JSON == 0 || r.Values.Other == 0 {
		t.Errorf("%+v of %d puts", r.Values, puts)
	}
	if r.Records <= puts {
		t.Errorf("%d records with %d puts", r.Records, puts)
	}
}
