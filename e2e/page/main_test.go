// Package page shows the daemon's page in a real browser: headless Chromium, served as the
// daemon does.
package page_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/page"
	"github.com/etcdha/etcdha/cronjobs/server"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// screenshots lie beside what is built: git ignores them, and CI keeps them.
var screenshots = filepath.Join("..", "..", "bin", "screenshots")

// browser is one Chromium, in which each test has a tab.
var browser context.Context

func TestMain(m *testing.M) {
	os.Exit(run(m)) //nolint:forbidigo // a test binary's own exit
}

func run(m *testing.M) int {
	chromium := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && chromium == "" {
			chromium = path
		}
	}
	if chromium == "" {
		fmt.Fprintln(os.Stderr, "there is no chromium: make packages installs it")
		return 1
	}
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.IgnoreCertErrors, chromedp.Flag("hide-scrollbars", false),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")) // nothing is asked of anybody else
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to run as root with one
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	var stop context.CancelFunc
	browser, stop = chromedp.NewContext(allocator)
	defer stop()
	if err := chromedp.Do(browser); err != nil {
		fmt.Fprintln(os.Stderr, "start chromium:", err)
		return 1
	}
	return m.Run()
}

// watched is a fleet that can change while somebody looks at it.
type watched struct {
	mu       sync.Mutex
	clusters []status.Cluster
}

func watch(clusters ...status.Cluster) *watched { return &watched{clusters: clusters} }

func (w *watched) fleet() status.Fleet {
	w.mu.Lock()
	defer w.mu.Unlock()
	return statustest.Fleet(w.clusters...)
}

func (w *watched) becomes(clusters ...status.Cluster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clusters = clusters
}

// serve serves the page as the daemon does: with its policy, over TLS. It returns the address, and
// what ends it.
func serve(t *testing.T, w *watched, at config.Server) (url string, stop func()) {
	t.Helper()
	fine := func() error { return nil }
	o := server.Options{
		Config: at, Page: page.Handler(w.fleet), Metrics: http.NotFoundHandler(),
		Ready: fine, Healthy: fine, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	if o.Config.Listen == "" {
		o.Config.Listen = "127.0.0.1:0"
	}
	l, err := server.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return "https://" + l.Addr().String(), stop
}

// tab is a tab of the browser, and what it complained about.
type tab struct {
	context.Context
	t          *testing.T
	mu         sync.Mutex
	complaints []string
}

// open opens a tab that may have no complaint when the test ends.
func open(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	b := &tab{Context: ctx, t: t}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.do(command(audits.Enable, cdp.Empty{}))
	t.Cleanup(func() {
		for _, c := range b.heard() {
			t.Errorf("the browser complains: %s", c)
		}
		stop()
		cancel()
	})
	return b
}

func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console %s with %d arguments", e.Type, len(e.Args)))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *audits.EventIssueAdded:
		if e.Issue.Code == audits.InspectorIssueCodeContentSecurityPolicyIssue {
			b.complaints = append(b.complaints, "policy: "+e.Issue.Details.ContentSecurityPolicyIssueDetails.ViolatedDirective)
		}
	}
}

// heard takes the complaints.
func (b *tab) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.complaints
	b.complaints = nil
	return c
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// command is a step of the protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// eval returns what an expression is worth in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true in the page, or in the one that comes after it.
func (b *tab) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b, time.Minute)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if is && err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			b.t.Fatalf("wait for %s: %v", expression, err)
		}
	}
}

// screen is how somebody looks at a page.
type screen struct {
	scheme string
	width  int64
}

var screens = []screen{{"light", 1280}, {"dark", 1280}, {"light", 360}, {"dark", 360}}

func (s screen) String() string { return fmt.Sprintf("%s-%d", s.scheme, s.width) }

func (s screen) use() chromedp.Action[chromedp.Void] {
	mobile := func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = s.width < 600
	}
	return chromedp.Steps(
		chromedp.EmulateViewport(s.width, 900, mobile),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
		}),
	)
}

func (b *tab) screenshot(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
