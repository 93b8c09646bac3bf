package page_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// comesBack is somebody who comes back to the tab.
const comesBack = `document.dispatchEvent(new Event("visibilitychange"))`

const headline = `document.querySelector(".headline").innerText`

// A page that stays open tells what happens, without a reload: what somebody has focused,
// opened or scrolled to stays where it is.
func TestThePageKeepsItselfUpToDate(t *testing.T) {
	t.Parallel()
	w := watch(statustest.Healthy("production"))
	url, _ := serve(t, w, config.Server{})
	b := open(t)
	b.do(screens[2].use(), chromedp.Navigate(url+"/?range=2w"))
	b.do(chromedp.Evaluate[chromedp.Void](`window.here = true;
		document.querySelector("#table").open = true;
		document.querySelector("#table-summary").focus();
		document.querySelector(".scroll").scrollTo(40, 120);
		window.scrollTo(0, document.querySelector("#table").offsetTop);`))
	before := eval[float64](b, "window.scrollY")

	w.becomes(statustest.In("quorum lost", "production"))
	b.until(headline + `.includes("no leader for 12 minutes")`)
	if !eval[bool](b, `window.here === true`) {
		t.Error("the page was loaded again")
	}
	if got := eval[[]any](b, `[document.activeElement.id, document.querySelector("#table").open, document.querySelector(".scroll").scrollLeft,
		document.querySelector(".scroll").scrollTop, document.querySelector("[aria-current]").innerText]`); !slices.Equal(got, []any{"table-summary", true, 40.0, 120.0, "2 weeks"}) {
		t.Errorf("focused, open, scrolled and chosen are %v", got)
	}
	if after := eval[float64](b, "window.scrollY"); after < before {
		t.Errorf("it has scrolled from %f to %f", before, after)
	}
	if got := eval[[]string](b, `[document.title, document.querySelector("#icon").getAttribute("href")]`); !slices.Equal(got, []string{"production: danger · etcdha", "/danger.svg"}) {
		t.Errorf("the tab shows %q", got)
	}
}

// A daemon that does not answer is no daemon that is well.
func TestADaemonThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	w := watch(statustest.Healthy("production"))
	url, stop := serve(t, w, config.Server{})
	b := open(t)
	b.do(chromedp.Navigate(url))
	stop()
	lost := `document.querySelector("[role=alert]").innerText`
	b.until(lost + ` !== ""`)
	if got := eval[string](b, lost); got != "The daemon does not answer (no connection). This is what was known at 14:23:45 UTC." {
		t.Errorf("it says %q", got)
	}
	fits(b, "a lost daemon")
	b.screenshot("lost")

	serve(t, w, config.Server{Listen: strings.TrimPrefix(url, "https://")})
	b.until(lost + ` === ""`)
	for _, c := range b.heard() { // that nobody answered
		if !strings.Contains(c, "ERR_CONNECTION_REFUSED") && !strings.Contains(c, "ERR_CONNECTION_RESET") && !strings.Contains(c, "ERR_EMPTY_RESPONSE") {
			t.Errorf("the browser complains: %s", c)
		}
	}
}

// A token in the address opens the page, and keeps it up to date.
func TestATokenIsEnough(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := watch(statustest.Healthy("production"))
	url, _ := serve(t, w, config.Server{TokenFile: token})
	b := open(t)
	b.do(chromedp.Navigate(strings.Replace(url, "//", "//x:0123456789abcdef0123456789abcdef@", 1)))
	w.becomes(statustest.In("no backup", "production"))
	b.do(chromedp.Evaluate[chromedp.Void](comesBack))
	b.until(headline + `.includes("there is no backup")`)
	if err := os.WriteFile(token, []byte("another one, since this one was known\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](comesBack))
	b.until(`document.querySelector("[role=alert]").innerText.startsWith("The daemon needs the token again")`)
	b.heard() // that it was refused
}

// Somebody who copies a command is left in peace, but not for ever.
func TestASelectionIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := watch(statustest.In("near quota", "production"))
	url, _ := serve(t, w, config.Server{})
	b := open(t)
	b.do(chromedp.Navigate(url))
	b.do(chromedp.Evaluate[chromedp.Void](`getSelection().selectAllChildren(document.querySelector(".hint"))`))
	w.becomes(statustest.Healthy("production"))
	b.do(chromedp.Evaluate[chromedp.Void](comesBack))
	if got := eval[string](b, `getSelection().toString()`); !strings.HasPrefix(got, "compact old revisions") {
		t.Errorf("selected is %q", got)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`getSelection().removeAllRanges(); ` + comesBack))
	b.until(headline + `.startsWith("Safe")`)
}

func TestAClusterIsFound(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, watch(statustest.Many(500)...), config.Server{})
	b := open(t)
	b.do(screens[0].use(), chromedp.Navigate(url))
	rows := `document.querySelectorAll("tbody tr").length`
	if n := eval[int](b, rows); n != 500 {
		t.Fatalf("there are %d rows", n)
	}
	t.Logf("500 clusters: %.0f ms until loaded, %.0f kB sent, %.0f kB unpacked",
		eval[float64](b, `performance.getEntriesByType("navigation")[0].loadEventEnd`),
		eval[float64](b, `performance.getEntriesByType("navigation")[0].encodedBodySize / 1000`),
		eval[float64](b, `performance.getEntriesByType("navigation")[0].decodedBodySize / 1000`))
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "ER-04"+kb.Enter))
	b.until(`location.search === "?q=ER-04" && document.readyState === "complete" && ` + rows + ` === 10`)
	b.do(chromedp.Click(chromedp.CSS(`a[href="/cluster/cluster-045"]`)))
	b.until(`document.querySelector("h1")?.innerText === "cluster-045"`)
	b.do(chromedp.Click(chromedp.CSS(".brand")))
	b.until(rows + ` === 500`)
}

// All of it is reached by keys.
func TestByKeys(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, watch(statustest.In("rehearsal failed", "production")), config.Server{})
	b := open(t)
	b.do(screens[0].use(), chromedp.Navigate(url))
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.id === "main"`)
	for range 4 {
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	if got := eval[string](b, `document.activeElement.innerText`); got != "all" {
		t.Fatalf("focused is %q", got)
	}
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.End))
	readout := `document.querySelector("#readout").innerText`
	if got := eval[string](b, readout); got != "2026-07-31 14:02 UTC, stored, 1.2 GiB" {
		t.Errorf("at the end it reads %q", got)
	}
	for range 12 {
		b.do(chromedp.KeyEvent(kb.ArrowLeft))
	}
	damaged := "2026-07-31 02:02 UTC, damaged, 1.2 GiB"
	if got := eval[string](b, readout); got != damaged {
		t.Errorf("twelve before it reads %q", got)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`window.old = document.querySelector("#main"); ` + comesBack))
	b.until(`document.querySelector("#main") !== window.old`)
	if got := eval[[]string](b, `[document.querySelector("#readout").innerText, document.activeElement.id]`); !slices.Equal(got, []string{damaged, "lane-0"}) {
		t.Errorf("after a refresh it reads %q", got)
	}
}

// Without scripts the same is there, and a reload brings what is new.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	w := watch(statustest.Healthy("production"))
	url, _ := serve(t, w, config.Server{})
	b := open(t)
	b.do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(url))
	text := func() string {
		t.Helper()
		got, err := chromedp.Run(b, chromedp.TextContent(chromedp.CSS("main")))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := text(); !strings.Contains(got, "can restore to 21 minutes ago") {
		t.Errorf("it reads %q", got)
	}
	w.becomes(statustest.In("no backup", "production"))
	b.do(chromedp.Reload())
	if got := text(); !strings.Contains(got, "there is no backup") {
		t.Errorf("it reads %q", got)
	}
}

// What hostile words would do is forbidden twice: they are text, and the policy allows no script in the page.
func TestHostileWordsDoNothing(t *testing.T) {
	t.Parallel()
	const hostile = `"'><script>document.title = "owned"</script><img src=x onerror="document.title = 'owned'"><svg onload="document.title = 'owned'">`
	c := statustest.In("one store down", hostile)
	c.Stores[0].Err, c.Members[0].Name, c.Members[0].Err, c.Members[0].Zone = hostile, hostile, hostile, hostile
	c.Troubles = []status.Trouble{{Time: statustest.Now, What: hostile, Err: hostile, Hint: hostile}}
	url, _ := serve(t, watch(c, statustest.Healthy("b")), config.Server{})
	b := open(t)
	b.do(chromedp.Navigate(url))
	b.do(chromedp.Click(chromedp.CSS("tbody a")))
	b.until(`document.querySelector("h1")?.innerText === ` + "`" + hostile + "`")
	b.do(chromedp.Evaluate[chromedp.Void](`window.old = document.querySelector("#main"); ` + comesBack))
	b.until(`document.querySelector("#main") !== window.old`)
	if title := eval[string](b, `document.title`); strings.HasPrefix(title, "owned") || !strings.HasPrefix(title, hostile) {
		t.Errorf("the title is %q", title)
	}
	fits(b, "a page with hostile words")
}
