package page_test

import (
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/etcdha/etcdha/cronjobs/page"
	"github.com/etcdha/etcdha/cronjobs/status"
)

// document is a page as a browser takes it apart.
type document struct {
	t *testing.T
	*html.Node
}

// ask asks a handler of the fleet for a page.
func ask(t *testing.T, f status.Fleet, target string) (*http.Response, *document) {
	t.Helper()
	w := httptest.NewRecorder()
	page.Handler(func() status.Fleet { return f }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	root, err := html.Parse(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), &document{t, root}
}

// get is a page that is there.
func get(t *testing.T, f status.Fleet, target string) *document {
	t.Helper()
	r, d := ask(t, f, target)
	if r.StatusCode != http.StatusOK {
		t.Fatalf("%s is answered with %s", target, r.Status)
	}
	return d
}

// all are the elements below n that fit, in their order.
func all(n *html.Node, fits func(*html.Node) bool) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for e := range n.Descendants() {
			if e.Type == html.ElementNode && fits(e) && !yield(e) {
				return
			}
		}
	}
}

func element(names ...string) func(*html.Node) bool {
	return func(e *html.Node) bool { return slices.Contains(names, e.Data) }
}

func class(name string) func(*html.Node) bool {
	return func(e *html.Node) bool { return slices.Contains(strings.Fields(attr(e, "class")), name) }
}

func first(n *html.Node, fits func(*html.Node) bool) *html.Node {
	for e := range all(n, fits) {
		return e
	}
	return nil
}

func attr(e *html.Node, name string) string {
	for _, a := range e.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is what is read of an element.
func text(n *html.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			_, _ = io.WriteString(&b, d.Data+" ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// label is what an element is called.
func (d *document) label(e *html.Node) string {
	if l := attr(e, "aria-label"); l != "" {
		return l
	}
	by := attr(e, "aria-labelledby")
	if by == "" {
		return ""
	}
	return text(first(d.Node, func(e *html.Node) bool { return attr(e, "id") == by }))
}

// region is a section by its name.
func (d *document) region(name string) *html.Node {
	d.t.Helper()
	e := first(d.Node, func(e *html.Node) bool { return e.Data == "section" && d.label(e) == name })
	if e == nil {
		d.t.Fatalf("there is no section %q", name)
	}
	return e
}

// table is a table by its caption: rows of cells by the names of their columns.
func (d *document) table(caption string) []map[string]string {
	d.t.Helper()
	for t := range all(d.Node, element("table")) {
		if text(first(t, element("caption"))) != caption {
			continue
		}
		var columns []string
		for h := range all(first(t, element("thead")), element("th")) {
			columns = append(columns, text(h))
		}
		var rows []map[string]string
		for r := range all(first(t, element("tbody")), element("tr")) {
			row, i := map[string]string{}, 0
			for c := range all(r, element("td", "th")) {
				row[columns[i]] = text(c)
				i++
			}
			rows = append(rows, row)
		}
		return rows
	}
	d.t.Fatalf("there is no table %q", caption)
	return nil
}

// picture is an image by the beginning of its description.
func (d *document) picture(name string) *html.Node {
	d.t.Helper()
	e := first(d.Node, func(e *html.Node) bool { return attr(e, "role") == "img" && strings.HasPrefix(d.label(e), name) })
	if e == nil {
		d.t.Fatalf("there is no picture %q", name)
	}
	return e
}
