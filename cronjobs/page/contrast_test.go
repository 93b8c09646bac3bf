package page_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	custom = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)
	// text stands on these grounds, and has to hold 4.5:1 (WCAG 2, 1.4.3).
	texts = map[string][]string{
		"text":    {"ground", "card", "data-soft", "safe-soft", "warning-soft", "danger-soft"},
		"dim":     {"ground", "card", "warning-soft", "danger-soft"},
		"link":    {"ground", "card", "warning-soft"},
		"safe":    {"ground", "card", "safe-soft"},
		"warning": {"card", "warning-soft"},
		"danger":  {"ground", "card", "danger-soft"},
	}
	// marks are pictures that say something, and have to hold 3:1 (1.4.11).
	marks = map[string][]string{"data": {"ground", "card", "data-soft", "trough"}, "warning": {"trough"}, "danger": {"trough"}}
)

// Colours are checked as they stand in the style sheet, in both schemes.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("there is no dark scheme")
	}
	for scheme, sheet := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range custom.FindAllStringSubmatch(sheet, -1) {
			colours[m[1]] = m[2]
		}
		for least, pairs := range map[float64]map[string][]string{4.5: texts, 3: marks} {
			for over, grounds := range pairs {
				for _, under := range grounds {
					if c := contrast(t, colours[over], colours[under]); c < least {
						t.Errorf("%s: %s on %s has %.2f:1, and needs %.1f:1", scheme, over, under, c, least)
					}
				}
			}
		}
	}
}

// contrast is that of WCAG 2: from 1 to 21.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if colour == "" {
		t.Fatal("there is no such colour")
	}
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}
