package command

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

// How a new etcd is started: what its host needs, and its old data out of the way.

func checkRender(c *cli.Context) error {
	switch form := c.String("render"); form {
	case membership.RenderFlags, membership.RenderStaticPod, membership.RenderSystemd:
	case "":
		if c.IsSet("render") {
			return fail.Usagef("--render: its value is empty")
		}
	default:
		return fail.Usagef("--render %q: flags, static-pod or systemd", form)
	}
	return nil
}

// tell says what the host of a new member needs, once: etcdctl's lines, or what
// --render asks for. Programs get them on stderr: somebody has to start it.
func (r *stepReporter) tell(o *membership.Observation, s membership.Step) {
	m := o.Member(s.ID)
	if m == nil || m.Started() || r.told[s.ID] {
		return
	}
	r.told[s.ID] = true
	n := membership.NewMember(o, s.ID, s.Name)
	n.OldID, n.DataDir = r.replaced, cmp.Or(r.c.String("data-dir"), n.DataDir)
	text := n.Environment()
	if form := r.c.String("render"); form != "" {
		var err error
		if text, err = n.Render(form); err != nil {
			text = n.Environment() // it has what matters
			fmt.Fprintf(r.c.App.ErrWriter, "   %v\n", err)
		}
	} else {
		r.tellOldHost(n)
	}
	w := r.c.App.Writer
	if !people(r.c) {
		w = r.c.App.ErrWriter
	}
	fmt.Fprintf(w, "\n%s", text)
}

// tellOldHost is said of every host: after a crash, nobody knows any more whether
// an old member ran there.
func (r *stepReporter) tellOldHost(n membership.StartedMember) {
	w := r.c.App.ErrWriter
	fmt.Fprint(w, `   Before its first start, if an old member ran on its host: take the old unit or manifest
   away, since an etcd with old flags and an empty directory founds a new cluster.
`)
	if !r.c.IsSet("data-dir") {
		member := quote(n.DataDir + "/member")
		fmt.Fprintf(w, "   Then move its data aside: [ ! -e %s ] || mv %s %s\n", member, member, quote(n.DataDir+"/member."+n.Aside()))
	}
}

// moveOldAside takes what another member has left out of the way of the new
// etcd. It may be asked again, after a crash: what the new one has written since
// stays where it is.
func (ch *change) moveOldAside(dir string, e membership.Event) error {
	owner := membership.DataOwner(dir)
	suffix := "before-" + e.Member.ID
	switch {
	case owner.String() == e.Member.ID:
		return nil
	case owner != 0:
		suffix = owner.String()
	case ch.replaced != 0:
		suffix = ch.replaced.String()
	}
	if _, err := os.Lstat(filepath.Join(dir, "member")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := membership.MoveAside(dir, suffix); err != nil {
		return err
	}
	fmt.Fprintf(ch.c.App.ErrWriter, "   %s/member is now %s/member.%s\n", dir, dir, suffix)
	return nil
}
