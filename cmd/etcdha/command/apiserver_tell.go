package command

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// tell reports that the apiserver runs with the list, for whoever waits to remove a
// member, and brings kubeadm's configuration along. Where the list was the same
// before, the report is all that this command was for, if a member is withdrawn.
func (r *rewiring) tell(site *apiserver.Site, same bool) error {
	if r.file.Form == etcdservers.KubeadmConfig {
		return nil
	}
	f, err := readServers(r.name)
	if err != nil {
		return err
	}
	warn := func(format string, err error) { fmt.Fprintf(r.c.App.ErrWriter, format+"\n", err) }
	if err := r.report(site, f); errors.Is(err, errAwaited) && same {
		return err
	} else if err != nil {
		warn("no report was left in etcd, and a member that is to be removed waits for one: %v", err)
	}
	switch err := r.tellKubeadm(f); {
	case err != nil && same:
		warn("kubeadm's configuration in the cluster was not looked at: %v", err)
	case err != nil:
		return fmt.Errorf("the apiserver has its servers, kubeadm's configuration has not: %w", err)
	}
	return nil
}

// errAwaited: the report would have been needed.
var errAwaited = errors.New("a member that is withdrawn waits for the report of this apiserver")

// report looks at the members first: it says that what has run since did so without
// those that were withdrawn by then.
func (r *rewiring) report(site *apiserver.Site, f *etcdservers.File) error {
	observed, err := r.cluster.Observe(r.c.Context)
	if err != nil {
		return err
	}
	if err = r.confirm(site, f, observed); err == nil {
		return nil
	}
	if slices.ContainsFunc(observed.Members, func(m apiserver.Member) bool { return m.Withdrawn }) {
		return fmt.Errorf("%w, and none was left: %w", errAwaited, err)
	}
	return err
}

func (r *rewiring) confirm(site *apiserver.Site, f *etcdservers.File, observed *apiserver.Membership) error {
	if err := site.Serving(r.c.Context, f); err != nil {
		return err
	}
	report, err := apiserver.NewReport(f, observed, r.wish(f.Servers, observed), r.announced)
	if err != nil {
		return err
	}
	last, err := r.lastReport()
	if err != nil {
		return err
	}
	if report.Host, err = os.Hostname(); err != nil {
		return err
	}
	report.At = now().UTC()
	report.Agent = last != nil && last.Followed(report.At) // it goes on
	return r.cluster.registry.Report(r.c.Context, report)
}

// lastReport is what was last said of this apiserver; nil if nothing was.
func (r *rewiring) lastReport() (*apiserver.Report, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	endpoints, err := r.cluster.registry.Endpoints(r.c.Context)
	if err != nil {
		return nil, fmt.Errorf("read the last report of this apiserver: %w", err)
	}
	return apiserver.ReportOf(endpoints, host, r.file), nil
}

// checkAgent refuses a given list that the agent of this host would change again.
func (r *rewiring) checkAgent() error {
	if r.observed != nil {
		return nil // the members ask for it
	}
	last, err := r.lastReport()
	if err != nil || last == nil || !last.Followed(now()) {
		return err
	}
	observed, err := r.cluster.Observe(r.c.Context)
	if err != nil {
		return fmt.Errorf("ask for the members: %w", err)
	}
	asked, err := apiserver.Choose(r.wish(r.choice.Servers, observed))
	if err != nil || apiserver.SameServers(asked.Servers, r.choice.Servers) {
		return nil // it lets such a list be, as long as it is so
	}
	return fail.WithHint(fail.Unsafef("the agent of this host would make it %s again", strings.Join(asked.Servers, ",")),
		"stop the agent first: systemctl stop etcdha-follow, or move its manifest away")
}

// tellKubeadm brings kubeadm's configuration along, or says what it would undo.
func (r *rewiring) tellKubeadm(f *etcdservers.File) error {
	tell := func(what, hint string) {
		fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", what)
		if hint != "" {
			fmt.Fprintf(r.c.App.ErrWriter, "   %s\n", hint)
		}
	}
	switch {
	case r.choice.Topology == apiserver.External:
		return updateKubeadm(r.c.Context, r.c, f.Form, f.Servers, tell)
	case f.Form == etcdservers.StaticPod:
		return checkKubeadmStacked(r.c.Context, r.c, tell)
	}
	return nil
}
