package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/membershiptest"
)

// happen is what a line with > says: an event, at once or "in 8s: EVENT". The
// clock moves only while a command waits.
func (t *teller) happen(what string) error {
	if in, event, later := strings.Cut(what, ": "); later && strings.HasPrefix(in, "in ") {
		d, err := time.ParseDuration(strings.TrimPrefix(in, "in "))
		if err != nil {
			return err
		}
		if _, err := t.event(event); err != nil {
			return err
		}
		t.cluster.After(d, func() {
			do, _ := t.event(event) // is known
			do()
		})
		return nil
	}
	do, err := t.event(what)
	if err == nil {
		do()
	}
	return err
}

func (t *teller) event(what string) (do func(), err error) {
	words := strings.Fields(what)
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "start": // the etcd of a member
		return func() { t.cluster.Start(arg(1)) }, nil
	case "stop":
		return func() { t.cluster.Stop(arg(1)) }, nil
	case "pause": // SIGSTOP: it hangs
		return func() { t.cluster.Pause(arg(1)) }, nil
	case "cut": // a member off from all others
		return func() { t.cluster.Partition(arg(1)) }, nil
	case "lag": // NAME ENTRIES
		n, err := strconv.ParseUint(arg(2), 10, 64)
		return func() { t.cluster.Lag(arg(1), n) }, err
	case "heal": // everybody reaches everybody again
		return t.cluster.Heal, nil
	case "alarm": // NAME TYPE
		return func() { t.cluster.Alarm(arg(1), membership.AlarmType(arg(2))) }, nil
	case "somebody": // is told to start what was added: somebody starts it in 8s
		t.cluster.StartsAfter, err = time.ParseDuration(arg(len(words) - 1))
		return func() {}, err
	case "nobody": // starts it any more
		t.cluster.StartsAfter = 0
		return func() {}, nil
	case "terminal": // the answer to what is asked on it
		return func() { t.answers = append(t.answers, arg(1)) }, nil
	case "backup": // fails, or works
		t.backup = nil
		if arg(1) == "fails" {
			t.backup = errors.New("no space left in the store")
		}
		return func() {}, nil
	case "file": // NAME LINE; a backslash and n begin another line
		name, content, _ := strings.Cut(strings.TrimPrefix(what, "file "), " ")
		return func() { t.write(name, strings.ReplaceAll(content, `\n`, "\n")+"\n") }, nil
	case "tunnel": // MEMBER OTHER: the client URL of one leads to the other
		return func() { t.cluster.AnswerAs(arg(1), arg(2)) }, nil
	case "foreign": // URL: a cluster that has nothing to do with this one is there
		return func() { t.foreign = membershiptest.New(t.t, "cluster id=beef\nx1 leader client="+arg(1)) }, nil
	case "data": // DIR NAME: the etcd of that member has written there
		return func() { t.writeData(arg(1), arg(2)) }, nil
	case "open": // DIR: an etcd runs there
		return func() { t.openData(arg(1)) }, nil
	case "lock": // somebody else's: lock WHO [crashed]
		return func() { t.lock(arg(1), arg(2) == "crashed") }, nil
	case "apiserver": // HOST ADDRESS [agent=TIME] [silent=TIME] [stacked=MEMBER] [file=FILE]
		return func() {}, t.kubernetes.apiserver(words[1:])
	case "rewired": // HOST: somebody has typed etcdha apiserver rewire there
		return func() { t.kubernetes.rewired(arg(1)) }, nil
	case "unnamed": // HOST: its apiserver is not in default/kubernetes any more
		return func() { t.kubernetes.unnamed(arg(1)) }, nil
	case "withdrawn": // MEMBER TIME: the mark is that old
		ago, err := time.ParseDuration(arg(2))
		return func() { t.kubernetes.mark(arg(1), ago) }, err
	case "keys": // of Kubernetes are there, and no apiserver
		t.kubernetes.kept = true
		return func() {}, nil
	case "encrypted": // are the endpoints of Kubernetes
		t.kubernetes.unclear = errEncrypted
		return func() {}, nil
	case "killed": // is etcdha, and there again with the next command
		return func() { t.cluster.Crash() }, nil
	case "etcdha": // dies before|after change N, and is there again with the next command; or: gets no answer to change N
		n, err := strconv.Atoi(arg(len(words) - 1))
		if arg(1) == "gets" {
			return func() { t.noAnswer(n) }, err
		}
		return func() { t.dies(arg(2), n) }, err
	}
	return nil, fmt.Errorf("nothing is known of %q", what)
}

func (t *teller) answer(_ context.Context, question string) (string, error) {
	answer := t.answers[0]
	t.answers = t.answers[1:]
	fmt.Fprintf(&t.printed, "  ?? %s%s\n", question, answer)
	return answer, nil
}

func (t *teller) write(name, content string) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.t.Fatal(err)
	}
}

// lock lets somebody else hold the lock.
func (t *teller) lock(who string, crashed bool) {
	other := t.cluster.NewOperator()
	if _, err := other.Lock(t.t.Context(), t.cluster.Endpoints(), who); err != nil {
		t.t.Fatal(err)
	}
	if crashed {
		other.Crash()
	}
}

// dies ends the operator at a change. The next command is a new one.
func (t *teller) dies(when string, at int) {
	changes := 0
	hook := func(int, membership.Step) error {
		if changes++; changes != at {
			return nil
		}
		t.cluster.Crash()
		return errors.New("killed")
	}
	if when == "before" {
		t.cluster.BeforeChange = hook
	} else {
		t.cluster.AfterChange = hook
	}
}

// noAnswer loses the answer to a change that takes effect.
func (t *teller) noAnswer(at int) {
	t.cluster.AfterChange = func(n int, _ membership.Step) error {
		if n == at {
			return errors.New("no answer in time")
		}
		return nil
	}
}
