package config_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	_ "time/tzdata" // the zones of the files, wherever the test runs

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

var update = flag.Bool("update", false, "write the answers to testdata/wrong anew")

// world is what the files of the tests refer to.
var world = config.Options{
	LookupEnv: func(name string) (string, bool) {
		value, ok := map[string]string{"SECRET": "hunter2", "EMPTY": "", "TWO_LINES": "a\nhunter2", "DOLLAR": "${SECRET}",
			"ON_CALL_URL": "https://example.com/hunter2", "CHAT_TOKEN": "hunter2", "BUCKET": "backups"}[name]
		return value, ok
	},
	ReadFile: func(name string) ([]byte, error) {
		content, ok := map[string]string{"empty": "", "empty-line": "\nhunter2\n", "password": "hunter2\r\nof root\n", "chat-url": "https://chat.example.com/hunter2\n",
			"token": "hunter2", "s3-access-key": "AKIA\n", "s3-secret-key": "hunter2\n", "staging-password": "hunter2"}[filepath.Base(name)]
		switch {
		case ok:
			return []byte(content), nil
		case filepath.Base(name) == "forbidden":
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	},
}

// Each wrong file is answered with what stands beside it: line, what is wrong, how to mend it.
func TestWrongFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d wrong files (%v), want fifty and more", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			file, err := config.Read(path, world)
			if file != nil || err == nil {
				t.Fatal("nothing is wrong with it")
			}
			checkErrors(t, err)
			answer := strings.ReplaceAll(err.Error(), "testdata/wrong/", "") + "\n"
			golden := strings.TrimSuffix(path, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(answer), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if answer != string(want) {
				t.Errorf("the answer is\n%s\nwant\n%s", answer, want)
			}
		})
	}
}

// checkErrors holds for whatever is wrong.
func checkErrors(t *testing.T, err error) {
	t.Helper()
	all, ok := errors.AsType[config.Errors](err)
	if !ok || len(all) == 0 || !errors.Is(err, fail.ErrUsage) {
		t.Fatalf("%v (%T) is no list of errors of usage", err, err)
	}
	for i, one := range all {
		if one.What == "" || one.Fix == "" || one.File == "" || strings.Contains(one.Error(), "\n") {
			t.Errorf("%+v does not say all in one line", one)
		}
		if strings.Contains(strings.ToLower(one.Error()), "hunter2") {
			t.Errorf("%v tells a secret", one)
		}
		if strings.Contains(one.Error(), config.Placeholder) {
			t.Errorf("%v is about what is not known", one)
		}
		if i > 0 && one.Line < all[i-1].Line {
			t.Errorf("%v comes after line %d", one, all[i-1].Line)
		}
	}
}
