package page_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// contrast finds text that is too near its ground: below 4.5, or 3 where it is large, as WCAG 2 says.
const contrast = `(() => {
  const rgba = (s) => { const n = s.match(/[\d.]+/g).map(Number); return [n[0], n[1], n[2], n[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map((i) => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    const layers = [];
    for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, c) => over(c, below), [255, 255, 255, 1]);
  };
  const bad = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement, style = getComputedStyle(e);
    if (!texts.currentNode.data.trim() || e.closest("title, script, style, .unseen") || !e.getClientRects().length) continue;
    seen++;
    const back = ground(e), text = over(rgba(e.closest("svg") ? style.fill : style.color), back);
    const [a, b] = [light(text), light(back)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) bad.push(ratio.toFixed(2) + ": " + texts.currentNode.data.trim().slice(0, 40));
  }
  return seen ? bad : ["there is no text"];
})()`

// pictured are the situations of which there is a picture: one takes a second.
var pictured = []string{"healthy", "fresh start", "quorum lost", "rehearsal failed", "overdue", "many members"}

// Whatever has happened, the page fits its screen and can be read, in both schemes.
func TestEverySituationCanBeRead(t *testing.T) {
	for _, sc := range screens {
		t.Run(sc.String(), func(t *testing.T) {
			b := open(t)
			b.do(sc.use())
			w := watch()
			url, _ := serve(t, w, config.Server{})
			for _, situation := range statustest.Situations {
				w.becomes(situation.Cluster("production"))
				b.do(chromedp.Navigate(url))
				fits(b, situation.Name)
				if told := eval[string](b, `document.querySelector(".verdict .mark").innerText`); !strings.EqualFold(strings.TrimSpace(told), situation.Level.String()) {
					t.Errorf("%s is shown as %q, want %s", situation.Name, told, situation.Level)
				}
				if slices.Contains(pictured, situation.Name) {
					b.screenshot(strings.ReplaceAll(situation.Name, " ", "-") + "-" + sc.String())
				}
			}
		})
	}
}

func TestTheOverviewCanBeRead(t *testing.T) {
	url, _ := serve(t, watch(statustest.Many(60)...), config.Server{})
	for _, sc := range screens {
		t.Run(sc.String(), func(t *testing.T) {
			b := open(t)
			b.do(sc.use(), chromedp.Navigate(url))
			fits(b, "the overview")
			b.screenshot("overview-" + sc.String())
		})
	}
}

// A name or an error may be one long word.
func TestLongWordsFit(t *testing.T) {
	long := strings.Repeat("long", 60)
	c := statustest.In("quorum lost", long)
	c.Err, c.Members[0].Name, c.Members[0].Zone, c.Stores[0].Name, c.Stores[0].URL, c.Active = long, long, long, long, long, long
	c.Jobs[0].Last.Summary, c.Certificates[0].Name = long, long
	w := watch(c)
	url, _ := serve(t, w, config.Server{})
	b := open(t)
	b.do(screens[2].use(), chromedp.Navigate(url))
	fits(b, "a cluster with long words")
	w.becomes(c, statustest.Healthy("b"))
	b.do(chromedp.Navigate(url))
	fits(b, "an overview with long words")
}

// fits tells what of a page is wider than the screen, or hard to read.
func fits(b *tab, what string) {
	b.t.Helper()
	if wide := eval[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		b.t.Errorf("%s is %d pixels wider than the screen, by %v", what, wide,
			eval[[]string](b, `[...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".scroll, svg")).slice(0, 5).map((e) => e.tagName + "." + e.className)`))
	}
	for _, bad := range eval[[]string](b, contrast) {
		b.t.Errorf("%s: contrast %s", what, bad)
	}
}
