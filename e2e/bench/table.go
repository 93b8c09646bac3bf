package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
)

// etcdha promises to stay within this much memory, whatever the size of the db.
const (
	boundBase   = 64 << 20 // bytes
	boundPerKey = 24       // bytes for each live key

	uploadBound = 128 << 20 // bytes, where parts of an upload are among it
)

// printTable writes the results and what they mean.
func printTable(w io.Writer, o *options, set *dataSet, results []result) error {
	fmt.Fprintf(w, "\nMachine: %s\n", machine(o, set))
	fmt.Fprintf(w, "S3: versitygw on the same machine, with TLS. Counterpart: %s.\n", counterpart(o))
	fmt.Fprintf(w, "Data set: %d live keys, db of %.2f GiB (%d bytes), revision %d\n", set.keys, float64(set.dbSize)/(1<<30), set.dbSize, set.revision)
	if set.keys < requiredKeys || set.dbSize < requiredSize {
		fmt.Fprintf(w, "This is smaller than the %d keys and %d GiB that the comparison is about.\n", requiredKeys, requiredSize>>30)
	}
	fmt.Fprintf(w, "Median of %d rounds in alternating order; peak memory is the largest of any round.\n\n", o.rounds)
	if err := printRows(w, results); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nratio is etcdha's time over its counterpart's, below 1 etcdha is faster; by round: the ratio in each.\n")
	fmt.Fprintf(w, "anon is memory that only the process itself can free; RSS counts also what it maps of files, which the system drops as it likes.\n")
	printReadBack(w, results)
	printBound(w, set, results)
	printUploadBound(w, o, results)
	return nil
}

func printRows(w io.Writer, results []result) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	const row = "%s\t%s\t%8s\t%8s\t%5s\t%s\t%8s\t%8s\t%8s\t%8s\n"
	fmt.Fprintf(tab, row, "etcdha", "counterpart", "time", "its time", "ratio", "by round", "anon MiB", "its anon", "RSS MiB", "its RSS")
	for _, r := range results {
		anon, rss := peaks(r.oursUsed)
		ours := medianWall(r.oursUsed)
		theirs := []string{"-", "-", "-", "-", "-", "-"}
		if len(r.theirs.steps) > 0 {
			wall := medianWall(r.theirsUsed)
			theirAnon, theirRSS := peaks(r.theirsUsed)
			theirs = []string{
				r.theirs.name, fmt.Sprintf("%.2f s", wall.Seconds()), fmt.Sprintf("%.2f", ours.Seconds()/wall.Seconds()), byRound(r),
				mebibytes(theirAnon), mebibytes(theirRSS),
			}
		}
		fmt.Fprintf(tab, row, r.ours.name, theirs[0], fmt.Sprintf("%.2f s", ours.Seconds()), theirs[1], theirs[2], theirs[3],
			mebibytes(anon), theirs[4], mebibytes(rss), theirs[5])
	}
	return tab.Flush()
}

// byRound shows how far the ratio can be trusted.
func byRound(r result) string {
	var s string
	for i, ours := range r.oursUsed {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("%.2f", ours.wall.Seconds()/r.theirsUsed[i].wall.Seconds())
	}
	return s
}

func mebibytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(n)/(1<<20))
}

// printReadBack says what etcdha has done and its counterpart has not.
func printReadBack(w io.Writer, results []result) {
	for _, r := range results {
		if r.ours.readBack == nil {
			continue
		}
		var without []usage
		for _, u := range r.oursUsed {
			without = append(without, usage{wall: u.wall - u.readBack})
		}
		ours := medianWall(without)
		fmt.Fprintf(w, "%s reads back from S3 what it has stored, its counterpart does not: without that, it takes %.2f s, a ratio of %.2f.\n",
			r.ours.name, ours.Seconds(), ours.Seconds()/medianWall(r.theirsUsed).Seconds())
	}
}

// largest returns the peak of all results, with or without those that upload.
func largest(results []result, uploads bool) int64 {
	var peak int64
	for _, r := range results {
		if r.uploads == uploads {
			anon, _ := peaks(r.oursUsed)
			peak = max(peak, anon)
		}
	}
	return peak
}

func verdict(peak, bound int64) string {
	switch {
	case peak == 0:
		return "not measured on this system, against"
	case peak > bound:
		return "ABOVE"
	}
	return "within"
}

func printUploadBound(w io.Writer, o *options, results []result) {
	peak := largest(results, true)
	fmt.Fprintf(w, "Memory bound with an upload to S3: %s MiB, for a db of %d GiB; the largest anonymous peak, %s MiB, is %s it.\n",
		mebibytes(uploadBound), announcedUpload>>30, mebibytes(peak), verdict(peak, uploadBound))
	if o.upload < requiredUpload>>20 {
		fmt.Fprintf(w, "The upload is smaller than the %d GiB that this bound is measured with.\n", requiredUpload>>30)
	}
}

func printBound(w io.Writer, set *dataSet, results []result) {
	bound, peak := boundBase+boundPerKey*set.keys, largest(results, false)
	fmt.Fprintf(w, "Memory bound for this data set: %d MiB + %d bytes x %d live keys = %s MiB; etcdha's largest anonymous peak without S3, %s MiB, is %s it.\n",
		boundBase>>20, boundPerKey, set.keys, mebibytes(bound), mebibytes(peak), verdict(peak, bound))
}

func machine(o *options, set *dataSet) string {
	memory := "unknown memory"
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		memory = fmt.Sprintf("%.0f GiB", float64(kilobytes(data, "MemTotal:"))/(1<<30))
	}
	built := "unknown Go"
	if info, err := buildinfo.ReadFile(filepath.Join(o.bin, "etcdha")); err == nil {
		built = info.GoVersion
	}
	return fmt.Sprintf("%d cores, %s, %s/%s; etcdha built with %s; etcd %s", runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH, built, set.version)
}
