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

// tell prints what the host of a new member needs, once: etcdctl's lines, or what
// --render asks for.
func (r *stepReporter) tell(o *membership.Observation, s membership.Step) {
	m := o.Member(s.ID)
	if m == nil || m.Started() || r.told[s.ID] || !people(r.c) {
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
	} else if r.replaced != 0 && !r.c.IsSet("data-dir") {
		fmt.Fprintf(r.c.App.ErrWriter, "   Its host has data of the old member. Move it aside before the start, and do not delete it:\n   mv %[1]s/member %[1]s/member.%[2]s\n", n.DataDir, n.Aside())
	}
	fmt.Fprintf(r.c.App.Writer, "\n%s", text)
}

// moveOldAside takes what another member has left out of the way of the new
// etcd. An etcd that has run before is not asked for again, so that its data stays.
func (ch *change) moveOldAside(dir string, e membership.Event) error {
	suffix := "before-" + e.Member.ID
	if ch.replaced != 0 {
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
