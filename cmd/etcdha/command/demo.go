package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/throwaway"
	"github.com/etcdha/etcdha/restore/rehearsal"
	"github.com/etcdha/etcdha/snapshot"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "all of it on a throwaway cluster: data, backup, proof, rehearsal, disaster",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "etcd", Usage: "etcd `BINARY` to run (default: the etcd built into etcdha)"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return group(c)
			}
			return runDemo(c)
		},
	}
}

// demo is the course of the demonstration. Everything lies in one directory of
// mode 0700, and everything is gone at the end.
type demo struct {
	c       *cli.Context
	w       io.Writer
	dir     string
	command []string
	started time.Time

	live    *throwaway.Cluster
	cluster *snapshot.Cluster
	writer  *demoWriter
	catalog *snapshot.Catalog
	backup  *snapshot.Backup
}

func runDemo(c *cli.Context) (err error) {
	d := &demo{c: c, w: c.App.Writer, started: now()}
	if d.command, err = ownEtcd(c); err != nil {
		return err
	}
	throwaway.Sweep(os.TempDir())
	dir, err := throwaway.NewDir("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	d.dir = dir.Path
	fmt.Fprintf(d.w, "etcdha demo: a real etcd cluster, a backup, the proof that it restores, and a disaster.\nNothing outside %s is touched, and that is removed at the end.\n", d.dir)
	defer func() { err = errors.Join(err, d.close()) }()
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"A cluster of three members, each a process of its own, with mutual TLS", d.startCluster},
		{"What a Kubernetes control plane would have written", d.writeData},
		{"A backup, while writes go on", d.save},
		{"The verification ladder, with every live member", d.verify},
		{"A rehearsal: restored into a second cluster, then the first one is destroyed", d.rehearse},
	} {
		fmt.Fprintf(d.w, "\n%s %s\n", paint(d.w, faint, fmt.Sprintf("[%5.1fs]", now().Sub(d.started).Seconds())), step.title)
		if err := step.run(c.Context); err != nil {
			return err
		}
	}
	d.farewell()
	return nil
}

func (d *demo) line(format string, args ...any) {
	fmt.Fprintf(d.w, "  %s  %s\n", paint(d.w, green, "ok  "), fmt.Sprintf(format, args...))
}

func (d *demo) startCluster(ctx context.Context) error {
	var err error
	d.live, err = throwaway.New(throwaway.Options{
		Parent: d.dir, Members: 3, Command: d.command, Token: "demo", Quota: 2 << 30, Now: now,
	})
	if err != nil {
		return err
	}
	if err := d.live.Start(ctx); err != nil {
		return err
	}
	if d.cluster, err = snapshot.Connect(ctx, d.live.Config(), newLog(d.c)); err != nil {
		return err
	}
	for _, m := range d.cluster.Members {
		d.line("%-4s %x  %s  etcd %s, %s", m.Name, m.ID, m.Endpoint, m.Status.Version, role(m))
	}
	return nil
}

func (d *demo) writeData(ctx context.Context) error {
	client, err := d.dial(d.live)
	if err != nil {
		return err
	}
	d.writer = &demoWriter{client: client}
	summary, err := d.writer.fill(ctx)
	if err == nil {
		d.line("%s", summary)
	}
	return err
}

// dial connects to all members, so that losing one is not the writer's trouble.
func (d *demo) dial(cluster *throwaway.Cluster) (*clientv3.Client, error) {
	config := cluster.Config()
	client, err := config.Dial(config.Endpoints[0])
	if err == nil {
		client.SetEndpoints(config.Endpoints...)
	}
	return client, err
}

func (d *demo) save(ctx context.Context) error {
	store, err := stores.Open(ctx, filepath.Join(d.dir, "backups"), true)
	if err != nil {
		return err
	}
	d.catalog = &snapshot.Catalog{Store: store, Cluster: "demo", Now: now}
	member, err := d.cluster.Choose(ctx, false)
	if err != nil {
		return err
	}
	stopWrites := d.writer.keepWriting(ctx)
	saved, err := snapshot.Save(ctx, snapshot.SaveOptions{
		Member: member, Catalogs: []*snapshot.Catalog{d.catalog}, Now: now, Random: random, Log: newLog(d.c), Version: d.c.App.Version,
	})
	writes, writeErr := stopWrites()
	if err = errors.Join(err, writeErr); err != nil {
		return err
	}
	d.backup = saved.Stores[0].Backup
	printCheck(d.w, saved.Stores[0].Check)
	printChecks(d.w, saved.Checks)
	d.line("%s, streamed from %s, a %s", d.backup.ID, member.Name, role(member))
	d.line("revision %d, %d keys, %s stored as %s; %d writes were acknowledged meanwhile",
		saved.Report.Revision, saved.Report.TotalKeys, size(saved.Size), size(d.backup.Stored.Size), writes)
	return nil
}

func (d *demo) verify(ctx context.Context) error {
	v, spool, err := d.catalog.VerifyBackup(ctx, d.backup, "", now)
	if err != nil {
		return err
	}
	if spool != nil {
		defer spool.Close()
		v.Checks = append(v.Checks, d.cluster.Live(ctx, v.DB, v.Report, 0, true, now)...)
	}
	printChecks(d.w, v.Checks)
	report := snapshot.Report{Kind: snapshot.ReportVerification, Time: now(), Checks: v.Checks, Etcdha: d.c.App.Version}
	return errors.Join(v.Checks.Err(), d.catalog.AddReport(ctx, d.backup, report))
}

func (d *demo) rehearse(ctx context.Context) error {
	src := &source{name: d.backup.ID, catalog: d.catalog, backup: d.backup}
	checks, _, err := rehearseSource(ctx, src, rehearsal.Options{
		Members: 3, Command: d.command, Dir: d.dir, Now: now, Random: random, Log: newLog(d.c),
		OnCheck: func(check snapshot.Check) { printCheck(d.w, check) },
		Keep:    d.disaster,
	})
	if err != nil {
		return err
	}
	report := snapshot.Report{Kind: snapshot.ReportRehearsal, Time: now(), Checks: checks, Etcdha: d.c.App.Version}
	return errors.Join(checks.Err(), d.catalog.AddReport(ctx, d.backup, report))
}

// disaster destroys the first cluster while the restored one runs, and shows
// what the restored one holds.
func (d *demo) disaster(ctx context.Context, restored *throwaway.Cluster) error {
	dir := d.live.Dir
	if err := d.close(); err != nil {
		return err
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the first cluster is still there: %w", err)
	}
	fmt.Fprintf(d.w, "  %s  the first cluster is dead and its data removed\n", paint(d.w, red, "gone"))
	client, err := d.dial(restored)
	if err != nil {
		return err
	}
	defer client.Close()
	count, err := client.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithRev(d.backup.Revision))
	if err != nil {
		return err
	}
	if count.Count != d.backup.TotalKeys {
		return fmt.Errorf("%d keys are left of %d", count.Count, d.backup.TotalKeys)
	}
	pod, err := client.Get(ctx, demoPod)
	if err != nil || len(pod.Kvs) != 1 {
		return errors.Join(fmt.Errorf("%s is not there", demoPod), err)
	}
	d.line("the restored cluster holds all %d keys; %s is alive, %d bytes, revision %d", count.Count, demoPod, len(pod.Kvs[0].Value), pod.Kvs[0].ModRevision)
	return nil
}

// close ends the first cluster, if it has not been ended.
func (d *demo) close() error {
	if d.writer != nil {
		_ = d.writer.client.Close()
	}
	if d.cluster != nil {
		d.cluster.Close()
	}
	live := d.live
	d.writer, d.cluster, d.live = nil, nil, nil
	if live == nil {
		return nil
	}
	return live.Close()
}

func (d *demo) farewell() {
	fmt.Fprintf(d.w, "\n%s in %.1f s. The same on your own cluster:\n\n", paint(d.w, green, "Done"), now().Sub(d.started).Seconds())
	connect := "--endpoints https://127.0.0.1:2379 --cacert ca.crt --cert client.crt --key client.key"
	for _, line := range []string{
		"export ETCDHA_STORE=/var/backups/etcd",
		"etcdha snapshot save --store $ETCDHA_STORE \\\n    " + connect,
		"etcdha snapshot list",
		"etcdha snapshot verify latest --live=all \\\n    " + connect,
		"etcdha restore rehearse latest --kubernetes",
	} {
		fmt.Fprintf(d.w, "  %s\n", line)
	}
	fmt.Fprintf(d.w, "\n%s\n", paint(d.w, faint, "On a kubeadm control-plane node the connection flags can be left out."))
}
