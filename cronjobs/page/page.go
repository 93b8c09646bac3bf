// Package page shows the state of the clusters to people, as one page that is rendered
// here, is right without a script, and brings all that it needs with it.
//
// It has nothing secret on it, and what it shows is escaped. It serves under a content
// security policy that allows its own files and nothing inline.
package page

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/status"
)

//go:embed assets templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"size": size}).ParseFS(files, "templates/*.html"))

// view is what the templates show.
type view struct {
	Title    string
	Level    status.Level
	Now      moment
	Fleet    *status.Fleet
	Query    string
	Several  bool      // there is an overview to search in, and to come back to
	Overview *overview // or
	Cluster  *cluster  // or neither: there is no such thing
}

// Handler serves the page and its assets below /. fleet is asked at each request.
func Handler(fleet func() status.Fleet) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		f := fleet()
		if len(f.Clusters) == 1 {
			render(w, r, http.StatusOK, clusterPage(&f, &f.Clusters[0], r.FormValue("range")))
			return
		}
		render(w, r, http.StatusOK, overviewPage(&f, r.FormValue("q")))
	})
	mux.HandleFunc("GET /cluster/{name}", func(w http.ResponseWriter, r *http.Request) {
		f := fleet()
		i := slices.IndexFunc(f.Clusters, func(c status.Cluster) bool { return c.Name == r.PathValue("name") })
		if i < 0 {
			render(w, r, http.StatusNotFound, missingPage(&f))
			return
		}
		render(w, r, http.StatusOK, clusterPage(&f, &f.Clusters[i], r.FormValue("range")))
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		f := fleet()
		render(w, r, http.StatusNotFound, missingPage(&f))
	})
	serveAssets(mux)
	return mux
}

func newView(f *status.Fleet) *view {
	return &view{Fleet: f, Now: moment{f.Now, f.Now}, Several: len(f.Clusters) > 1}
}

func missingPage(f *status.Fleet) *view {
	v := newView(f)
	v.Title = "Not found"
	return v
}

// render writes a page, compressed if that is accepted: an overview of hundreds of clusters
// says the same words hundreds of times.
func render(w http.ResponseWriter, r *http.Request, code int, v *view) {
	var page bytes.Buffer
	if err := templates.ExecuteTemplate(&page, "page.html", v); err != nil {
		http.Error(w, "the page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Encoding")
	if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(code)
		_, _ = page.WriteTo(w) // a reader that has gone away
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(code)
	z := gzip.NewWriter(w)
	_, _ = page.WriteTo(z)
	_ = z.Close()
}

// serveAssets serves each file of assets at the root. A browser asks each time whether it has
// changed, so that a newer etcdha never meets an older style.
func serveAssets(mux *http.ServeMux) {
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err) // they are built in
	}
	for _, e := range entries {
		content, err := fs.ReadFile(files, "assets/"+e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		tag := `"` + hex.EncodeToString(sum[:8]) + `"`
		mux.HandleFunc("GET /"+e.Name(), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", tag)
			w.Header().Set("Cache-Control", "no-cache")
			http.ServeContent(w, r, e.Name(), time.Time{}, bytes.NewReader(content))
		})
	}
}

// overview is the page of several clusters.
type overview struct {
	Total  int
	Counts []levelCount
	Rows   []summary // the worst first
}

type levelCount struct {
	Level status.Level
	N     int
}

func overviewPage(f *status.Fleet, query string) *view {
	v, o := newView(f), &overview{Total: len(f.Clusters)}
	counts := map[status.Level]int{}
	for i := range f.Clusters {
		s := summarize(&f.Clusters[i], f.Now)
		counts[s.Verdict.Level]++
		v.Level = max(v.Level, s.Verdict.Level)
		if strings.Contains(strings.ToLower(s.Name), strings.ToLower(query)) {
			o.Rows = append(o.Rows, s)
		}
	}
	slices.SortStableFunc(o.Rows, func(a, b summary) int { return cmp.Compare(b.Verdict.Level, a.Verdict.Level) })
	for _, l := range []status.Level{status.Danger, status.Warning, status.Safe} {
		o.Counts = append(o.Counts, levelCount{l, counts[l]})
	}
	v.Overview, v.Query = o, query
	v.Title = fmt.Sprintf("%d in danger, %d with warnings, %d safe", counts[status.Danger], counts[status.Warning], counts[status.Safe])
	return v
}
