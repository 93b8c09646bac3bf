package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/membership/apiserver"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
	"github.com/etcdha/etcdha/membership/quorum"
)

func apiserverShowCommand() *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "show which etcd servers an apiserver has, how they are, and whether they are the members",
		Description: `The servers are asked with the certificates that the file names. Nothing is changed.`,
		Flags:       slices.Concat([]cli.Flag{fileFlag(), writeOutFlag()}, connectionFlags()),
		Action:      apiserverShow,
	}
}

// shownFile is what show prints.
type shownFile struct {
	File     string             `json:"file"`
	Form     etcdservers.Form   `json:"form"`
	Flag     string             `json:"flag"`
	Where    string             `json:"where"`
	Unit     string             `json:"unit,omitempty"`
	Topology apiserver.Topology `json:"topology"`
	Servers  []string           `json:"servers"`
	Health   []shownServer      `json:"health"`
	Members  *shownMembers      `json:"members,omitempty"` // nil where the cluster does not answer
	Trouble  string             `json:"trouble,omitempty"` // why it does not
}

type shownServer struct {
	Server   string `json:"server"`
	Healthy  bool   `json:"healthy"`
	Member   string `json:"member,omitempty"`
	MemberID string `json:"memberID,omitempty"`
	Error    string `json:"error,omitempty"`
}

type shownMembers struct {
	InStep  bool                `json:"inStep"`
	Servers []string            `json:"servers"` // that the list should have
	LeftOut []apiserver.LeftOut `json:"leftOut,omitempty"`
	Trouble string              `json:"trouble,omitempty"` // why there is no such list
}

func apiserverShow(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	name, err := fileName(c)
	if err != nil {
		return err
	}
	f, err := readServers(name)
	if err != nil {
		return err
	}
	shown, err := look(c, f)
	if err != nil {
		return err
	}
	if done, err := asJSON(c, shown); done {
		return err
	}
	printShown(c, shown)
	return nil
}

// look asks the servers of the file, and the cluster behind them for its members.
func look(c *cli.Context, f *etcdservers.File) (*shownFile, error) {
	addresses, _, err := addressesOf(f)
	if err != nil {
		return nil, err
	}
	shown := &shownFile{
		File: f.Path, Form: f.Form, Flag: f.Flag, Where: f.Where, Unit: f.Unit,
		Topology: apiserver.TopologyOf(f.Servers, addresses), Servers: f.Servers,
	}
	config, err := etcdOf(c, f, f.Servers)
	if err != nil {
		return nil, err
	}
	dialer := apiserver.NewDialer(f, c.Duration("command-timeout"))
	shown.Health = askServers(c.Context, dialer, f.Servers)
	if !slices.ContainsFunc(shown.Health, func(s shownServer) bool { return s.Healthy }) {
		shown.Trouble = "none of the servers answers"
		return shown, nil
	}
	cluster := openCluster(config, etcdPrefix(f))
	defer cluster.Close()
	membership, err := cluster.Observe(c.Context)
	if err != nil {
		shown.Trouble = err.Error()
		return shown, c.Err()
	}
	for i, s := range shown.Health {
		for _, m := range membership.Members {
			if s.MemberID == quorum.ID(m.ID).String() {
				shown.Health[i].Member = m.Label()
			}
		}
	}
	wish := apiserver.Wish{Current: f.Servers, Members: membership.Members, Addresses: addresses, Secure: apiserver.Secure(f)}
	wish.Answers = apiserver.Answers(c.Context, dialer, wish, membership.ClusterID)
	shown.Members = compare(wish)
	return shown, nil
}

// compare holds the present list against the members.
func compare(w apiserver.Wish) *shownMembers {
	choice, err := apiserver.Choose(w)
	if err != nil {
		return &shownMembers{Trouble: err.Error()}
	}
	return &shownMembers{
		InStep: apiserver.SameServers(w.Current, choice.Servers), Servers: choice.Servers, LeftOut: choice.LeftOut,
	}
}

// askServers asks all servers at the same time.
func askServers(ctx context.Context, dialer apiserver.Dialer, servers []string) []shownServer {
	shown := make([]shownServer, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() {
			answer, err := dialer.Ask(ctx, server)
			shown[i] = shownServer{Server: server, Healthy: err == nil && answer.Leader && !answer.Learner}
			switch {
			case err != nil:
				shown[i].Error = err.Error()
			case answer.Learner:
				shown[i].Error = "it is a learner"
			case !answer.Leader:
				shown[i].Error = "it knows no leader"
			}
			if err == nil {
				shown[i].MemberID = quorum.ID(answer.MemberID).String()
			}
		})
	}
	all.Wait()
	return shown
}

func printShown(c *cli.Context, s *shownFile) {
	w := c.App.Writer
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("file", "%s", s.File)
	row("flag", "%s, %s", s.Flag, s.Where)
	form := string(s.Form)
	if s.Unit != "" {
		form += ", of " + s.Unit
	}
	row("form", "%s", form)
	row("topology", "%s", s.Topology)
	name := "servers"
	width := 0
	for _, server := range s.Servers {
		width = max(width, len(server))
	}
	for _, h := range s.Health {
		mark := paint(w, green, "ok  ")
		detail := h.Member
		if !h.Healthy {
			mark, detail = paint(w, red, "FAIL"), strings.TrimPrefix(h.Error, h.Server+": ")
		}
		row(name, "%-*s  %s  %s", width, h.Server, mark, detail)
		name = ""
	}
	printAgreement(c, s, row)
}

// printAgreement says whether the list is what the members ask for, and what to
// do where it is not.
func printAgreement(c *cli.Context, s *shownFile, row func(name, format string, args ...any)) {
	w := c.App.Writer
	switch m := s.Members; {
	case m == nil:
		row("members", "%s  %s", paint(w, yellow, "unknown"), s.Trouble)
	case m.Trouble != "":
		row("members", "%s  %s", paint(w, red, "FAIL"), m.Trouble)
	case m.InStep:
		row("members", "%s  the list is what the members ask for", paint(w, green, "ok"))
	default:
		row("members", "%s  the list should be %s", paint(w, red, "FAIL"), strings.Join(m.Servers, ","))
	}
	if s.Members == nil {
		return
	}
	for _, l := range s.Members.LeftOut {
		row("", "%s", paint(w, faint, l.What+" is left out: it "+l.Reason))
	}
	if s.Members.Trouble == "" && !s.Members.InStep {
		printNext(w, "etcdha apiserver rewire --from-members%s --dry-run", flagsToType(c, "file")+connectionToType(c))
	}
}
