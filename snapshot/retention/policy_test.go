package retention_test

import (
	"testing"
	"time"

	"github.com/etcdha/etcdha/snapshot/retention"
)

func TestPolicies(t *testing.T) {
	utc := time.UTC
	tests := []struct {
		name   string
		policy retention.Policy
		want   string // the error, "" for none
	}{
		{"one rule is enough", retention.Policy{Last: 1, Location: utc}, ""},
		{"hours", retention.Policy{Hourly: 1, Location: utc}, ""},
		{"days", retention.Policy{Daily: 1, Location: utc}, ""},
		{"weeks", retention.Policy{Weekly: 1, Location: utc}, ""},
		{"months", retention.Policy{Monthly: 1, Location: utc}, ""},
		{"years", retention.Policy{Yearly: 1, Location: utc}, ""},
		{"a time", retention.Policy{Within: time.Hour, Location: utc}, ""},
		{"nothing", retention.Policy{}, "it has no rule, and zero never means all"},
		{"nothing but a zone", retention.Policy{Location: utc}, "it has no rule, and zero never means all"},
		{"no zone", retention.Policy{Daily: 7}, "it has no time zone"},
		{"below zero", retention.Policy{Daily: 7, Hourly: -1, Location: utc}, "hourly: -1 is negative"},
		{"a time below zero", retention.Policy{Daily: 7, Within: -time.Hour, Location: utc}, "within: -1h0m0s is negative"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := test.policy.Check(); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			// A plan never trusts that somebody has checked.
			b := retention.Backup{ID: "a", Started: time.Unix(1, 0), Verified: retention.Passed}
			older := retention.Backup{ID: "b", Started: time.Unix(0, 0)}
			plan := retention.Plan([]retention.Backup{b, older}, test.policy, time.Unix(9, 0))
			if refused := test.want != ""; refused && (!plan[1].Keep || plan[1].Reasons[0] != "no policy: "+test.want) {
				t.Errorf("the plan is %+v", plan)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	const form = ": want weeks, days and hours, as in 2w, 14d or 1d12h; months and years differ in length"
	tests := []struct {
		text string
		want time.Duration
		err  string
	}{
		{"36h", 36 * time.Hour, ""},
		{"14d", 14 * 24 * time.Hour, ""},
		{"2w", 14 * 24 * time.Hour, ""},
		{"1d12h", 36 * time.Hour, ""},
		{"1w1d1h", (8*24 + 1) * time.Hour, ""},
		{"007d", 7 * 24 * time.Hour, ""},
		{"0h", 0, ""},
		{"2562047h", 2562047 * time.Hour, ""}, // the most that a Duration holds
		{"2562048h", 0, `duration "2562048h" is too long`},
		{"15250w2d", 0, `duration "15250w2d" is too long`},
		{"99999999999999999999d", 0, `duration "99999999999999999999d" is too long`},
		{"", 0, `duration ""` + form},
		{"14", 0, `duration "14"` + form},
		{"d", 0, `duration "d"` + form},
		{"6m", 0, `duration "6m"` + form}, // minutes to some, months to others
		{"1y", 0, `duration "1y"` + form},
		{"30s", 0, `duration "30s"` + form},
		{"12h1d", 0, `duration "12h1d"` + form},
		{"1d1d", 0, `duration "1d1d"` + form},
		{"-1d", 0, `duration "-1d"` + form},
		{"+1d", 0, `duration "+1d"` + form},
		{"1.5d", 0, `duration "1.5d"` + form},
		{"1d 12h", 0, `duration "1d 12h"` + form},
		{"1D", 0, `duration "1D"` + form},
		{"1d12", 0, `duration "1d12"` + form},
		{"٣d", 0, `duration "٣d"` + form},
	}
	for _, test := range tests {
		got, err := retention.ParseDuration(test.text)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != test.want || text != test.err {
			t.Errorf("%q is %v, error %q; want %v, error %q", test.text, got, text, test.want, test.err)
		}
	}
}

// A plan names a time as somebody could have typed it.
func TestATimeIsNamedAsItWasGiven(t *testing.T) {
	for within, want := range map[time.Duration]string{
		36 * time.Hour:      "within 1d12h",
		14 * 24 * time.Hour: "within 14d",
		5 * time.Hour:       "within 5h",
		90 * time.Minute:    "within 1h30m0s",
	} {
		b := retention.Backup{ID: "a", Started: time.Unix(0, 0)}
		plan := retention.Plan([]retention.Backup{b}, retention.Policy{Within: within, Location: time.UTC}, time.Unix(0, 0))
		if got := plan[0].Reasons[len(plan[0].Reasons)-1]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"2w", "1d12h", "6m", "", "99999999w", "w1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := retention.ParseDuration(s); err != nil && d != 0 || d < 0 || d%time.Hour != 0 {
			t.Errorf("%q is %v, error %v", s, d, err)
		}
	})
}
