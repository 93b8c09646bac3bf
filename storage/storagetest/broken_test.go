package storagetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// brokenStores each break one promise, and say which check complains how.
var brokenStores = []struct {
	name, check, complaint string
	broken
}{
	{"loses the last byte", "an object comes back as it was put", "it ends after 99999 bytes", broken{put: changedPut(func(b []byte) []byte { return b[:len(b)-1] })}},
	{"adds a byte", "an object comes back as it was put", "it goes on after 100000 bytes", broken{put: changedPut(func(b []byte) []byte { return append(b, 0) })}},
	{"changes a byte", "an object comes back as it was put", "it differs at byte 70000", broken{put: changedPut(func(b []byte) []byte { b[70000]++; return b })}},
	{"lists the wrong size", "an object comes back as it was put", "list default/", broken{list: changedList(func(o storage.Object) storage.Object { o.Size++; return o })}},
	{"forgets empty objects", "an empty object is an object", "no such object", broken{put: forgetsEmpty}},
	{"keeps the first part only", "an object of several parts comes back whole", "it ends after 8388608 bytes", broken{put: changedPut(func(b []byte) []byte { return b[:min(len(b), part)] })}},
	{"adds to a long name", "an element may have 255 characters", "invalid object key", broken{put: addsToName}},
	{"overwrites", "an object is never overwritten", "second put: <nil>", broken{put: overwrites}},
	{"refuses, but has overwritten", "an object is never overwritten", "it differs at byte 0", broken{put: overwritesAndRefuses}},
	{"looks before it writes", "of many puts of one key exactly one wins", "have both won", broken{put: looksFirst}},
	{"lets nobody win", "of many puts of one key exactly one wins", "no put has won", broken{put: refuses}},
	{"makes a directory once", "many keys can be put at once", "put new/directory/", broken{put: makesDirectory}},
	{"writes under the object's name", "an object is not there before its Put has returned", "is listed with 0", broken{put: writesInPlace}},
	{"keeps what a failing reader gave", "a failing reader leaves nothing", "listed: ", broken{put: keepsPartial}},
	{"takes a failure for the end", "a failing reader leaves nothing", "fails after 0 bytes: <nil>", broken{put: takesForEnd}},
	{"has errors of its own", "a failing reader leaves nothing", "upload failed", broken{put: ownError}},
	{"does not look at its context", "a cancelled context leaves nothing", "put cancelled after 0 bytes: <nil>", broken{put: ignoresContext}},
	{"looks at its context once", "a cancelled context leaves nothing", "put cancelled after 1 bytes: <nil>", broken{put: looksOnce}},
	{"takes any key", "invalid keys are refused", `put "..": <nil>`, broken{put: takesAnyKey}},
	{"opens a directory", "what was never put cannot be opened", "open a: <nil>", broken{open: opensDirectory}},
	{"opens nothing", "what was never put cannot be opened", "file does not exist", broken{open: opensNothing}},
	{"lists backwards", "a prefix is a string, whatever its slashes", `list "b/"`, broken{list: sortedList(func(a, b string) int { return cmp.Compare(b, a) })}},
	{"lists as a directory is walked", "a prefix is a string, whatever its slashes", `list "b": [{b/1`, broken{list: sortedList(func(a, b string) int {
		return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
	})}},
	{"takes a prefix for a directory", "a prefix is a string, whatever its slashes", `list "b/1": [{b/1 3}]; want [{b/1 3} {b/10 4}]`, broken{list: listsDirectory}},
	{"calls an empty listing an error", "a prefix is a string, whatever its slashes", "no such prefix", broken{list: failsOnNothing}},
	{"lists one page", "a listing can be left early", "4 objects, want 5", broken{list: listsPage}},
	{"lists nothing when cancelled", "a cancelled listing does not look empty", `cancelled list "" ends with <nil>`, broken{list: quietWhenCancelled}},
	{"believes what a reader says of its size", "a reader may be mistaken about its size", "no such object", broken{put: believesSize}},
	{"has room for 512 bytes of a key", "a key may have 700 bytes", "File name too long", broken{put: shortKeys}},
	{"opens when cancelled", "a cancelled Open says so", "cancelled open: <nil>", broken{open: opensCancelled}},
	{"ends what is read when cancelled", "what is read when the context ends does not look complete", "ends after 1000 of 16777216 bytes with <nil>", broken{open: endsCancelled}},
	{"keeps no time", "a listing tells when objects were put", "a was put at 0001-01-01", broken{list: changedList(func(o storage.Object) storage.Object { o.Modified = time.Time{}; return o })}},
	{"takes its own time zone for UTC", "a listing tells when objects were put", "want between", broken{list: changedList(func(o storage.Object) storage.Object { o.Modified = o.Modified.Add(time.Hour); return o })}},
	{"lists 1000 objects", "a listing of many pages is complete", `list "": 1000 objects, want 1234; the first difference is at 1000`, broken{list: func(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
		firstObjects(1000, nil)(ctx, m, prefix)(yield)
	}}},
	{"deletes nothing", "a deleted object is gone, and no other", "open b/c: <nil>", broken{remove: deletesNothing}},
	{"deletes by prefix", "a deleted object is gone, and no other", `listed: ["a" "b/d/e" "b/d/f"]`, broken{remove: deletesPrefix}},
	{"takes deletes of any key", "invalid keys are refused", `delete "..": <nil>`, broken{remove: deletesAnything}},
	{"does not find what to delete", "deleting what is not there is no error", "delete a/objec: no such object", broken{remove: deletesFound}},
	{"remembers what it has deleted", "a key can be put again when it was deleted", "object exists already", broken{remove: deletesList, list: hidesDeleted}},
	{"counts what it has listed", "objects can be deleted while they are listed", `listed: ["dir/00/0" "dir/00/2"`, broken{list: listsByOffset}},
	{"fails on a second delete", "many objects can be deleted at once", "no such object", broken{remove: deletesFound}},
	{"does not look at its context to delete", "a cancelled Delete says so", "cancelled delete: <nil>", broken{remove: deletesAnything}},
	{"locks everything", "what was put is not locked by itself", `"until 2030"`, broken{lock: "until 2030"}},
	{"leaves temporary files", "whatever its end, a Put leaves nothing to sweep", "after a put temp is left", broken{left: leavesObjects}},
	{"leaves them when it fails", "whatever its end, a Put leaves nothing to sweep", "after a failed put temp is left", broken{put: leavesWhenItFails, left: leavesFailed}},
	{"tells the time of another", "objects are dated by the clock of the store", "is dated", broken{ahead: time.Minute}},
}

type putFunc = func(ctx context.Context, m *memory, key string, r io.Reader) error

func changedPut(change func([]byte) []byte) putFunc {
	return func(ctx context.Context, m *memory, key string, r io.Reader) error {
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return m.Put(ctx, key, bytes.NewReader(change(data)))
	}
}

func forgetsEmpty(ctx context.Context, m *memory, key string, r io.Reader) error {
	err := m.Put(ctx, key, r)
	if len(m.objects[key].data) == 0 {
		m.drop(key)
	}
	return err
}

func addsToName(ctx context.Context, m *memory, key string, r io.Reader) error {
	if err := storage.CheckKey(key + ".tmp"); err != nil {
		return err
	}
	return m.Put(ctx, key, r)
}

func overwrites(ctx context.Context, m *memory, key string, r io.Reader) error {
	m.drop(key)
	return m.Put(ctx, key, r)
}

func overwritesAndRefuses(ctx context.Context, m *memory, key string, r io.Reader) error {
	_, was := m.objects[key]
	if err := overwrites(ctx, m, key, r); err != nil || !was {
		return err
	}
	return storage.ErrExist
}

// looksFirst writes only when all who race have looked.
func looksFirst(_ context.Context, m *memory, key string, r io.Reader) error {
	m.mu.Lock()
	_, there := m.objects[key]
	m.mu.Unlock()
	data, err := io.ReadAll(r)
	m.looked.Done()
	m.looked.Wait()
	if there {
		return storage.ErrExist
	}
	m.keep(key, data)
	return err
}

func refuses(context.Context, *memory, string, io.Reader) error { return storage.ErrExist }

func makesDirectory(ctx context.Context, m *memory, key string, r io.Reader) error {
	if err := m.Put(ctx, path.Dir(path.Dir(key)), strings.NewReader("")); err != nil {
		return err
	}
	return m.Put(ctx, key, r)
}

func writesInPlace(ctx context.Context, m *memory, key string, r io.Reader) error {
	m.keep(key, nil)
	return takesAnyKey(ctx, m, key, r)
}

func keepsPartial(_ context.Context, m *memory, key string, r io.Reader) error {
	data, err := io.ReadAll(r)
	m.keep(key, data)
	return err
}

func takesForEnd(ctx context.Context, m *memory, key string, r io.Reader) error {
	data, _ := io.ReadAll(r)
	return m.Put(ctx, key, bytes.NewReader(data))
}

func ownError(ctx context.Context, m *memory, key string, r io.Reader) error {
	if m.Put(ctx, key, r) != nil {
		return errors.New("upload failed")
	}
	return nil
}

func ignoresContext(_ context.Context, m *memory, key string, r io.Reader) error {
	return m.Put(context.Background(), key, r)
}

func looksOnce(ctx context.Context, m *memory, key string, r io.Reader) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return ignoresContext(ctx, m, key, r)
}

func takesAnyKey(_ context.Context, m *memory, key string, r io.Reader) error {
	data, err := io.ReadAll(r)
	m.keep(key, data)
	return err
}

func believesSize(ctx context.Context, m *memory, key string, r io.Reader) error {
	if s, ok := r.(storage.Sized); ok {
		r = io.LimitReader(r, s.MaxSize())
	}
	err := m.Put(ctx, key, r)
	if len(m.objects[key].data) == 0 {
		m.drop(key)
	}
	return err
}

func shortKeys(ctx context.Context, m *memory, key string, r io.Reader) error {
	if len(key) > 512 {
		return errors.New("File name too long")
	}
	return m.Put(ctx, key, r)
}

func opensDirectory(ctx context.Context, m *memory, key string) (io.ReadCloser, error) {
	if key == "a" {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return m.Open(ctx, key)
}

func opensNothing(ctx context.Context, m *memory, key string) (io.ReadCloser, error) {
	r, err := m.Open(ctx, key)
	if err != nil {
		err = errors.New("file does not exist")
	}
	return r, err
}

func opensCancelled(_ context.Context, m *memory, key string) (io.ReadCloser, error) {
	return m.Open(context.Background(), key)
}

// endsCancelled takes the end of the context for the end of the object.
func endsCancelled(ctx context.Context, m *memory, key string) (io.ReadCloser, error) {
	r, err := m.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, io.EOF
		}
		return r.Read(p)
	})), nil
}

type listFunc = func(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool)

func changedList(change func(storage.Object) storage.Object) listFunc {
	return func(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
		for o, err := range m.List(ctx, prefix) {
			if !yield(change(o), err) {
				return
			}
		}
	}
}

func sortedList(order func(a, b string) int) listFunc {
	return func(_ context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
		var objects []storage.Object
		for _, o := range m.sorted() {
			if strings.HasPrefix(o.Key, prefix) {
				objects = append(objects, o)
			}
		}
		slices.SortFunc(objects, func(a, b storage.Object) int { return order(a.Key, b.Key) })
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func listsDirectory(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	for o, err := range m.List(ctx, prefix) {
		inside := prefix == "" || o.Key == prefix || strings.HasPrefix(o.Key, strings.TrimSuffix(prefix, "/")+"/")
		if inside && !yield(o, err) {
			return
		}
	}
}

func failsOnNothing(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	for o, err := range m.List(ctx, prefix) {
		yield(o, err)
		return
	}
	yield(storage.Object{}, errors.New("no such prefix"))
}

func listsPage(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	firstObjects(4, nil)(ctx, m, prefix)(yield)
}

func quietWhenCancelled(ctx context.Context, m *memory, prefix string, yield func(storage.Object, error) bool) {
	if ctx.Err() == nil {
		m.List(ctx, prefix)(yield)
	}
}
