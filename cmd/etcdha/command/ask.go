package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/etcdha/etcdha/internal/fail"
)

// A question goes to the terminal, whatever stdout and stderr are. Tests answer it.
var (
	canAsk = func() bool { return term.IsTerminal(int(os.Stdin.Fd())) }
	ask    = askLine
)

// approveChange asks on a terminal before something is changed. A script has nobody to ask.
func approveChange(c *cli.Context, question string) error {
	if c.Bool("yes") || !canAsk() {
		return nil
	}
	answer, err := ask(c.Context, question+" Type yes: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return fail.WithHint(errors.New("nothing was changed: the answer was not yes"), "--yes answers it")
	}
	return nil
}

// askSecret asks for what the terminal must not show. An interrupt gives it back
// its echo.
func askSecret(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := openTerminal()
	if err != nil {
		return nil, err
	}
	terminal := int(tty.Fd())
	state, err := term.GetState(terminal)
	if err != nil {
		return nil, errors.Join(err, tty.Close())
	}
	secret, err := answer(ctx, tty, prompt, func() ([]byte, error) {
		secret, err := term.ReadPassword(terminal)
		fmt.Fprintln(io.Writer(tty))
		return secret, err
	})
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), term.Restore(terminal, state))
	}
	return secret, err
}

// askLine asks for a line. Ctrl-D is an answer, too: an empty one.
func askLine(ctx context.Context, question string) (string, error) {
	tty, err := openTerminal()
	if err != nil {
		return "", err
	}
	line, err := answer(ctx, tty, question, func() (string, error) { return bufio.NewReader(tty).ReadString('\n') })
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return line, err
}

func openTerminal() (*os.File, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("there is no terminal to ask")
	}
	return tty, nil
}

// answer shows a prompt and reads what comes, until ctx ends.
func answer[T any](ctx context.Context, tty *os.File, prompt string, read func() (T, error)) (T, error) {
	fmt.Fprint(io.Writer(tty), prompt)
	type result struct {
		value T
		err   error
	}
	answered := make(chan result, 1)
	go func() {
		// Nobody else closes it: a read that is under way ends with a line, and
		// after an interrupt only with the process.
		defer tty.Close()
		value, err := read()
		answered <- result{value, err}
	}()
	select {
	case r := <-answered:
		return r.value, r.err
	case <-ctx.Done():
		fmt.Fprintln(io.Writer(tty))
		var none T
		return none, ctx.Err()
	}
}
