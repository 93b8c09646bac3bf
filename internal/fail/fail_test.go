package fail_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/etcdha/etcdha/internal/fail"
)

var kinds = []error{fail.ErrUsage, fail.ErrVerification, fail.ErrUnsafe}

func TestKindsSurviveWrapping(t *testing.T) {
	plain := errors.New("plain")
	for i, kind := range kinds {
		marked := fail.As(kind, plain)
		for name, err := range map[string]error{
			"marked":           marked,
			"wrapped":          fmt.Errorf("save backup: %w", fmt.Errorf("close: %w", marked)),
			"joined":           errors.Join(io.EOF, marked, fs.ErrExist),
			"two of them":      fmt.Errorf("%w: %w", io.EOF, marked),
			"hinted":           fail.WithHint(marked, "do this"),
			"marked once more": fail.As(kind, marked),
		} {
			if !errors.Is(err, kind) || !errors.Is(err, plain) {
				t.Errorf("%s: %v is no %v", name, err, kind)
			}
			for j, other := range kinds {
				if i != j && errors.Is(err, other) {
					t.Errorf("%s: a %v is also a %v", name, kind, other)
				}
			}
		}
	}
}

// An error can be of two kinds; whoever asks decides which matters.
func TestTwoKinds(t *testing.T) {
	err := fail.As(fail.ErrVerification, fail.Usagef("no such backup"))
	if !errors.Is(err, fail.ErrVerification) || !errors.Is(err, fail.ErrUsage) || errors.Is(err, fail.ErrUnsafe) {
		t.Errorf("%v is not of its two kinds", err)
	}
}

func TestMessageIsUnchanged(t *testing.T) {
	for want, err := range map[string]error{
		"open x: file does not exist": fail.As(fail.ErrUsage, fmt.Errorf("open x: %w", fs.ErrNotExist)),
		"no member m4":                fail.Usagef("no member %s", "m4"),
		"quorum of 2 would be lost":   fail.Unsafef("quorum of %d would be lost", 2),
		"read page 7: unexpected EOF": fail.Verificationf("read page %d: %w", 7, io.ErrUnexpectedEOF),
		"EOF":                         fail.WithHint(io.EOF, "try %s", "again"),
	} {
		if err.Error() != want {
			t.Errorf("message is %q, want %q", err, want)
		}
	}
	if err := fail.Verificationf("read: %w", io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v has lost what it wraps", err)
	}
}

func TestInnermostHintWins(t *testing.T) {
	err := fail.WithHint(errors.New("refused"), "is %s running?", "etcd")
	err = fmt.Errorf("dial: %w", fail.As(fail.ErrUnsafe, err))
	err = fail.WithHint(fmt.Errorf("save: %w", err), "ask somebody else")
	if hint := fail.Hint(err); hint != "is etcd running?" {
		t.Errorf("hint is %q", hint)
	}
	if err.Error() != "save: dial: refused" {
		t.Errorf("message is %q", err)
	}
}

func TestHintIsFoundWhereverItIs(t *testing.T) {
	const want = "do this"
	plain, usage := errors.New("plain"), fail.Usagef("usage")
	hinted := fail.WithHint(errors.New("hinted"), want)
	for name, err := range map[string]error{
		"alone":                     hinted,
		"below a kind":              fail.As(fail.ErrUnsafe, hinted),
		"below a kind of a kind":    fail.As(fail.ErrUnsafe, fail.As(fail.ErrUsage, fmt.Errorf("wrapped: %w", hinted))),
		"above a kind":              fail.WithHint(usage, want),
		"joined, first":             errors.Join(hinted, plain),
		"joined, last":              errors.Join(plain, hinted),
		"joined to a kind":          errors.Join(usage, hinted),
		"joined to a wrapped kind":  errors.Join(fmt.Errorf("run: %w", usage), hinted),
		"joined below a kind":       fail.As(fail.ErrVerification, errors.Join(usage, hinted)),
		"second of two wrapped":     fmt.Errorf("%w (%w)", usage, hinted),
		"joined to another, second": errors.Join(hinted, fail.WithHint(plain, "do that")),
	} {
		if hint := fail.Hint(err); hint != want {
			t.Errorf("%s: hint is %q, want %q", name, hint, want)
		}
		if hint := fail.Hint(fail.WithHint(err, "something vague")); hint != want {
			t.Errorf("%s: a later hint wins: %q", name, hint)
		}
	}
}

func TestNoErrorNoHint(t *testing.T) {
	for name, err := range map[string]error{
		"As of nil":       fail.As(fail.ErrUsage, nil),
		"WithHint of nil": fail.WithHint(nil, "do this"),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, err := range []error{nil, io.EOF, fail.Usagef("usage"), errors.Join(io.EOF, fail.Unsafef("unsafe"))} {
		if hint := fail.Hint(err); hint != "" {
			t.Errorf("%v has the hint %q", err, hint)
		}
	}
}
