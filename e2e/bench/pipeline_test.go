package main

import (
	"strings"
	"testing"
)

// What a pipeline writes is what its last command does.
func TestPipelineRuns(t *testing.T) {
	p := pipeline{{"echo", "stream"}, {"cat"}, {"tr", "a-z", "A-Z"}}
	u, out, err := measure(t.Context(), p, environment(t.TempDir()))
	if out != "STREAM\n" || err != nil {
		t.Errorf("it has written %q, %v", out, err)
	}
	if u.wall <= 0 {
		t.Errorf("it has taken %v", u.wall)
	}
}

// Whichever command fails, the pipeline has failed, and ends: those before it
// find nobody who reads.
func TestPipelineFails(t *testing.T) {
	for _, c := range []struct {
		name string
		p    pipeline
		want []string
	}{
		{"first", pipeline{{"sh", "-c", "echo no snapshot >&2; exit 3"}, {"cat"}}, []string{"run sh -c", "exit status 3", "no snapshot"}},
		{"middle", pipeline{{"yes"}, {"sh", "-c", "echo no recipient >&2; exit 4"}, {"cat"}}, []string{"run yes: signal: broken pipe", "exit status 4", "no recipient"}},
		{"last", pipeline{{"yes"}, {"false"}}, []string{"run yes: signal: broken pipe", "run false: exit status 1"}},
		{"never started", pipeline{{"yes"}, {"/nonexistent/age"}, {"cat"}}, []string{"run /nonexistent/age: ", "no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := measure(t.Context(), c.p, environment(t.TempDir()))
			if err == nil {
				t.Fatal("it has not failed")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %s", err, want)
				}
			}
		})
	}
}
