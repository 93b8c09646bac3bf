package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// askSecret asks the terminal, whatever stdin is, and shows nothing of the
// answer. An interrupt ends it at once and gives the terminal back its echo.
func askSecret(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal to ask for a secret")
	}
	terminal := int(tty.Fd())
	state, err := term.GetState(terminal)
	if err != nil {
		return nil, errors.Join(err, tty.Close())
	}
	fmt.Fprint(io.Writer(tty), prompt)
	type answer struct {
		secret []byte
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		// Nobody else closes it: a read that is under way ends with a line, and
		// after an interrupt only with the process.
		defer tty.Close()
		secret, err := term.ReadPassword(terminal)
		fmt.Fprintln(io.Writer(tty))
		answered <- answer{secret, err}
	}()
	select {
	case a := <-answered:
		return a.secret, a.err
	case <-ctx.Done():
		fmt.Fprintln(io.Writer(tty))
		return nil, errors.Join(ctx.Err(), term.Restore(terminal, state))
	}
}
