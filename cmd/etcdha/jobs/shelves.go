package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// storeWait is how long a store may take for what is little to ask: less than any of those
// wait who ask several, so that one that hangs takes no other one's answer away.
const storeWait = 8 * time.Second

// answer is what one store has said.
type answer[T any] struct {
	value T
	err   error // names the store
}

// ask asks all stores at the same time, and returns their answers in the order of the
// configuration. One that does not answer in time is given up, also where a mount hangs,
// which no context ends.
func ask[T any](ctx context.Context, w *Worker, wait time.Duration, question func(context.Context, *shelf) (T, error)) []answer[T] {
	answers := make([]answer[T], len(w.shelves))
	var asking sync.WaitGroup
	for i, s := range w.shelves {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			value, err := within(ctx, 0, func() (T, error) { return question(ctx, s) })
			answers[i] = answer[T]{value, inNamed(s.config.Name, err)}
		})
	}
	asking.Wait()
	return answers
}

// tidying is how long a job may take to end once it has to: members of a rehearsal are
// stopped, and files removed. What takes longer hangs.
const tidying = time.Minute

// within does something, and gives it up when ctx has ended and grace has passed since.
func within[T any](ctx context.Context, grace time.Duration, do func() (T, error)) (T, error) {
	done := make(chan answer[T], 1)
	go func() {
		value, err := do()
		done <- answer[T]{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
	}
	given := time.NewTimer(grace)
	defer given.Stop()
	select {
	case a := <-done:
		return a.value, a.err
	case <-given.C:
		var none T
		return none, silent(ctx)
	}
}

// sorted sorts answers. The values are those without an error.
func sorted[T any](answers []answer[T]) (values []T, failed []error) {
	for _, a := range answers {
		if a.err != nil {
			failed = append(failed, a.err)
		} else {
			values = append(values, a.value)
		}
	}
	return values, failed
}

// vaults opens all stores. The errors are those of stores that cannot be opened.
func (w *Worker) vaults(ctx context.Context) (open []*vault, lost []error) {
	return sorted(ask(ctx, w, storeWait, w.vault))
}

// eachVault does something in one store after the other, and says in which what was
// done and what has failed. One that fails keeps it from no other, nor does one that
// hangs: each has its share of the time that is left.
func (w *Worker) eachVault(ctx context.Context, do func(context.Context, *vault) (summary string, err error)) (string, error) {
	vaults, failed := w.vaults(ctx)
	var done []string
	for i, v := range vaults {
		share, cancel := w.share(ctx, len(vaults)-i)
		summary, err := within(share, tidying, func() (string, error) { return do(share, v) })
		late := share.Err() != nil
		cancel()
		if err == nil || summary != "" {
			done = append(done, v.name+": "+summary)
		}
		if err != nil && late && ctx.Err() == nil {
			err = fmt.Errorf("not done in its share of the time: %w", err)
		}
		if err != nil {
			failed = append(failed, v.failed(err))
		}
		if ctx.Err() != nil { // which the store would call something else
			return strings.Join(done, "; "), errors.Join(append(failed, ctx.Err())...)
		}
	}
	return strings.Join(done, "; "), errors.Join(failed...)
}

// share is the part of the time until the deadline that the first of n stores has.
func (w *Worker) share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	ends, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, ends.Sub(w.Now())/time.Duration(n))
}
