package command

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

func rewireCommand() *cli.Command {
	return &cli.Command{
		Name:  "rewire",
		Usage: "give an apiserver other etcd servers, and see it through its restart",
		Description: `The list comes from the live members or from --etcd-servers. Each new server is
tried with the apiserver's own certificates; one apiserver of a cluster restarts at a
time, and only while another one is ready; one that does not get ready gets its old
list back. With --offline the file alone is changed.`,
		Flags: siteFlags(
			fileFlag(),
			&cli.BoolFlag{Name: "from-members", Usage: "take the list from the live members"},
			&cli.StringSliceFlag{Name: "etcd-servers", Usage: "the new list, `URL`s with commas between"},
			&cli.StringFlag{Name: "topology", Usage: "make it `external` (all members) or stacked (the member of this host); default: as it is"},
			&cli.BoolFlag{Name: "offline", Usage: "change the file and nothing else: no cluster, no lock, no restart"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would change, and stop there"},
			&cli.BoolFlag{Name: "yes", Usage: "answer yes to what is asked on a terminal"},
			writeOutFlag(),
		),
		Action: connected(rewire),
	}
}

// rewiring is one call of rewire.
type rewiring struct {
	c        *cli.Context
	name     string // of the file that was asked for; of a unit another one may hold the list
	file     *etcdservers.File
	choice   apiserver.Choice
	cluster  *etcdCluster // nil when offline
	observed *apiserver.Membership
}

func rewire(c *cli.Context) error {
	if err := checkRewireFlags(c); err != nil {
		return err
	}
	r, err := newRewiring(c)
	if err != nil {
		return err
	}
	given := words(c, "etcd-servers")
	if c.Bool("offline") {
		r.choice.Servers = given
		return r.offline()
	}
	return r.online(given)
}

func newRewiring(c *cli.Context) (*rewiring, error) {
	name, err := fileName(c)
	if err != nil {
		return nil, err
	}
	f, err := readServers(name)
	if err != nil {
		return nil, err
	}
	return &rewiring{c: c, name: name, file: f}, nil
}

// online changes the file and sees the apiserver through. Without a given list it
// is what the members ask for.
func (r *rewiring) online(given []string) error {
	servers := r.file.Servers
	if len(given) > 0 {
		servers = given // the cluster behind the present ones may be gone
	}
	config, err := etcdOf(r.c, r.file, servers)
	if err != nil {
		return err
	}
	r.cluster = openCluster(config)
	defer r.cluster.Close()
	if err := r.choose(given); err != nil {
		return err
	}
	return r.run()
}

func checkRewireFlags(c *cli.Context) error {
	given, members := words(c, "etcd-servers"), c.Bool("from-members") || c.IsSet("topology")
	switch topology := apiserver.Topology(c.String("topology")); {
	case c.IsSet("topology") && topology != apiserver.External && topology != apiserver.Stacked:
		return fail.Usagef("--topology %q: external or stacked", topology)
	case c.IsSet("etcd-servers") && members:
		return fail.Usagef("--etcd-servers contradicts --from-members and --topology: each says what the list is")
	case !c.IsSet("etcd-servers") && !members:
		return fail.WithHint(fail.Usagef("what should the list be?"), "--from-members, or --etcd-servers https://10.0.0.1:2379,...")
	case c.Bool("offline") && members:
		return fail.Usagef("--offline asks no cluster: it needs --etcd-servers")
	case c.IsSet("etcd-servers"):
		if err := etcdservers.CheckServers(given); err != nil {
			return fmt.Errorf("--etcd-servers: %w", err)
		}
	}
	return checkWriteOut(c)
}

// tell reports that the apiserver runs with the list, for whoever waits to remove a
// member, and brings kubeadm's configuration along.
func (r *rewiring) tell(site *apiserver.Site) error {
	c := r.c
	if r.file.Form == etcdservers.KubeadmConfig {
		return nil
	}
	f, err := readServers(r.name)
	if err != nil {
		return err
	}
	if err := r.report(site, f); err != nil {
		fmt.Fprintf(c.App.ErrWriter, "no report was left in etcd, and a member that is to be removed waits for one: %v\n", err)
	}
	if r.choice.Topology != apiserver.External {
		return nil
	}
	return updateKubeadm(c, f.Servers)
}

func (r *rewiring) report(site *apiserver.Site, f *etcdservers.File) error {
	if err := site.Serving(r.c.Context, f); err != nil {
		return err
	}
	observed, err := r.cluster.Observe(r.c.Context)
	if err != nil {
		return err
	}
	addresses, err := apiserver.Announced(f, site.Host)
	if err != nil {
		return err
	}
	report, err := apiserver.NewReport(f, observed, addresses)
	if err != nil {
		return err
	}
	if report.Host, err = os.Hostname(); err != nil {
		return err
	}
	report.At = now().UTC()
	return r.cluster.registry.Report(r.c.Context, report)
}

// choose decides the list: the given one, or what the members ask for.
func (r *rewiring) choose(given []string) error {
	addresses, err := apiserver.Announced(r.file, apiserver.NewHost())
	if err != nil {
		return err
	}
	if len(given) > 0 {
		r.choice = apiserver.Choice{Topology: apiserver.TopologyOf(given, addresses), Servers: given}
		return nil
	}
	if r.observed, err = r.cluster.Observe(r.c.Context); err != nil {
		return fmt.Errorf("ask for the members: %w", err)
	}
	r.choice, err = apiserver.Choose(apiserver.Wish{
		Current: r.file.Servers, Topology: apiserver.Topology(r.c.String("topology")),
		Members: r.observed.Members, Addresses: addresses, Secure: apiserver.Secure(r.file),
	})
	return err
}

func (r *rewiring) run() error {
	c, f := r.c, r.file
	site, err := newSite(c, f, r.cluster, r.cluster.registry)
	if err != nil {
		return err
	}
	r.printLeftOut()
	same := apiserver.SameServers(f.Servers, r.choice.Servers)
	switch {
	case same && c.Bool("dry-run"):
		return r.nothing()
	case !same:
		if err := r.show(); err != nil || c.Bool("dry-run") {
			return err
		}
		if err := approveChange(c, "Change it and restart the apiserver?"); err != nil {
			return err
		}
	}
	report := &siteReporter{c: c}
	site.Reporter = report
	if err := site.Rewire(c.Context, f, r.choice.Servers); err != nil {
		return withWay(err)
	}
	if err := r.tell(site); err != nil {
		return err
	}
	if same {
		return r.nothing()
	}
	return r.finish()
}

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

// show prints the change before it is made. With --dry-run it is the result.
func (r *rewiring) show() error {
	after, err := r.file.With(r.choice.Servers)
	if err != nil {
		return withWay(err)
	}
	c := r.c
	if !people(c) {
		if c.Bool("dry-run") {
			_, err = asJSON(c, r.output(false))
		}
		return err
	}
	fmt.Fprintf(c.App.Writer, "%s, %s\n", r.file.Path, r.file.Where)
	printDiff(c.App.Writer, r.file.Path, r.file.Data(), after)
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
	if err := r.show(); err != nil || r.c.Bool("dry-run") {
		return err
	}
	after, err := r.file.With(r.choice.Servers)
	if err != nil {
		return withWay(err)
	}
	if err := apiserver.ReplaceFile(r.file.Path, after); err != nil {
		return fmt.Errorf("write %s: %w", r.file.Path, err)
	}
	if done, err := asJSON(r.c, r.output(true)); done {
		return err
	}
	return nil
}
