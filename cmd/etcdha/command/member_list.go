package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

func memberListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the members as etcdctl does, also when quorum is lost",
		Description: `The fields are: id, status, name, peer URLs, client URLs, whether it is a learner.
Without quorum the list is what the survivors have, and stderr says so.`,
		Flags: slices.Concat([]cli.Flag{
			writeOutFlag(),
			&cli.StringFlag{Name: "consistency", Value: "l", Usage: "l: the cluster's list; given so, it is an error if there is no quorum; s: what a member has"},
		}, connectionFlags()),
		Action: memberList,
	}
}

func memberList(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c)); err != nil {
		return err
	}
	linearizable := true
	switch consistency := c.String("consistency"); consistency {
	case "l":
	case "s":
		linearizable = false
	default:
		return fail.Usagef("--consistency %q: l or s", consistency)
	}
	s, err := openMembers(c)
	if err != nil {
		return err
	}
	defer s.client.Close()
	list, endpoint, err := s.list(c.Context, linearizable, c.Duration("command-timeout"))
	if err != nil {
		if !linearizable || len(given(c, "consistency")) > 0 {
			return err
		}
		return s.listOfSurvivors(c, err)
	}
	return s.printMembers(c, list, endpoint)
}

// list returns the list of the first endpoint that has one.
func (s *memberSession) list(ctx context.Context, linearizable bool, timeout time.Duration) (membership.List, string, error) {
	var failed error
	for _, endpoint := range s.endpoints {
		asked, cancel := context.WithTimeout(ctx, timeout)
		list, err := s.client.Members(asked, endpoint, linearizable)
		cancel()
		if err == nil {
			return list, endpoint, nil
		}
		failed = errors.Join(failed, err)
	}
	return membership.List{}, "", failed
}

// listOfSurvivors prints what those that answer have. Where they differ there
// is no list of the cluster, and each one's is shown.
func (s *memberSession) listOfSurvivors(c *cli.Context, why error) error {
	o, err := s.observe(c.Context)
	if err != nil || len(o.Lists) == 0 {
		return why // which says of each endpoint what is wrong with it
	}
	w := c.App.ErrWriter
	if !o.HasQuorum {
		fmt.Fprintf(w, "no quorum: this is the list of %s, and may be old\n", holders(o, o.Lists[0]))
	}
	for _, other := range o.Lists[1:] {
		if !o.Lists[0].Same(&other) {
			fmt.Fprintf(w, "another list, of %s:\n", holders(o, other))
			for _, row := range memberRows(other.Members) {
				fmt.Fprintf(w, "  %s\n", strings.Join(row, ", "))
			}
			err = errors.New("the members disagree about who is a member")
		}
	}
	endpoint := ""
	if m := o.Member(o.Lists[0].MemberID); m != nil {
		endpoint = m.Endpoint
	}
	return errors.Join(s.printMembers(c, o.Lists[0], endpoint), fail.WithHint(err, "etcdha member status"))
}

// holders names the members that have this list.
func holders(o *membership.Observation, list membership.List) string {
	var names []string
	for _, other := range o.Lists {
		if list.Same(&other) {
			names = append(names, o.Label(other.MemberID))
		}
	}
	return strings.Join(names, ", ")
}

func (s *memberSession) printMembers(c *cli.Context, list membership.List, endpoint string) error {
	if !people(c) {
		status, err := s.client.Status(c.Context, endpoint) // for the term only
		if err != nil {
			return err
		}
		_, err = asJSON(c, membersOutput(c, list.ClusterID, list.MemberID, status.RaftTerm, list.Members))
		return err
	}
	if c.String("write-out") == "table" {
		printTable(c.App.Writer, []string{"ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"}, memberRows(list.Members))
		return nil
	}
	for _, row := range memberRows(list.Members) {
		fmt.Fprintln(c.App.Writer, strings.Join(row, ", "))
	}
	return nil
}
