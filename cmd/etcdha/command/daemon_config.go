package command

import (
	"crypto/sha256"
	"os"
	"sync"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// configWatch reads the configuration, and tells whether it or a secret that it refers
// to has changed since.
type configWatch struct {
	path string

	mu   sync.Mutex
	sums map[string]contentSum // of each file when it was read
}

type contentSum [sha256.Size]byte

// sumOf is zero for what cannot be read.
func sumOf(name string) contentSum {
	data, err := os.ReadFile(name)
	if err != nil {
		return contentSum{}
	}
	return sha256.Sum256(data)
}

func (w *configWatch) read() (*config.File, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sums = map[string]contentSum{w.path: sumOf(w.path)} // what changes from now on is read again
	return config.Read(w.path, config.Options{LookupEnv: os.LookupEnv, ReadFile: func(name string) ([]byte, error) {
		w.sums[name] = sumOf(name)
		return os.ReadFile(name)
	}})
}

func (w *configWatch) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, sum := range w.sums {
		if sumOf(name) != sum {
			return true
		}
	}
	return false
}
