package page_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/etcdha/etcdha/cronjobs/page"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// In each situation the page says first whether the cluster is safe, and then each reason
// with what can be done.
func TestWhatIsWrongIsSaidFirst(t *testing.T) {
	for _, s := range statustest.Situations {
		t.Run(s.Name, func(t *testing.T) {
			c := s.Cluster("production")
			d := get(t, statustest.Fleet(c), "/")
			v := status.Judge(c, statustest.Now)

			verdict := d.region("production")
			if verdict != first(first(d.Node, element("main")), element("section")) {
				t.Error("something comes before the verdict")
			}
			if got := text(first(verdict, class("headline"))); got != v.Level.String()+" "+v.Headline {
				t.Errorf("it is headed %q, want %s %q", got, v.Level, v.Headline)
			}
			if title := text(first(d.Node, element("title"))); !strings.HasPrefix(title, "production: "+v.Level.String()) {
				t.Errorf("the title is %q", title)
			}
			if icon := attr(first(d.Node, func(e *html.Node) bool { return attr(e, "rel") == "icon" }), "href"); icon != "/"+v.Level.String()+".svg" {
				t.Errorf("the icon is %q", icon)
			}
			if len(v.Reasons) == 0 {
				return
			}
			var said []string
			for li := range all(d.region("What is wrong"), element("li")) {
				said = append(said, text(li))
			}
			for i, r := range v.Reasons {
				want := strings.Join(strings.Fields(r.Level.String()+" "+r.Text+" "+r.Hint), " ")
				if i >= len(said) || said[i] != want {
					t.Errorf("reason %d is not %q: %q", i, want, said)
				}
			}
		})
	}
}

func facts(d *document) map[string]string {
	facts := map[string]string{}
	for e := range all(d.Node, element("dt")) {
		facts[text(e)] = strings.TrimPrefix(text(e.Parent), text(e)+" ")
	}
	return facts
}

func TestFiveSeconds(t *testing.T) {
	for situation, want := range map[string]map[string]string{
		"healthy": {"Can restore to": "21 minutes ago 2026-07-31 14:02 UTC, in s3, local",
			"Proven": "12 hours ago rehearsed: the backup of 2026-07-31 02:02 UTC", "Can lose": "1 of 3 members looked at less than a minute ago"},
		"fresh start": {"Can restore to": "not known no store was read yet",
			"Proven": "not known by a verification or a rehearsal", "Can lose": "not known not looked at yet"},
		"no backup":   {"Can restore to": "nothing there is no backup that is not damaged", "Proven": "never by a verification or a rehearsal"},
		"all damaged": {"Can restore to": "nothing there is no backup that is not damaged"},
		"quorum lost": {"Can restore to": "21 minutes ago 2026-07-31 14:02 UTC, in s3, local", "Can lose": "none: quorum is lost looked at less than a minute ago"},
		"unreachable": {"Can lose": "not known looked at less than a minute ago"},
		"store behind": {"Can restore to": "21 minutes ago 2026-07-31 14:02 UTC, in s3",
			"Proven": "12 hours ago rehearsed: the backup of 2026-07-31 02:02 UTC"},
	} {
		got := facts(get(t, statustest.Fleet(statustest.In(situation, "production")), "/"))
		for name, text := range want {
			if got[name] != text {
				t.Errorf("%s: %s: %q, want %q", situation, name, got[name], text)
			}
		}
	}
}

func TestMembersAreAPictureByZone(t *testing.T) {
	c := statustest.In("many members", "production")
	c.Members[4].Healthy, c.Members[4].Err = false, "connection refused"
	members := get(t, statustest.Fleet(c), "/").region("Members")
	var zones []string
	for h := range all(members, element("h3")) {
		zones = append(zones, text(h))
	}
	if got := strings.Join(zones, ", "); got != "Zone eu-central-1a, Zone eu-central-1b, Zone eu-central-1c" {
		t.Errorf("the zones are %s", got)
	}
	for name, want := range map[string]string{
		"m1": "m1 leader this host healthy etcd 3.6.16 1.2 GiB of 8.0 GiB (15 %), 768 MiB in use leads",
		"m5": "m5 not healthy etcd 3.6.16 connection refused 1.2 GiB of 8.0 GiB (15 %), 772 MiB in use",
		"m8": "m8 learner healthy etcd 3.6.16 1.2 GiB of 8.0 GiB (15 %), 775 MiB in use 2,311,004 entries behind the leader",
	} {
		m := first(members, func(e *html.Node) bool { return class("member")(e) && strings.HasPrefix(text(e), name+" ") })
		if got := text(m); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if bar := get(t, statustest.Fleet(statustest.In("at quota", "production")), "/").picture("7.8 GiB of 8.0 GiB, 97 %"); !class("danger")(bar) {
		t.Error("a full db is not marked")
	}
}

func TestMembersWithoutZonesOrNames(t *testing.T) {
	c := statustest.Healthy("production")
	c.Members = append(statustest.Members(5)[3:4], status.Member{ID: "91bc3c398fb3c146", Err: "never started"})
	c.Members[0].Zone = ""
	members := get(t, statustest.Fleet(c), "/").region("Members")
	if first(members, element("h3")) != nil || !strings.Contains(text(members), "91bc3c398fb3c146 not healthy never started size not known") {
		t.Errorf("they are %q", text(members))
	}
}

func TestJobs(t *testing.T) {
	c := statustest.In("job failing", "production")
	c.Jobs[0].Running, c.Jobs[0].Attempt = statustest.Now.Add(-3*time.Minute), 2
	c.Jobs[2].Last, c.Jobs[5].Last.Missed, c.Jobs[3].Next = nil, 3, statustest.Now
	health := c.Jobs[6].Last
	health.Started, health.Finished = statustest.Now.Add(-72*time.Hour-time.Second), statustest.Now.Add(-72*time.Hour)
	rows := get(t, statustest.Fleet(c), "/").table("Jobs, their last and their next run")
	for i, want := range []map[string]string{
		0: {"Job": "snapshot 0 * * * *", "Last run": "passed 21 minutes ago 2026-07-31 14:02, took 11 s", "Next run": "running for 3 minutes , try 2 2026-07-31 15:02"},
		1: {"Job": "verify-sample 30 4 * * *", "What came of it": "9 backups, 2.1 GiB read", "Next run": "in 14 hours 2026-08-01 04:30"},
		2: {"Last run": "never", "What came of it": "–"},
		3: {"Next run": "waits for its turn 2026-07-31 14:23"},
		6: {"Last run": "passed for 3 days 2026-07-28 14:23, took 1.0 s"}, // it is recorded when it changes
		4: {"Job": "prune 45 3 * * *", "Last run": "failed 10 hours ago 2026-07-31 03:45, took 2.0 s, 5 tries",
			"What came of it": "list s3: access denied the key needs s3:ListBucket"},
		5: {"What came of it": "0.4 GiB freed on 3 members 3 missed before it"},
	} {
		for column, text := range want {
			if rows[i][column] != text {
				t.Errorf("%s of job %d is %q, want %q", column, i, rows[i][column], text)
			}
		}
	}
}

func TestLastRehearsal(t *testing.T) {
	d := get(t, statustest.Fleet(statustest.In("rehearsal failed", "production")), "/")
	got := text(d.region("Last rehearsal"))
	for _, want := range []string{"failed", "with the backup of 2026-07-31 02:02", "restore 2.31 s", "leases 0.02 s not-comparable: no lease outlives",
		"keys 0.71 s mismatch: m2 has 41 keys less than the snapshot"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := text(get(t, statustest.Fleet(statustest.In("never proven", "production")), "/").region("Last rehearsal")); !strings.Contains(got, "No backup was rehearsed yet") {
		t.Errorf("it is %q", got)
	}
}

func TestErrorsAndCertificates(t *testing.T) {
	c := statustest.In("certificate nearer", "production")
	c.Troubles = []status.Trouble{{Time: statustest.Now.Add(-time.Hour), What: "snapshot", Err: "dial m1: refused", Hint: "is etcd running?"}}
	d := get(t, statustest.Fleet(c), "/")
	if got := text(d.region("Last errors")); got != "Last errors 60 minutes ago , snapshot dial m1: refused is etcd running?" {
		t.Errorf("errors: %q", got)
	}
	if got := text(d.region("Certificates")); !strings.Contains(got, "danger client in 3 days 2026-08-03 14:23") {
		t.Errorf("certificates: %q", got)
	}
}

func TestAConfigurationThatWasNotTaken(t *testing.T) {
	f := statustest.Fleet(statustest.Many(3)...)
	f.Config.Err = "/etc/etcdha/config.yaml:7: unknown key"
	for _, target := range []string{"/", "/cluster/cluster-001"} {
		if got := text(get(t, f, target).region("Configuration")); !strings.Contains(got, "was not taken") || !strings.Contains(got, f.Config.Err) {
			t.Errorf("%s: %q", target, got)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	f := statustest.Fleet(statustest.Many(3)...)
	for _, target := range []string{"/cluster/none", "/nothing", "/cluster/"} {
		if r, d := ask(t, f, target); r.StatusCode != http.StatusNotFound || text(first(d.Node, element("h1"))) != "Not found" {
			t.Errorf("%s: %s", target, r.Status)
		}
	}
	w := httptest.NewRecorder()
	page.Handler(func() status.Fleet { return f }).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("a POST is answered with %d", w.Code)
	}
	if got := text(get(t, statustest.Fleet(), "/").Node); !strings.Contains(got, "No cluster is configured") {
		t.Errorf("without clusters it is %q", got)
	}
}

func TestCompressed(t *testing.T) {
	s := httptest.NewServer(page.Handler(func() status.Fleet { return statustest.Fleet(statustest.Many(50)...) }))
	defer s.Close()
	r, err := s.Client().Get(s.URL) // asks for gzip, and unpacks it
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || !r.Uncompressed || !strings.Contains(string(body), "cluster-049") {
		t.Errorf("%v, uncompressed %v", err, r.Uncompressed)
	}
}

// An asset is asked for each time, and sent when it has changed.
func TestAssets(t *testing.T) {
	h := page.Handler(func() status.Fleet { return statustest.Fleet(statustest.Many(3)...) })
	d := get(t, statustest.Fleet(statustest.Many(3)...), "/")
	n := 0
	for e := range all(d.Node, element("script", "link")) {
		target := attr(e, "src") + attr(e, "href")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		if w.Code != http.StatusOK || w.Body.Len() == 0 || w.Header().Get("ETag") == "" {
			t.Errorf("%s: %d", target, w.Code)
		}
		again := httptest.NewRequest(http.MethodGet, target, nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		w = httptest.NewRecorder()
		if h.ServeHTTP(w, again); w.Code != http.StatusNotModified {
			t.Errorf("%s again: %d", target, w.Code)
		}
		n++
	}
	if n != 3 {
		t.Errorf("there are %d assets", n)
	}
}

// What several hundred clusters cost: go test -bench . ./cronjobs/page
func BenchmarkFiveHundredClusters(b *testing.B) {
	f := statustest.Fleet(statustest.Many(500)...)
	h := page.Handler(func() status.Fleet { return f })
	for _, encoding := range []string{"identity", "gzip"} {
		b.Run(encoding, func(b *testing.B) {
			for b.Loop() {
				w := httptest.NewRecorder()
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Accept-Encoding", encoding)
				h.ServeHTTP(w, r)
				b.ReportMetric(float64(w.Body.Len()), "B/page")
			}
		})
	}
}
