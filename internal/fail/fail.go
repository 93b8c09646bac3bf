// Package fail gives errors what the person or script in front of the command
// needs besides the message: a kind, which decides the exit code, and a hint,
// which says what to do about it.
package fail

import (
	"errors"
	"fmt"
)

// Kinds of failure. An error that matches none of them is an ordinary one.
var (
	// ErrUsage: the command line is wrong or does not decide what is meant.
	ErrUsage = errors.New("usage")
	// ErrVerification: bytes, structure, records or content are not what they
	// have to be.
	ErrVerification = errors.New("verification failed")
	// ErrUnsafe: refused because it could cost data or quorum.
	ErrUnsafe = errors.New("unsafe")
)

// As marks err as being of kind, without changing its message.
func As(kind, err error) error {
	if err == nil {
		return nil
	}
	return &marked{err: err, kind: kind}
}

// Usagef is an [ErrUsage] with the given message.
func Usagef(format string, args ...any) error {
	return As(ErrUsage, fmt.Errorf(format, args...))
}

// Unsafef is an [ErrUnsafe] with the given message.
func Unsafef(format string, args ...any) error {
	return As(ErrUnsafe, fmt.Errorf(format, args...))
}

// Verificationf is an [ErrVerification] with the given message.
func Verificationf(format string, args ...any) error {
	return As(ErrVerification, fmt.Errorf(format, args...))
}

// WithHint adds what can be done about err. The innermost hint is the most
// specific one, so that it wins over those added later.
func WithHint(err error, format string, args ...any) error {
	if err == nil || Hint(err) != "" {
		return err
	}
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// Hint returns the hint of err, or "".
func Hint(err error) string {
	if h, ok := errors.AsType[*hinted](err); ok {
		return h.hint
	}
	return ""
}

type marked struct{ err, kind error }

func (m *marked) Error() string { return m.err.Error() }

func (m *marked) Unwrap() error { return m.err }

func (m *marked) Is(target error) bool { return target == m.kind }

type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }

func (h *hinted) Unwrap() error { return h.err }
