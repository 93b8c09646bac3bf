package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

func alarmCommand() *cli.Command {
	return &cli.Command{
		Name:   "alarm",
		Usage:  "list and end the alarms of a cluster",
		Action: group,
		Subcommands: []*cli.Command{
			{
				Name:   "list",
				Usage:  "list the alarms as etcdctl does, and say what they mean",
				Flags:  append([]cli.Flag{writeOutFlag()}, connectionFlags()...),
				Action: alarmList,
			},
			{
				Name:  "disarm",
				Usage: "end the NOSPACE alarms, once there is space",
				Description: `A CORRUPT alarm is not ended: it keeps a member whose data differs from serving it.
Replace that member. A NOSPACE alarm comes back with the next write unless space was
made before.`,
				Flags: slices.Concat([]cli.Flag{
					&cli.StringFlag{Name: "force-unsafe", Usage: "end CORRUPT alarms too, for this `REASON`"},
					writeOutFlag(),
				}, connectionFlags()),
				Action: alarmDisarm,
			},
		},
	}
}

func alarmList(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c)); err != nil {
		return err
	}
	o, err := observed(c)
	if err != nil {
		return err
	}
	if err := printAlarms(c, o, o.Alarms); err != nil {
		return err
	}
	for _, a := range o.Alarms {
		adviseOn(c, o, a)
	}
	return nil
}

// printAlarms prints etcdctl's lines, or its JSON.
func printAlarms(c *cli.Context, o *membership.Observation, alarms []membership.Alarm) error {
	type alarmJSON struct {
		MemberID etcdctlID `json:"memberID"`
		Alarm    int       `json:"alarm"` // etcd's number
	}
	var out struct {
		Header etcdctlHeader `json:"header"`
		Alarms []alarmJSON   `json:"alarms,omitempty"`
	}
	out.Header = etcdctlHeader{ClusterID: etcdctlID{o.ClusterID, c.Bool("hex")}, MemberID: etcdctlID{uint64(o.Leader), c.Bool("hex")}}
	if leader := o.Member(o.Leader); leader != nil && leader.Status != nil {
		out.Header.Revision, out.Header.RaftTerm = leader.Status.Revision, leader.Status.RaftTerm
	}
	for _, a := range alarms {
		if people(c) {
			fmt.Fprintf(c.App.Writer, "memberID:%d alarm:%s\n", uint64(a.MemberID), a.Type)
		}
		out.Alarms = append(out.Alarms, alarmJSON{etcdctlID{uint64(a.MemberID), c.Bool("hex")}, alarmNumbers[a.Type]})
	}
	_, err := asJSON(c, out)
	return err
}

var alarmNumbers = map[membership.AlarmType]int{membership.NoSpace: 1, membership.Corrupt: 2}

// adviseOn says on stderr what an alarm means, and what ends it.
func adviseOn(c *cli.Context, o *membership.Observation, a membership.Alarm) {
	w, name := c.App.ErrWriter, nameOf(o, a.MemberID)
	switch {
	case !isMember(o, a.MemberID):
		fmt.Fprintf(w, "%s: it is no member any more; etcdha alarm disarm%s ends its alarm\n", name, connectionToType(c))
	case a.Type == membership.Corrupt:
		fmt.Fprintf(w, "%s: its data differs from that of the others, and etcd serves nothing; %s\n", name, replaceCorrupt(c, name))
	default:
		fmt.Fprintf(w, "%s: its db has reached its quota, and nothing can be written; compact old revisions, then etcdha member defrag and etcdha alarm disarm\n", name)
	}
}

func replaceCorrupt(c *cli.Context, name string) string {
	return fmt.Sprintf("stop it, then: etcdha member replace %s %s%s; then etcdha alarm disarm", quote(name), quote(name), connectionToType(c))
}

// isMember tells whether there is still such a member: an alarm outlives its own.
func isMember(o *membership.Observation, id quorum.ID) bool {
	m := o.Member(id)
	return m != nil && !m.Ghost
}

func alarmDisarm(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c)); err != nil {
		return err
	}
	if c.IsSet("force-unsafe") && empty(c.String("force-unsafe")) {
		return fail.Usagef("--force-unsafe: its reason is empty")
	}
	s, err := openMembers(c)
	if err != nil {
		return err
	}
	defer s.client.Close()
	o, err := s.observe(c.Context)
	if err != nil {
		return err
	}
	endpoint, err := whoCommits(o)
	if err != nil {
		return err
	}
	var ended []membership.Alarm
	var refused error
	for _, a := range o.Alarms {
		if a.Type == membership.Corrupt && isMember(o, a.MemberID) && !c.IsSet("force-unsafe") {
			name := nameOf(o, a.MemberID)
			refused = fail.WithHint(fail.Unsafef("the CORRUPT alarm of %s stays: without it, clients would be served data that differs from the others'", name),
				"%s", replaceCorrupt(c, name))
			continue
		}
		warnDisarm(c, o, a)
		if err := s.client.Disarm(c.Context, endpoint, a); err != nil {
			return fmt.Errorf("disarm %s of %s: %w", a.Type, nameOf(o, a.MemberID), err)
		}
		ended = append(ended, a)
	}
	return errors.Join(printAlarms(c, o, ended), refused)
}

// whoCommits is the endpoint of the leader: without quorum no alarm ends.
func whoCommits(o *membership.Observation) (string, error) {
	leader := o.Member(o.Leader)
	if leader == nil || leader.Status == nil || !o.HasQuorum {
		return "", fail.WithHint(errors.New("quorum is lost, and an alarm cannot be ended without it"), "etcdha member status")
	}
	return leader.Endpoint, nil
}

// fullShare is the share of its quota at which a db is as good as full.
const fullShare = 0.95

func warnDisarm(c *cli.Context, o *membership.Observation, a membership.Alarm) {
	w := c.App.ErrWriter
	if a.Type == membership.Corrupt {
		if !isMember(o, a.MemberID) {
			return
		}
		fmt.Fprintf(w, "%s  ending the CORRUPT alarm of %s although its data differs: %s\n", paint(w, red, "UNSAFE"), nameOf(o, a.MemberID), c.String("force-unsafe"))
		return
	}
	for _, m := range o.Members {
		if st := m.Status; m.ID == a.MemberID && st != nil && st.DBSizeQuota > 0 && float64(st.DBSize) >= fullShare*float64(st.DBSizeQuota) {
			fmt.Fprintf(w, "%s  the db of %s is still %s of %s: the alarm will come back; compact, then etcdha member defrag, first\n",
				paint(w, yellow, "warn"), label(m.Name, m.ID), size(st.DBSize), size(st.DBSizeQuota))
		}
	}
}
