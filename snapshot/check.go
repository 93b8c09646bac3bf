package snapshot

import (
	"errors"
	"fmt"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
)

// Verdict is the outcome of a comparison or check.
type Verdict string

const (
	Match         Verdict = "match"
	Mismatch      Verdict = "mismatch"
	NotComparable Verdict = "not-comparable" // neither pass nor fail
	NotAsked      Verdict = "not-asked"
)

// Rungs of the verification ladder, from the bottom. docs/verification.md says
// what each proves and does not prove.
const (
	RungReports   = "reports"
	RungStored    = "stored bytes"
	RungDigest    = "digest"
	RungStructure = "structure"
	RungRecords   = "records"
	RungLive      = "live"
)

// Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"name"` // a rung, or a stage of a rehearsal
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail"`
	Seconds float64 `json:"seconds"` // that it took
}

// Checks is a ladder or a rehearsal, in order.
type Checks []Check

// Err is nil unless a check found a mismatch: [fail.ErrVerification].
func (cs Checks) Err() error {
	var errs []error
	for _, c := range cs {
		if c.Verdict == Mismatch {
			errs = append(errs, fmt.Errorf("%s: %s", c.Name, c.Detail))
		}
	}
	return fail.As(fail.ErrVerification, errors.Join(errs...))
}

// ContentErr is nil unless something is wrong with the snapshot itself: a record
// beside it that is damaged keeps nobody from restoring it.
func (cs Checks) ContentErr() error {
	return slices.DeleteFunc(slices.Clone(cs), func(c Check) bool { return c.Name == RungReports }).Err()
}
