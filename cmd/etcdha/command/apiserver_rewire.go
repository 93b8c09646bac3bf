package command

import (
	"errors"
	"fmt"

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
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would change and try the new servers, and stop there"},
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
	cluster  *etcdCluster          // nil when offline
	observed *apiserver.Membership // nil for a given list

	own, announced []string // see addressesOf
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
	servers := given // the cluster behind the present ones may be gone
	if len(given) == 0 {
		copies, err := copiesDir(r.c)
		if err != nil {
			return err
		}
		servers = serversOf(r.file, copies)
	}
	config, err := etcdOf(r.c, r.file, servers)
	if err != nil {
		return err
	}
	r.cluster = openCluster(config, etcdPrefix(r.file))
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

// choose decides the list: the given one, or what the members ask for.
func (r *rewiring) choose(given []string) error {
	var err error
	if r.own, r.announced, err = addressesOf(r.file); err != nil {
		return err
	}
	if len(given) > 0 {
		r.choice = apiserver.Choice{Topology: apiserver.TopologyOf(given, r.own), Servers: given}
		return nil
	}
	if r.observed, err = r.cluster.Observe(r.c.Context); err != nil {
		return fmt.Errorf("ask for the members: %w", err)
	}
	r.choice, err = apiserver.Choose(r.asked(r.observed))
	return err
}

// wish is what a list is decided by, if that is the present one.
func (r *rewiring) wish(present []string, m *apiserver.Membership) apiserver.Wish {
	w := apiserver.Wish{Current: present, Members: m.Members, Addresses: r.own, Secure: apiserver.Secure(r.file)}
	dialer := apiserver.NewDialer(r.file, r.c.Duration("command-timeout"))
	w.Answers = apiserver.Answers(r.c.Context, dialer, w, m.ClusterID)
	return w
}

// asked is what the command line and these members ask for.
func (r *rewiring) asked(m *apiserver.Membership) apiserver.Wish {
	w := r.wish(r.file.Servers, m)
	w.Topology = apiserver.Topology(r.c.String("topology"))
	return w
}

// recheck is nil while these members still ask for the list that was approved.
func (r *rewiring) recheck(m *apiserver.Membership) error {
	choice, err := apiserver.Choose(r.asked(m))
	if err != nil {
		return err
	}
	if !apiserver.SameServers(choice.Servers, r.choice.Servers) {
		return fail.WithHint(errors.New("the members have changed meanwhile, and ask for another list"), "look at it again, and repeat the command")
	}
	return nil
}

func (r *rewiring) run() error {
	c, f := r.c, r.file
	site, err := newSite(c, f, r.cluster)
	if err != nil {
		return err
	}
	if r.observed != nil {
		site.Recheck = r.recheck
	}
	r.printLeftOut()
	same := apiserver.SameServers(f.Servers, r.choice.Servers)
	switch {
	case same && c.Bool("dry-run"):
		return r.nothing()
	case same:
	case c.Bool("dry-run"):
		return r.dryRun(site)
	default:
		if err := r.propose(site); err != nil {
			return err
		}
	}
	site.Reporter = &siteReporter{c: c}
	if err := site.Rewire(c.Context, f, r.choice.Servers); err != nil {
		r.printAfter(err)
		return withWay(err)
	}
	if err := r.tell(site, same); err != nil {
		return err
	}
	if same {
		return r.nothing()
	}
	return r.finish()
}

// propose shows the change, and asks for a yes.
func (r *rewiring) propose(site *apiserver.Site) error {
	if err := r.checkAgent(); err != nil {
		return err
	}
	if err := r.show(); err != nil {
		return err
	}
	question := "Change it and restart the apiserver?"
	switch {
	case r.file.Form == etcdservers.KubeadmConfig:
		question = "Change it?"
	case site.Restart == nil:
		question = "Change it, so that kubelet restarts the apiserver?"
	}
	return approveChange(r.c, question)
}

// dryRun shows the change, and whether it would be refused.
func (r *rewiring) dryRun(site *apiserver.Site) error {
	if people(r.c) {
		if err := r.show(); err != nil {
			return err
		}
	}
	if err := r.checkAgent(); err != nil {
		return err
	}
	if err := site.Try(r.c.Context, r.file, r.choice.Servers); err != nil {
		return withWay(err)
	}
	return r.wouldChange()
}

// wouldChange is the end of a dry run; people have seen the change.
func (r *rewiring) wouldChange() error {
	out := r.output(false)
	out.WouldChange = true
	_, err := asJSON(r.c, out)
	return err
}
