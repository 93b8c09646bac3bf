package cronjobs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

// What can pass is tried again: all that a snapshot meets but a mistake, and what of several
// errors only some never do.
func TestWhatIsFinal(t *testing.T) {
	plain, damaged, unsafe, usage := errors.New("no route"), fail.Verificationf("damaged"), fail.Unsafef("has no leader"), fail.Usagef("which?")
	several := fail.As(fail.ErrVerification, errors.Join(plain, plain)) // as the checks of a verification
	for name, c := range map[string]struct {
		err              error
		snapshot, others bool
	}{
		"plain":              {plain, false, false},
		"a mistake":          {fmt.Errorf("cluster c: %w", usage), true, true},
		"damage":             {fail.WithHint(fmt.Errorf("store s3: %w", damaged), "look"), false, true},
		"a refusal":          {unsafe, false, true},
		"checks":             {fmt.Errorf("store b: %w", several), false, true},
		"all are":            {errors.Join(usage, fmt.Errorf("store b: %w", usage)), true, true},
		"each of its own":    {errors.Join(damaged, errors.Join(unsafe, usage)), false, true},
		"one can be had":     {errors.Join(usage, plain), false, false},
		"behind a name":      {fmt.Errorf("a has it, but: %w", errors.Join(damaged, plain)), false, false},
		"marked as a whole":  {fail.As(fail.ErrUsage, errors.Join(plain, plain)), true, true},
		"nothing to be said": {nil, false, false},
	} {
		if got := final(config.Snapshot, c.err); got != c.snapshot {
			t.Errorf("%s: of a snapshot %v", name, got)
		}
		if got := final(config.Verify, c.err); got != c.others {
			t.Errorf("%s: of a verification %v", name, got)
		}
	}
}

// What was done in one store is recorded with what failed in another one.
func TestASummaryOfAFailedRun(t *testing.T) {
	tell(t, "2026-03-10T08:59:00Z", func(w *world) {
		w.do = func(context.Context, string, Run) (string, error) {
			return "s3: 3 of 3 backups", fail.Usagef("store local: which?")
		}
		n := w.start("a", named("c", w.job(config.Verify, "0 * * * *")))
		w.until("09:01:00")
		n.stop()
		if r := w.kept[0]; r.Passed || r.Summary != "s3: 3 of 3 backups" || r.Error != "store local: which?" {
			t.Errorf("record: %+v", r)
		}
	})
}
