package dbfile_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/etcdha/etcdha/snapshot/dbfile"
)

// saveSnapshot writes a snapshot with three puts and a delete.
func saveSnapshot(dir string) (path string) {
	m := startMember(filepath.Join(dir, "member.db"))
	defer m.stop()
	m.put("/registry/pods/default/a", []byte(`{"kind":"Pod"}`))
	m.put("/registry/pods/default/b", []byte(`{"kind":"Pod"}`))
	m.put("/registry/secrets/default/c", []byte("k8s:enc:aescbc:v1:key1:..."))
	m.delete("/registry/pods/default/b")
	path = filepath.Join(dir, "snapshot.db")
	must(os.WriteFile(path, m.snapshot(), 0o600))
	return path
}

// A snapshot is proven by its digest, its form and its content, in this order
// of cost; then it can be read.
func Example() {
	dir, err := os.MkdirTemp("", "dbfile")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	file, err := os.Open(saveSnapshot(dir))
	if err != nil {
		panic(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}

	ctx := context.Background()
	db, err := dbfile.Open(file, info.Size())
	if err != nil {
		panic(err)
	}
	if err := db.CheckSnapshotForm(); err != nil {
		panic(err)
	}
	if err := db.Digest(ctx); err != nil {
		panic(err)
	}
	report, err := db.Inspect(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("revision", report.Revision, "with", report.TotalKeys, "keys")
	fmt.Println("encrypted:", report.Values.Encrypted)
	err = db.ForEachRecord(ctx, 4, func(r dbfile.Record) error {
		fmt.Printf("%d %s deleted=%v\n", r.Main, r.Key, r.Tombstone)
		return nil
	})
	if err != nil {
		panic(err)
	}

	// Output:
	// revision 5 with 2 keys
	// encrypted: map[aescbc:v1:key1:1]
	// 4 /registry/secrets/default/c deleted=false
	// 5 /registry/pods/default/b deleted=true
}
