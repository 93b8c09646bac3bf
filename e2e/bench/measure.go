package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a command took. Memory is 0 where the system does not tell.
type usage struct {
	wall     time.Duration
	readBack time.Duration // the part of wall in which what was stored was read back
	anon     int64         // peak anonymous memory in bytes: heap and stacks
	rss      int64         // peak resident memory in bytes: also the mapped parts of files
}

// then adds what ran after u: one after the other takes the sum of the times,
// but only the larger memory.
func (u usage) then(v usage) usage {
	return usage{wall: u.wall + v.wall, readBack: u.readBack + v.readBack, anon: max(u.anon, v.anon), rss: max(u.rss, v.rss)}
}

// measure runs a pipeline to its end and returns what its last command has
// written. What the others have is shown only in the error.
func measure(ctx context.Context, p pipeline, env []string) (usage, string, error) {
	start := time.Now()
	r, err := p.start(ctx, env)
	if err != nil {
		return usage{}, "", err
	}
	done, peak := make(chan struct{}), make(chan usage)
	go func() { peak <- watchMemory(r.pids(), done) }()
	err = r.wait()
	wall := time.Since(start)
	close(done)
	u := <-peak
	u.wall = wall
	if u.rss == 0 {
		u.rss = r.maxRSS()
	}
	return u, r.output(), err
}

// sampleInterval is short beside the time in which a Go program can fill much
// memory, and long beside the microseconds of a sample.
const sampleInterval = 10 * time.Millisecond

// watchMemory samples the memory of processes until done. Anonymous memory is
// what they have together at a time; the resident peaks, which the system keeps,
// need not be of one time. A file stays open, so that it can never be that of
// another process with the same number.
func watchMemory(pids []int, done <-chan struct{}) usage {
	var files []*os.File
	for _, pid := range pids {
		status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue // not Linux, or gone already
		}
		defer status.Close()
		files = append(files, status)
	}
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	var peak usage
	resident := make([]int64, len(files))
	buf := make([]byte, 8<<10)
	for {
		var anon int64
		for i, status := range files {
			if n, err := status.ReadAt(buf, 0); err == nil || err == io.EOF {
				anon += kilobytes(buf[:n], "RssAnon:")
				resident[i] = max(resident[i], kilobytes(buf[:n], "VmHWM:"))
			}
		}
		peak.anon = max(peak.anon, anon)
		select {
		case <-done:
			for _, n := range resident {
				peak.rss += n
			}
			return peak
		case <-tick.C:
		}
	}
}

// kilobytes returns a field of a file in /proc that has lines of the form
// "Name:   123 kB", in bytes; 0 if it has none.
func kilobytes(data []byte, name string) int64 {
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name && f[2] == "kB" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// environment keeps what is set in ours from changing what a command does, and
// puts temporary files on the disk that everything is measured on.
func environment(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
}

// copyFile copies byte by byte: a copy that shares blocks with the original is
// not in memory as the original is.
func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(filepath.Clean(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	buf := make([]byte, 1<<20)
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, buf); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return dst.Close()
}
