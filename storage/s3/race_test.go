package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/storage"
)

// variables of a test binary that is started to put an object.
const (
	racerURL  = "S3_TEST_RACER_URL"
	racerSeed = "S3_TEST_RACER_SEED"
)

// Of many processes that create one object at the same time, one wins.
func TestRaceOfProcesses(t *testing.T) {
	server := startServer(t)
	for name, size := range map[string]int{"small": 1000, "multipart": part + 1000} {
		t.Run(name, func(t *testing.T) {
			prefix := newPrefix()
			const processes = 4
			outcomes := make([]string, processes)
			starts := make([]io.WriteCloser, processes)
			var all sync.WaitGroup
			for i := range processes {
				cmd := exec.CommandContext(t.Context(), os.Args[0], strconv.Itoa(size))
				cmd.Env = append(os.Environ(), racerURL+"="+server.URL(bucket, prefix).String(), fmt.Sprintf("%s=%d", racerSeed, i))
				var out, complaints bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &complaints
				var err error
				if starts[i], err = cmd.StdinPipe(); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					if err := cmd.Wait(); err != nil {
						t.Errorf("racer %d: %v\n%s", i, err, &complaints)
					}
					outcomes[i] = out.String()
				})
			}
			for _, start := range starts {
				start.Close()
			}
			all.Wait()
			winner := -1
			for i, outcome := range outcomes {
				switch {
				case outcome == "won" && winner >= 0:
					t.Errorf("both %d and %d have won", winner, i)
				case outcome == "won":
					winner = i
				case outcome != "lost":
					t.Errorf("racer %d: %q", i, outcome)
				}
			}
			if winner < 0 {
				t.Fatalf("nobody has won: %q", outcomes)
			}
			holds(t, open(t, server.URL(bucket, prefix)), "object", random(byte(winner), size))
			if uploads := leaked(t, server, prefix); len(uploads) > 0 {
				t.Errorf("uploads are left of %q", uploads)
			}
		})
	}
}

// race is what a racer does when its input ends: it puts the object, and says
// whether it has won.
func race(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	seed, err := strconv.ParseUint(os.Getenv(racerSeed), 10, 8)
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return err
	}
	s, err := opener.Open(context.Background(), u, false)
	if err != nil {
		return err
	}
	content := random(byte(seed), size)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	outcome := "won"
	if err := s.Put(context.Background(), "object", bytes.NewReader(content)); errors.Is(err, storage.ErrExist) {
		outcome = "lost"
	} else if err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, strings.NewReader(outcome))
	return err
}
