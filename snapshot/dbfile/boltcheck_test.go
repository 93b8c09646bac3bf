package dbfile_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// bbolt maps the file and follows what it finds, so that a damaged one can
// take the process down in ways that nothing recovers from. Its opinion is
// therefore asked for in a child process: this test binary, started again.
const boltCheckerEnv = "DBFILE_TEST_BOLT_CHECKER"

func TestMain(m *testing.M) {
	if os.Getenv(boltCheckerEnv) != "" {
		serveBoltChecks(os.Stdin, os.Stdout)
		return
	}
	m.Run() // exits
}

// serveBoltChecks answers each line of r, a path, with a line: "ok" or what
// bbolt has to say.
func serveBoltChecks(r io.Reader, w io.Writer) {
	debug.SetMaxStack(16 << 20) // a cycle of pages ends soon
	for lines := bufio.NewScanner(r); lines.Scan(); {
		verdict := "ok"
		if err := boltCheck(lines.Text()); err != nil {
			verdict, _, _ = strings.Cut(err.Error(), "\n")
		}
		fmt.Fprintln(w, verdict)
	}
}

// boltCheck runs bbolt's own check and returns its first complaint.
func boltCheck(path string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	debug.SetPanicOnFault(true)
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err
			}
		}
		return first
	})
}

// boltChecker is a child process that runs boltCheck, replaced when it dies.
type boltChecker struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newBoltChecker(t *testing.T) *boltChecker {
	c := &boltChecker{t: t}
	t.Cleanup(c.stop)
	return c
}

// check returns what bbolt says about the db file at path; "ok" is nothing.
// A child can also die late, of a goroutine that bbolt left behind in the file
// before, so that only the death of a fresh one counts.
func (c *boltChecker) check(path string) string {
	if verdict, err := c.ask(path); err == nil {
		return verdict
	}
	c.stop()
	if verdict, err := c.ask(path); err == nil {
		return verdict
	}
	c.stop()
	return "crash"
}

func (c *boltChecker) ask(path string) (string, error) {
	if c.cmd == nil {
		c.start()
	}
	if _, err := fmt.Fprintln(c.in, path); err != nil {
		return "", err
	}
	line, err := c.out.ReadString('\n')
	return strings.TrimSpace(line), err
}

func (c *boltChecker) start() {
	c.cmd = exec.CommandContext(c.t.Context(), must1(os.Executable()))
	c.cmd.Env = append(os.Environ(), boltCheckerEnv+"=1", "GOTRACEBACK=none")
	c.in = must1(c.cmd.StdinPipe())
	c.out = bufio.NewReader(must1(c.cmd.StdoutPipe()))
	must(c.cmd.Start())
}

func (c *boltChecker) stop() {
	if c.cmd == nil {
		return
	}
	c.in.Close()
	_ = c.cmd.Wait() // fails after a crash, as it should
	c.cmd = nil
}
