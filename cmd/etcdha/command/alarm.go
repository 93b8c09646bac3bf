package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
)

func alarmCommand() *cli.Command {
	command := &cli.Command{
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
	each(command.Subcommands, func(c *cli.Command) { c.Action = connected(c.Action) })
	return command
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
	f := o.AlarmFinding(a)
	fmt.Fprintf(c.App.ErrWriter, "%s\n  %s\n", f.Text, toType(c, f.Remedy))
}

func alarmDisarm(c *cli.Context) error {
	if err := errors.Join(checkWriteOut(c), noArgs(c), checkForce(c)); err != nil {
		return err
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
		if err := mayDisarm(c, o, a); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		warnDisarm(c, o, a)
		if err := s.client.Disarm(c.Context, endpoint, a); err != nil {
			return fmt.Errorf("disarm %s of %s: %w", a.Type, o.Label(a.MemberID), err)
		}
		ended = append(ended, a)
	}
	return errors.Join(printAlarms(c, o, ended), refused)
}

// mayDisarm refuses to end a CORRUPT alarm while whom it may be about is there:
// without it, clients are served data that differs from member to member.
func mayDisarm(c *cli.Context, o *membership.Observation, a membership.Alarm) error {
	if a.Type != membership.Corrupt || o.Outlived(a) || c.IsSet("force-unsafe") {
		return nil
	}
	whose := "of " + o.Label(a.MemberID)
	if a.MemberID == 0 {
		whose = "of nobody knows whom"
	}
	f := o.AlarmFinding(a)
	return fail.WithHint(fail.Unsafef("the CORRUPT alarm %s stays: %s", whose, f.Text), "%s", f.Remedy)
}

// whoCommits is the endpoint of the leader: without quorum no alarm ends.
func whoCommits(o *membership.Observation) (string, error) {
	leader := o.Member(o.Leader)
	if leader == nil || leader.Status == nil || !o.HasQuorum {
		return "", fail.WithHint(errors.New("quorum is lost, and an alarm cannot be ended without it"), "etcdha member status")
	}
	return leader.Endpoint, nil
}

func warnDisarm(c *cli.Context, o *membership.Observation, a membership.Alarm) {
	w := c.App.ErrWriter
	m := o.Member(a.MemberID)
	switch {
	case o.Outlived(a):
	case a.Type == membership.Corrupt:
		fmt.Fprintf(w, "%s  ending a CORRUPT alarm (%s): %s\n", paint(w, red, "UNSAFE"), c.String("force-unsafe"), o.AlarmFinding(a).Text)
	case m.Status != nil && m.Status.Full():
		fmt.Fprintf(w, "%s  the db of %s is still %s of %s: the alarm will come back; compact, then %s, first\n",
			paint(w, yellow, "warn"), m.Label(), size(m.Status.DBSize), size(m.Status.DBSizeQuota), toType(c, "etcdha member defrag"))
	}
}
