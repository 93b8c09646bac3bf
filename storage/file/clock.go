package file

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"
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

// newest makes a temporary file as a Put does. One byte is written to it: until
// then a client may have dated it by its own clock.
func (s *Store) newest(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	name := "." + rand.Text() + tempSuffix
	f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return time.Time{}, unwritten(err)
	}
	defer func() {
		_ = f.Close() // nothing depends on what it holds
		_ = s.root.Remove(name)
	}()
	if _, err := f.Write([]byte{0}); err != nil {
		return time.Time{}, unwritten(err)
	}
	if err := s.sync(f); err != nil { // and a byte may stay here until it has to go
		return time.Time{}, unwritten(err)
	}
	fi, err := f.Stat()
	if err != nil {
		return time.Time{}, unavailable(err)
	}
	return fi.ModTime(), nil
}
