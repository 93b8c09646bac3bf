package file

import (
	"context"
	"fmt"
	"time"

	"github.com/etcdha/etcdha/storage"
)

// Now is the time that the file system gives a file. On a network share it is
// that of the server.
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	at, err := s.newest(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask the store for the time: %w", err)
	}
	return at, nil
}

// newest begins a Put that it never commits, where what a crash leaves behind
// is known for what it is. One byte is written: until then a client may have
// dated the file by its own clock.
func (s *Store) newest(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	w, err := s.begin(storage.ProbePrefix + "clock")
	if err != nil {
		return time.Time{}, err
	}
	defer s.end(w)
	if _, err := w.Write([]byte{0}); err != nil {
		return time.Time{}, err
	}
	if err := s.sync(w.file); err != nil { // and a byte may stay here until it has to go
		return time.Time{}, unwritten(err)
	}
	fi, err := w.file.Stat()
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	return fi.ModTime(), nil
}
