package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership"
	"github.com/etcdha/etcdha/membership/quorum"
)

const categoryStep = "Steps"

// stepFlags are those of every command that changes the membership.
func stepFlags(own ...cli.Flag) []cli.Flag {
	return slices.Concat(own, []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Usage: "show the plan, and stop there", Category: categoryStep},
		&cli.BoolFlag{Name: "yes", Usage: "answer yes to what is asked on a terminal", Category: categoryStep},
		&cli.StringFlag{Name: "force-unsafe", Usage: "go on although it is unsafe, for this `REASON`", Category: categoryStep},
		zoneFlag(), writeOutFlag(),
	}, connectionFlags())
}

// startFlags are those of commands that need a new etcd to be started.
func startFlags(wait cli.Flag) []cli.Flag {
	return []cli.Flag{
		wait,
		&cli.StringFlag{Name: "render", Usage: "print what the new member's host needs as `FORM`: flags, static-pod or systemd", Category: categoryStep},
		&cli.StringFlag{Name: "on-step", Usage: "`COMMAND` for sh -c, run after each step and when a new etcd has to be started, with the step as JSON on stdin", Category: categoryStep},
	}
}

func waitFlag() cli.Flag {
	return &cli.DurationFlag{Name: "wait", Value: membership.DefaultWait, Usage: "`TIME` for a new etcd to be started and to catch up, and for each kube-apiserver to do without a member that is removed", Category: categoryStep}
}

// change is a command that changes the membership.
type change struct {
	c    *cli.Context
	goal membership.Goal
	// shows are the kinds of step of which stdout has etcdctl's line.
	shows []quorum.Kind
	// executor has what is special about the command.
	executor membership.Executor
	// zones are those that the command knows without --zone.
	zones map[string]string
	// replaced is the old member whose peer URLs the new one has, once it is known.
	replaced quorum.ID
	// comes is the new member that somebody has yet to start and promote when
	// the command has come to its end.
	comes *membership.Step
	// after is what to do when a step was taken, "" for what the findings say.
	after string
	// users are the kube-apiservers that a removal waits for; may be nil.
	users *users
}

// run goes to the goal, or with --dry-run shows the way.
func (ch *change) run() error {
	c := ch.c
	if err := checkStepFlags(c); err != nil {
		return err
	}
	s, err := openMembers(c)
	if err != nil {
		return err
	}
	defer s.client.Close()
	for name, zone := range ch.zones {
		if _, given := s.zones[name]; !given {
			s.zones[name] = zone
		}
	}
	report := newStepReporter(ch)
	e := ch.executor
	e.Client, e.Endpoints, e.Zones = s.client, s.endpoints, s.zones
	e.Who, e.Now, e.Sleep = operator(), now, sleep
	e.ForceUnsafe = c.String("force-unsafe")
	e.Approve, e.OnStep, e.Reporter = ch.approve, ch.onStep, report
	if ch.users = apiserversOf(c, s); ch.users != nil {
		e.Apiservers = ch.users
	}
	o, err := e.Run(c.Context, ch.goal)
	if err == nil && ch.users != nil && report.gone.ID != 0 {
		ch.users.forget(c.Context)
	}
	switch {
	case c.Bool("dry-run"):
		return report.dryRun(o, err)
	case err != nil:
		if report.acted && o != nil {
			report.printCount(o)
		}
		return err
	}
	return report.finish(o)
}

// checkForce refuses to force what nobody has given a reason for.
func checkForce(c *cli.Context) error {
	if c.IsSet("force-unsafe") && empty(c.String("force-unsafe")) {
		return fail.WithHint(fail.Usagef("--force-unsafe: its reason is empty"), "leave it out, and do what the refusal says")
	}
	return nil
}

func checkStepFlags(c *cli.Context) error {
	if err := checkWriteOut(c); err != nil {
		return err
	}
	if err := checkForce(c); err != nil {
		return err
	}
	if c.IsSet("on-step") && empty(c.String("on-step")) {
		return fail.Usagef("--on-step: its command is empty")
	}
	if c.IsSet("wait") && c.Duration("wait") <= 0 {
		return fail.Usagef("--wait %s: a time such as 5m is needed", c.Duration("wait"))
	}
	if err := checkApiservers(c); err != nil {
		return err
	}
	return checkRender(c)
}

// errDryRun ends a run where it would ask for approval.
var errDryRun = errors.New("a plan was asked for, and nothing else")

// dryRun ends a run that was not to act. A plan whose later step would be
// refused is not one to begin.
func (r *stepReporter) dryRun(o *membership.Observation, err error) error {
	if errors.Is(err, errDryRun) {
		err = r.refused()
		if r.users != nil && err == nil {
			err = r.users.foresee(r.c.Context, o.ClusterID, removed(o, r.plan))
		}
	}
	switch {
	case r.plan == nil && err != nil:
		return err
	case !people(r.c):
		_, jsonErr := asJSON(r.c, stepsOutput(o, r.plan))
		return errors.Join(err, jsonErr)
	case r.plan == nil:
		return r.finish(o)
	}
	return err
}

// refused is why a step of the plan would be refused, or nil.
func (r *stepReporter) refused() error {
	for _, p := range r.plan {
		if err := p.Refused(); err != nil && !r.c.IsSet("force-unsafe") {
			return fail.WithHint(fail.As(fail.ErrUnsafe, err), "%s", p.Remedy())
		}
	}
	return nil
}

// approve asks on a terminal before a member is taken out. A script has nobody
// to ask, and a line of etcdctl must go on to work in one.
func (ch *change) approve(plan []membership.Planned) error {
	var gone []string
	for _, p := range plan {
		if p.Destructive() {
			gone = append(gone, p.Step.Name)
		}
	}
	if len(gone) > 0 && ch.users != nil {
		if err := ch.users.checkExcused(ch.c.Context); err != nil {
			return err
		}
	}
	if ch.c.Bool("dry-run") {
		return errDryRun
	}
	if len(gone) == 0 {
		return nil
	}
	return approveChange(ch.c, fmt.Sprintf("Remove %s?", strings.Join(gone, ", ")))
}

// onStep tells the operator's automation what was done, or has to be.
func (ch *change) onStep(ctx context.Context, event membership.Event) error {
	if dir := ch.c.String("data-dir"); dir != "" && event.Step == membership.EventStart {
		if err := ch.moveOldAside(dir, event); err != nil {
			return err
		}
	}
	command := ch.c.String("on-step")
	if command == "" {
		return nil
	}
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = bytes.NewReader(append(data, '\n'))
	// Stdout has the results of this command only.
	cmd.Stdout, cmd.Stderr = ch.c.App.ErrWriter, ch.c.App.ErrWriter
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("--on-step: %w", err)
	}
	return nil
}
