package command

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"slices"
	"sync"

	"github.com/etcdha/etcdha/cronjobs/config"
)

// configWatch reads the configuration, and tells whether it or a file that it refers to
// has changed since: with secrets, keys, or certificates.
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
	f, err := config.Read(w.path, config.Options{LookupEnv: os.LookupEnv, ReadFile: func(name string) ([]byte, error) {
		w.sums[name] = sumOf(name)
		return os.ReadFile(name)
	}})
	if err != nil {
		return nil, err
	}
	for i := range f.Clusters {
		f.Clusters[i].Files = w.sumOfFiles(&f.Clusters[i])
	}
	return f, nil
}

// sumOfFiles is one of all that a worker reads when it is opened, and only then.
func (w *configWatch) sumOfFiles(c *config.Cluster) string {
	e := c.Encryption
	all := sha256.New()
	for _, name := range slices.Concat(e.RecipientsFiles, e.IdentityFiles, e.VerifyKeyFiles, []string{e.SignKeyFile}) {
		if name != "" {
			w.sums[name] = sumOf(name)
		}
		sum := w.sums[name]
		all.Write(sum[:]) // of a hash, which has no error
	}
	return hex.EncodeToString(all.Sum(nil))
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
