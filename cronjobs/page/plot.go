package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// plot is something of the backups over time, from zero.
type plot struct {
	Name   string
	Now    string
	Line   string // points of a polyline, thousandths of the picture
	Area   string // the same, down to the axis
	Points []point
	Scale  []string // from the top
	Ticks  []tick
	Words  string // what it shows, for those who do not see it
}

type point struct {
	X, Y  percent
	Title string
}

type sample struct {
	at    time.Time
	value float64
}

// plots are the size of the db and the time that a snapshot took. Emergency backups are of members
// that were not well: they are left out.
func plots(rows []backupRow, a axis) []plot {
	var sizes, times []sample
	for _, r := range slices.Backward(rows) { // the oldest first
		if r.Emergency || !a.has(r.Started.t) {
			continue
		}
		sizes = append(sizes, sample{r.Started.t, float64(r.DBSize)})
		times = append(times, sample{r.Started.t, r.Finished.Sub(r.Started.t).Seconds()})
	}
	if len(sizes) == 0 {
		return nil
	}
	return []plot{
		newPlot("Size of the db", sizes, a, binaryScale, func(v float64) string { return size(int64(v)) }),
		newPlot("Time a snapshot takes", times, a, decimalScale, func(v float64) string { return took(time.Duration(v * float64(time.Second))) }),
	}
}

func newPlot(name string, samples []sample, a axis, scale func(float64) float64, words func(float64) string) plot {
	p := plot{Name: name, Ticks: a.ticks()}
	least, most := samples[0].value, samples[0].value
	for _, s := range samples {
		least, most = min(least, s.value), max(most, s.value)
	}
	top := scale(most)
	p.Scale = []string{words(top), words(top / 2), "0"}
	var line []string
	for _, s := range samples {
		x, y := a.x(s.at), percent(100-100*s.value/top)
		line = append(line, fmt.Sprintf("%.0f,%.0f", float64(x)*10, float64(y)*10))
		p.Points = append(p.Points, point{x, y, fmt.Sprintf("%s, %s UTC", words(s.value), moment{t: s.at}.Date())})
	}
	last := samples[len(samples)-1]
	p.Line = strings.Join(line, " ")
	p.Area = fmt.Sprintf("%.0f,1000 %s %.0f,1000", float64(a.x(samples[0].at))*10, p.Line, float64(a.x(last.at))*10)
	p.Now = words(last.value)
	p.Words = fmt.Sprintf("%s: %s at last, between %s and %s", name, words(last.value), words(least), words(most))
	return p
}

// decimalScale is a round number that is not below v: of seconds.
func decimalScale(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 4, 6, 8} {
		if v <= n*unit {
			return n * unit
		}
	}
	return 10 * unit
}

// binaryScale is a round number of bytes that is not below v.
func binaryScale(v float64) float64 {
	unit := 1.0
	for v >= 1024*unit {
		unit *= 1024
	}
	return min(decimalScale(v/unit), 1024) * unit
}
