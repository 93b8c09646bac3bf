package page_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

const fleetTable = "Clusters, the worst first"

func TestAFleetHasItsWorstFirst(t *testing.T) {
	f := statustest.Fleet(statustest.Healthy("a"), statustest.In("near quota", "b"), statustest.In("no backup", "c"), statustest.Healthy("d"), statustest.In("alarm", "e"))
	d := get(t, f, "/")
	var names []string
	for _, row := range d.table(fleetTable) {
		names = append(names, row["State"]+" "+strings.Fields(row["Cluster"])[0])
	}
	if want := []string{"danger c", "danger e", "warning b", "safe a", "safe d"}; !slices.Equal(names, want) {
		t.Errorf("they are %q, want %q", names, want)
	}
	counts := first(d.Node, func(e *html.Node) bool { return d.label(e) == "Clusters by level" })
	if got := text(counts); got != "2 danger 1 warning 2 safe" {
		t.Errorf("counted are %q", got)
	}
	if title := text(first(d.Node, element("title"))); !strings.HasPrefix(title, "2 in danger, 1 with warnings, 2 safe") {
		t.Errorf("the title is %q", title)
	}
	if row := d.table(fleetTable)[0]; row["Cluster"] != "c there is no backup" || row["Can restore to"] != "nothing" || row["Can lose"] != "1 of 3" {
		t.Errorf("the first row is %v", row)
	}
}

func TestAFleetIsSearchedByName(t *testing.T) {
	d := get(t, statustest.Fleet(statustest.Many(500)...), "/?q=R-04")
	if rows := d.table(fleetTable); len(rows) != 10 || !strings.Contains(text(first(d.Node, element("main"))), "10 of 500 have “R-04” in their name") {
		t.Errorf("there are %d", len(rows))
	}
	box := first(first(d.Node, element("search")), element("input"))
	label := first(d.Node, func(e *html.Node) bool { return e.Data == "label" && attr(e, "for") == attr(box, "id") })
	if attr(box, "value") != "R-04" || attr(box, "name") != "q" || text(label) != "Find a cluster by name" {
		t.Errorf("the box is %v, its label %q", box.Attr, text(label))
	}
	if none := get(t, statustest.Fleet(statustest.Many(5)...), "/?q=other"); !strings.Contains(text(none.Node), "0 of 5 have “other” in their name") {
		t.Error("that nothing was found is not said")
	}
}

func TestFiveHundredClusters(t *testing.T) {
	d := get(t, statustest.Fleet(statustest.Many(500)...), "/")
	rows := d.table(fleetTable)
	if len(rows) != 500 || rows[0]["State"] != "danger" || rows[499]["State"] != "safe" {
		t.Errorf("there are %d rows", len(rows))
	}
}

// Each row leads to the page of its cluster, whatever its name.
func TestEachClusterIsReached(t *testing.T) {
	names := []string{"production", "eu/west 1", "50%", "a?b=c#d", "größe", "x.y", "<b>", `"`, "javascript:alert(1)"}
	var clusters []status.Cluster
	for _, n := range names {
		clusters = append(clusters, statustest.Healthy(n))
	}
	f := statustest.Fleet(clusters...)
	d := get(t, f, "/")
	var reached []string
	for a := range all(first(d.Node, element("tbody")), element("a")) {
		link := attr(a, "href")
		if u, err := url.Parse(link); err != nil || u.Scheme != "" || !strings.HasPrefix(link, "/cluster/") {
			t.Errorf("%q leads to %q", text(a), link)
			continue
		}
		reached = append(reached, text(first(get(t, f, link).Node, element("h1"))))
	}
	if !slices.Equal(reached, names) {
		t.Errorf("reached are %q", reached)
	}
}

// Whatever the world outside puts into names and errors stays text.
func TestHostileWords(t *testing.T) {
	n := 0
	hostile := func() string {
		n++
		return fmt.Sprintf(`h%d"'><script>alert(1)</script><img src=x onerror=alert(1)><svg onload=alert(1)></title></textarea>{{.}}`, n)
	}
	c := statustest.In("quorum lost", hostile())
	c.Active, c.Emergency.Member, c.Emergency.Backup, c.Alarms = hostile(), hostile(), hostile(), []string{hostile()}
	c.Findings = []status.Finding{{Severity: "critical", Text: hostile(), Remedy: hostile()}, {Severity: "notice", Text: hostile(), Remedy: hostile()}}
	m := &c.Members[1]
	m.Name, m.Zone, m.Version, m.Err = hostile(), hostile(), hostile(), hostile()
	s := &c.Stores[0]
	s.Name, s.URL, s.Err, s.Hint = hostile(), hostile(), hostile(), hostile()
	b := &s.Backups[len(s.Backups)-2]
	b.ID, b.Member, b.Rehearsal = hostile(), hostile(), []status.Stage{{Name: hostile(), Verdict: hostile(), Detail: hostile()}}
	c.Certificates[0].Name = hostile()
	j := &c.Jobs[0]
	j.Schedule, j.Last.Summary = hostile(), hostile()
	l := c.Jobs[4].Last
	l.Passed, l.Error, l.Hint = false, hostile(), hostile()
	c.Troubles = []status.Trouble{{Time: statustest.Now, What: hostile(), Err: hostile(), Hint: hostile()}}
	f := statustest.Fleet(c)
	f.Instance, f.Version, f.Config.File, f.Config.Err = hostile(), hostile(), hostile(), hostile()

	one := get(t, f, "/")
	onlyOurs(t, one)
	shown := text(one.Node)
	for i := 1; i <= n; i++ {
		if !strings.Contains(shown, fmt.Sprintf("h%d\"'><script>alert(1)</script>", i)) {
			t.Errorf("the words %d are not shown as they are", i)
		}
	}
	f.Clusters = append(f.Clusters, statustest.Healthy(hostile()))
	onlyOurs(t, get(t, f, "/?q="+url.QueryEscape(`"><script>alert(1)</script>`)))
	onlyOurs(t, get(t, f, "/"))
}

// onlyOurs finds whatever the content security policy would forbid, or we did not write.
func onlyOurs(t *testing.T, d *document) {
	t.Helper()
	for e := range all(d.Node, func(*html.Node) bool { return true }) {
		switch e.Data {
		case "script":
			if attr(e, "src") != "/page.js" || e.FirstChild != nil {
				t.Errorf("a script: %v %q", e.Attr, text(e))
			}
		case "img", "style", "iframe", "object", "textarea", "base":
			t.Errorf("an element %s", e.Data)
		}
		for _, a := range e.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(a.Val, "javascript:") {
				t.Errorf("%s has %s=%q", e.Data, a.Key, a.Val)
			}
		}
	}
}

// What a screen reader and a keyboard rest on.
func TestStructure(t *testing.T) {
	pages := map[string]*document{
		"cluster":  get(t, statustest.Fleet(statustest.In("quorum lost", "production")), "/"),
		"fresh":    get(t, statustest.Fleet(statustest.In("fresh start", "production")), "/"),
		"overview": get(t, statustest.Fleet(statustest.Many(20)...), "/"),
	}
	for name, d := range pages {
		onlyOurs(t, d)
		if attr(first(d.Node, element("html")), "lang") != "en" || text(first(d.Node, element("title"))) == "" {
			t.Errorf("%s: no language or no title", name)
		}
		for _, landmark := range []string{"header", "main", "footer", "h1"} {
			if n := len(slices.Collect(all(d.Node, element(landmark)))); n != 1 {
				t.Errorf("%s: %d of %s", name, n, landmark)
			}
		}
		ids := map[string]int{}
		for e := range all(d.Node, func(e *html.Node) bool { return attr(e, "id") != "" }) {
			if id := attr(e, "id"); ids[id] > 0 {
				t.Errorf("%s: the id %q is there twice", name, id)
			}
			ids[attr(e, "id")]++
		}
		for e := range all(d.Node, func(*html.Node) bool { return true }) {
			if by := attr(e, "aria-labelledby"); by != "" && ids[by] == 0 {
				t.Errorf("%s: nothing has the id %q", name, by)
			}
			if ref := attr(e, "href"); e.Data == "use" && ids[strings.TrimPrefix(ref, "#")] == 0 {
				t.Errorf("%s: there is no symbol %s", name, ref)
			}
			silent := e.Data == "svg" && e.Parent.Data != "svg" && attr(e, "aria-hidden") == "" && d.label(e) == ""
			if silent || (e.Data == "section" || e.Data == "nav") && d.label(e) == "" {
				t.Errorf("%s: <%s class=%q> has no name", name, e.Data, attr(e, "class"))
			}
		}
	}
}
