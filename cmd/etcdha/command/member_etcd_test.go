package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/etcdha/etcdha/internal/throwaway"
)

// The transcripts have a cluster in memory. This is what they leave out: the
// wire, and the backup before an apply.
func TestApplyOnARealMember(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := throwaway.New(throwaway.Options{Parent: dir, Members: 1, Command: []string{self, memberCommand}, Token: "real", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := errors.Join(cluster.Start(ctx), cluster.WaitReady(ctx)); err != nil {
		t.Fatal(err)
	}
	config, member := cluster.Config(), cluster.Members[0]
	run := func(line ...string) (stdout, stderr string) {
		t.Helper()
		app := newApp("test")
		var out, errs bytes.Buffer
		app.Writer, app.ErrWriter = &out, &errs
		args := append(append([]string{"etcdha"}, line...), "--endpoints", member.ClientURL, "--cacert", config.CACert, "--cert", config.Cert, "--key", config.Key)
		if err := runApp(ctx, app, args); err != nil {
			t.Fatalf("etcdha %s: %v\n%s%s", strings.Join(line, " "), err, &out, &errs)
		}
		return out.String(), errs.String()
	}

	list, _ := run("member", "list")
	if want := regexp.MustCompile(`^[0-9a-f]{1,16}, started, ` + member.Name + `, ` + regexp.QuoteMeta(member.PeerURL) + `, ` + regexp.QuoteMeta(member.ClientURL) + ", false\n$"); !want.MatchString(list) {
		t.Errorf("the list is %q", list)
	}
	status, _ := run("member", "status", "--hash")
	if !strings.HasPrefix(status, "1 voter, 1 healthy, quorum 1: can lose none\n") || !strings.Contains(status, "leader  ok ") {
		t.Errorf("the status is\n%s", status)
	}

	// The only voter may be told another peer URL. That is a step, so that a backup comes first.
	target := "members:\n- {name: " + member.Name + ", peerURLs: ['https://127.0.0.1:1']}\n"
	if err := os.WriteFile("target.yaml", []byte(target), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said := run("member", "apply", "--target", "target.yaml", "--store", filepath.Join(dir, "store"))
	if !strings.Contains(said, "   backup ") || strings.Index(said, "   backup ") > strings.Index(said, "-> update") {
		t.Errorf("no backup before the step:\n%s", said)
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "store/default/*/snapshots/*/manifest.json"))
	if err != nil || len(manifests) != 1 {
		t.Fatalf("manifests %v, %v", manifests, err)
	}
	updated, _ := run("member", "list", "-w", "json")
	var got struct{ Members []struct{ PeerURLs []string } }
	if err := json.Unmarshal([]byte(updated), &got); err != nil || len(got.Members) != 1 || got.Members[0].PeerURLs[0] != "https://127.0.0.1:1" {
		t.Errorf("the member list is now %s (%v)", updated, err)
	}
	if _, said := run("member", "apply", "--target", "target.yaml", "--store", filepath.Join(dir, "store")); strings.Contains(said, "backup") {
		t.Errorf("a backup although there is nothing to do:\n%s", said)
	}
	if _, said := run("member", "defrag"); !strings.Contains(said, "1 voter, 1 healthy") {
		t.Errorf("after the defragmentation:\n%s", said)
	}
}

// Another operator has to find the person, and the process on that host.
func TestWhoHoldsTheLock(t *testing.T) {
	if who := whoAmI(); !regexp.MustCompile(`^\S+@\S+ \(pid \d+\)$`).MatchString(who) {
		t.Errorf("the holder is called %q", who)
	}
}
