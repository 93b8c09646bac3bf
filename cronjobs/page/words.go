package page

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/etcdha/etcdha/cronjobs/status"
)

// moment is a time as somebody reads it.
type moment struct{ t, now time.Time }

func (m moment) IsZero() bool { return m.t.IsZero() }

// ISO is for machines.
func (m moment) ISO() string { return m.t.UTC().Format(time.RFC3339) }

func (m moment) Date() string { return status.Date(m.t) }

func (m moment) Clock() string { return m.t.UTC().Format("15:04:05") }

// Words are how far it is from now.
func (m moment) Words() string { return status.Relative(m.t, m.now) }

// Age is how far it is from now, without direction.
func (m moment) Age() string { return status.Age(m.t.Sub(m.now).Abs()) }

func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// took is a duration to two digits that matter.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return status.Age(d)
}

// percent is a length or a place in a picture, as SVG writes it.
type percent float64

func (p percent) String() string { return fmt.Sprintf("%.2f%%", float64(p)) }

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
