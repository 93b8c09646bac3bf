package main

import (
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"filippo.io/age"
)

// throughS3 is the whole way of a backup: stream, zstd, age, S3. etcdctl cannot
// write into a pipe, so that its way begins with a file. Both are as their users
// run them; ours compresses at the level 1 that it has by default.
func (t *tools) throughS3() (comparison, error) {
	identity, err := age.GenerateX25519Identity() // forgotten: nobody will open the backups
	if err != nil {
		return comparison{}, err
	}
	recipient := identity.Recipient().String()
	file := t.path("piped.db")
	return comparison{
		uploads: true,
		ours: contender{
			name:     "snapshot save --store s3 --encrypt-to",
			steps:    []pipeline{{t.connected(t.etcdha, "snapshot", "save", "--store", t.gateway.url("etcdha"), "--encrypt-to", recipient)}},
			env:      t.gateway.env(),
			clear:    []string{t.gateway.path("etcdha")},
			readBack: readBackTime,
		},
		theirs: contender{
			name: "etcdctl && zstd | age | s5cmd",
			steps: []pipeline{
				{t.connected(t.etcdctl, "snapshot", "save", file)},
				{
					{"zstd", "-1", "-c", file},
					{"age", "-r", recipient},
					{t.s5cmd, "pipe", "s3://" + bucket + "/piped/db.zst.age"},
				},
			},
			env:   t.gateway.env(),
			clear: []string{file, t.gateway.path("piped")},
		},
	}, nil
}

// readBackLine is how a save tells that it has read back what it stored, and
// how long that took, if it was worth telling.
var readBackLine = regexp.MustCompile(`(?m)^  ok    stored bytes .*?(?:  ([0-9.]+s))?$`)

func readBackTime(output string) (time.Duration, error) {
	line := readBackLine.FindStringSubmatch(output)
	if line == nil {
		return 0, fmt.Errorf("the save does not tell that it has read back anything:\n%s", output)
	}
	if line[1] == "" {
		return 0, nil
	}
	return time.ParseDuration(line[1])
}

// counterpart names what the pipeline is made of.
func counterpart(o *options) string {
	return fmt.Sprintf("zstd %s at level 1 (etcdha's default too), age %s, s5cmd %s", asked("zstd", "-qV"), asked("age", "--version"), s5cmdVersion(o))
}

func asked(name, flag string) string {
	out, err := exec.Command(name, flag).Output()
	if err != nil {
		return "of unknown version"
	}
	return strings.TrimSpace(string(out))
}

// s5cmdVersion is that of its module: it is built without one of its own.
func s5cmdVersion(o *options) string {
	info, err := buildinfo.ReadFile(filepath.Join(o.bin, "s5cmd"))
	if err != nil {
		return "of unknown version"
	}
	return info.Main.Version
}
