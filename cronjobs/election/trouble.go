package election

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/etcdha/etcdha/internal/fail"
)

// trouble logs when it begins and when it ends, and nothing in between.
type trouble struct {
	log       *slog.Logger
	now       func() time.Time
	level     slog.Level
	what, end string // what is logged

	mu    sync.Mutex
	err   error // nil: there is none
	since time.Time
}

func (t *trouble) began(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.since = t.now()
		t.log.Log(context.Background(), t.level, t.what, "why", err, "hint", fail.Hint(err))
	}
	t.err = err
}

func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		t.log.Info(t.end)
	}
	t.err = nil
}

// forget ends it without a word, where something else is said instead.
func (t *trouble) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = nil
}

func (t *trouble) get() (since time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		return time.Time{}, nil
	}
	return t.since, t.err
}
