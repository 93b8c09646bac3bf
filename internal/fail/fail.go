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
	return &marked{err: err, hint: fmt.Sprintf(format, args...)}
}

// Hint returns the hint of err, or "".
func Hint(err error) string {
	for err != nil {
		if m, ok := errors.AsType[*marked](err); ok {
			if m.hint != "" {
				return m.hint
			}
			err = m.err
			continue
		}
		return ""
	}
	return ""
}

type marked struct {
	err  error
	kind error
	hint string
}

func (m *marked) Error() string { return m.err.Error() }

func (m *marked) Unwrap() error { return m.err }

func (m *marked) Is(target error) bool { return m.kind != nil && target == m.kind }
