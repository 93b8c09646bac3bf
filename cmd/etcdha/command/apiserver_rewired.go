package command

import (
	"errors"
	"fmt"

	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

func (r *rewiring) output(changed bool) rewired {
	return rewired{
		File: r.file.Path, Form: r.file.Form, Flag: r.file.Flag, Topology: r.choice.Topology,
		Before: r.file.Servers, Servers: r.choice.Servers, Changed: changed, LeftOut: r.choice.LeftOut,
	}
}

func (r *rewiring) printLeftOut() {
	for _, l := range r.choice.LeftOut {
		fmt.Fprintf(r.c.App.ErrWriter, "%s is left out: it %s\n", l.What, l.Reason)
	}
}

// show prints the change, for people.
func (r *rewiring) show() error {
	after, err := r.file.With(r.choice.Servers)
	if err != nil {
		return withWay(err)
	}
	if w := r.c.App.Writer; people(r.c) {
		fmt.Fprintf(w, "%s, %s\n", r.file.Path, r.file.Where)
		printDiff(w, r.file, r.choice.Servers, after)
	}
	return nil
}

// nothing is the end where the list is as it should be.
func (r *rewiring) nothing() error {
	if done, err := asJSON(r.c, r.output(false)); done {
		return err
	}
	fmt.Fprintf(r.c.App.Writer, "nothing to do: %s has these servers\n", r.file.Path)
	return nil
}

func (r *rewiring) finish() error {
	if done, err := asJSON(r.c, r.output(true)); done {
		return err
	}
	printNext(r.c.App.Writer, "etcdha apiserver show%s", flagsToType(r.c, "file")+connectionToType(r.c))
	return nil
}

// offline changes the file and nothing else.
func (r *rewiring) offline() error {
	if apiserver.SameServers(r.file.Servers, r.choice.Servers) {
		return r.nothing()
	}
	if err := r.show(); err != nil {
		return err
	}
	if r.c.Bool("dry-run") {
		return r.wouldChange()
	}
	after, err := r.file.With(r.choice.Servers)
	if err != nil {
		return withWay(err)
	}
	if err := apiserver.ReplaceFile(r.file.Path, after); err != nil {
		return fmt.Errorf("write %s: %w", r.file.Path, err)
	}
	_, err = asJSON(r.c, r.output(true))
	return err
}

// printAfter says where to look after a failure for which the apiserver may have
// restarted.
func (r *rewiring) printAfter(err error) {
	if !errors.Is(err, apiserver.ErrTakenBack) {
		return
	}
	w := r.c.App.ErrWriter
	switch {
	case r.file.Unit != "":
		fmt.Fprintf(w, "the apiserver's log: journalctl -u %s\n", quote(r.file.Unit))
	case r.file.Form == etcdservers.StaticPod:
		fmt.Fprintln(w, "the apiserver's log: /var/log/pods/kube-system_kube-apiserver-*")
	}
	printNext(w, "etcdha apiserver show%s", flagsToType(r.c, "file")+connectionToType(r.c))
}
