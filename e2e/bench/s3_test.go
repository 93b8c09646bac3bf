package main

import (
	"strings"
	"testing"
	"time"
)

func TestReadBackTime(t *testing.T) {
	const saved = `Backup 20261120T235211Z-r48213-9f3a in s3://bench/etcdha

  1.2 GiB from m1, a leader: revision 48213, 1000000 keys
  ok    stored bytes    read back, SHA-256 as it was sent; encrypted  1.7s
  ok    digest          SHA-256 of the stream  0.4s
`
	for _, c := range []struct {
		output string
		want   time.Duration
	}{
		{saved, 1700 * time.Millisecond},
		{strings.Replace(saved, "  1.7s", "", 1), 0}, // too short to be told
	} {
		if is, err := readBackTime(c.output); is != c.want || err != nil {
			t.Errorf("%v, %v of\n%s", is, err, c.output)
		}
	}
	for _, output := range []string{"", strings.Replace(saved, "ok    stored", "FAIL  stored", 1)} {
		if is, err := readBackTime(output); err == nil {
			t.Errorf("%v of\n%s", is, output)
		}
	}
}
