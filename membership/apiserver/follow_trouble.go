package apiserver

import (
	"errors"
	"fmt"
	"log/slog"
)

// stageError is what failed in a look. Its stage stays the same from one look to
// the next, while the text of the error often does not.
type stageError struct {
	stage string
	err   error
}

func during(stage string, err error) error {
	return &stageError{stage, err}
}

func (e *stageError) Error() string { return fmt.Sprintf("%s: %v", e.stage, e.err) }

func (e *stageError) Unwrap() error { return e.err }

// trouble says once what goes wrong, and once that it is over.
type trouble struct {
	log   *slog.Logger
	stage string
}

func (t *trouble) tell(err error) {
	stage := ""
	if err != nil {
		stage = "look"
		if s, ok := errors.AsType[*stageError](err); ok {
			stage = s.stage
		}
	}
	switch {
	case stage == t.stage:
	case stage != "":
		t.log.Warn("cannot follow", "why", err)
	default:
		t.log.Info("following again", "after", t.stage)
	}
	t.stage = stage
}
