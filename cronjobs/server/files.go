package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// kept is what was made of files. While they change, or are wrong, the last good one stays in use.
type kept[T any] struct {
	mu      sync.Mutex
	read    [][]byte
	value   T
	trouble string // that was logged last
}

// of returns what parse makes of the files' contents.
func (k *kept[T]) of(log *slog.Logger, parse func([][]byte) (T, error), paths ...string) (T, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, err := readAll(paths)
	if err == nil && k.read != nil && same(data, k.read) {
		k.trouble = ""
		return k.value, nil
	}
	var value T
	if err == nil {
		value, err = parse(data)
	}
	switch {
	case err == nil:
		k.read, k.value, k.trouble = data, value, ""
	case k.read == nil:
		return value, err
	case err.Error() != k.trouble:
		k.trouble = err.Error()
		log.Error("a file of the server cannot be used; what it said before stays in use", "files", paths, "error", err)
	}
	return k.value, nil
}

func readAll(paths []string) ([][]byte, error) {
	var all [][]byte
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func same(a, b [][]byte) bool {
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// parsePair makes a certificate of the files certFile and keyFile.
func parsePair(files [][]byte) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, fmt.Errorf("read the server's certificate: %w", err)
	}
	return &cert, nil
}

// parsePool makes a pool of the file clientCAFile.
func parsePool(files [][]byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(files[0]) {
		return nil, errors.New("read the client CA: no certificate is in it")
	}
	return pool, nil
}

// parseToken makes a token of the file tokenFile. As of every file with a secret, the first line
// counts.
func parseToken(files [][]byte) ([]byte, error) {
	line, _, _ := bytes.Cut(files[0], []byte("\n"))
	token := bytes.TrimSpace(line)
	if len(token) == 0 {
		return nil, errors.New("read the token: the first line of the file is empty")
	}
	return token, nil
}

// secretFile is a file with the token in it.
type secretFile struct {
	path string
	log  *slog.Logger
	kept kept[[]byte]
}

// read returns the token, nil if there is none.
func (f *secretFile) read() []byte {
	if f.path == "" {
		return nil
	}
	token, err := f.kept.of(f.log, parseToken, f.path)
	if err != nil {
		return nil
	}
	return token
}
