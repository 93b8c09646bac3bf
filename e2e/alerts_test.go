package e2e

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/etcdha/etcdha/cronjobs/metrics"
	"github.com/etcdha/etcdha/cronjobs/status"
	"github.com/etcdha/etcdha/cronjobs/status/statustest"
)

// The alert rules that are shipped, and the situations in which they fire and do not.
const (
	rulesFile     = "../deploy/prometheus/etcdha.rules.yaml"
	ruleTestsFile = "../deploy/prometheus/etcdha.rules.test.yaml"
)

type alertRule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

type ruleTest struct {
	Name           string
	AlertRuleTests []struct {
		Alertname string
		ExpAlerts []any `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var file struct {
		Groups []struct{ Rules []alertRule }
	}
	decode(t, rulesFile, &file)
	var rules []alertRule
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

func decode(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = yaml.Unmarshal(data, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestAlertsAreWhatTheySay(t *testing.T) {
	if out := must(t, tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", rulesFile); !strings.Contains(out, "rules found") {
		t.Errorf("promtool check rules:\n%s", out)
	}
	must(t, tool("promtool"), "test", "rules", ruleTestsFile)
}

func TestEachAlertHasSituations(t *testing.T) {
	var file struct{ Tests []ruleTest }
	decode(t, ruleTestsFile, &file)
	fires, silent := make(map[string]bool), make(map[string]bool)
	for _, test := range file.Tests {
		if test.Name == "" {
			t.Error("a situation has no name")
		}
		for _, a := range test.AlertRuleTests {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				silent[a.Alertname] = true
			}
		}
	}
	for _, r := range alertRules(t) {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: fires in a situation: %v; is silent in one: %v", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
}

// A metric that is renamed makes an alert that never fires. docs/metrics.md is what the daemon
// exports: a test of package metrics compares them.
func TestAlertsUseMetricsThatThereAre(t *testing.T) {
	data, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := string(data)
	metric := regexp.MustCompile(`etcdha_[a-z0-9_]+`)
	for _, r := range alertRules(t) {
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary or description", r.Alert)
		}
		if severity := r.Labels["severity"]; !slices.Contains([]string{"warning", "critical"}, severity) {
			t.Errorf("%s: severity %q", r.Alert, severity)
		}
		if row := "| `" + r.Alert + "` | " + r.Labels["severity"] + " | "; !strings.Contains(documented, row) {
			t.Errorf("docs/metrics.md has no row %q", row)
		}
		used := metric.FindAllString(r.Expr, -1)
		if len(used) == 0 {
			t.Errorf("%s uses no metric", r.Alert)
		}
		for _, name := range append(used, metric.FindAllString(r.Annotations["description"], -1)...) {
			if !strings.Contains(documented, "| `"+name+"{") && !strings.Contains(documented, "| `"+name+"` |") {
				t.Errorf("%s uses %s, which there is not", r.Alert, name)
			}
		}
	}
	for _, name := range regexp.MustCompile("(?m)^\\| `(Etcdha[A-Za-z]+)` ").FindAllStringSubmatch(documented, -1) {
		if !slices.ContainsFunc(alertRules(t), func(r alertRule) bool { return r.Alert == name[1] }) {
			t.Errorf("docs/metrics.md has the alert %s, which there is not", name[1])
		}
	}
}

// onThePage are situations that the page warns of, and for which nobody is called.
var onThePage = []string{"never proven", "nothing proves", "rehearsal overdue", "nothing scheduled", "unread entry", "nothing taken yet"}

// passing are situations that do not last.
var passing = []string{"fresh start"}

// The page and the alerts judge alike: of each situation that lasts, a critical alert tells if it is a danger
// on the page, and only then; and some alert if it is a warning.
func TestPageAndAlertsJudgeAlike(t *testing.T) {
	type series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	type sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
	type check struct {
		Expr     string   `yaml:"expr"`
		EvalTime string   `yaml:"eval_time"`
		Samples  []sample `yaml:"exp_samples"`
	}
	type situation struct {
		Name     string   `yaml:"name"`
		Interval string   `yaml:"interval"`
		Input    []series `yaml:"input_series"`
		Checks   []check  `yaml:"promql_expr_test"`
	}
	var situations []situation
	for _, s := range statustest.Situations {
		if slices.Contains(passing, s.Name) {
			continue
		}
		c := s.Cluster("production")
		level := status.Judge(c, statustest.Now).Level
		if slices.Contains(onThePage, s.Name) {
			if level != status.Warning {
				t.Errorf("%s is judged as %s: somebody has to be called for it, or it is nothing", s.Name, level)
			}
			level = status.Safe
		}
		one := situation{Name: s.Name, Interval: "1m"}
		for name, values := range scraped(t, c) {
			one.Input = append(one.Input, series{name, values})
		}
		for severity, fires := range map[string]bool{"critical": level == status.Danger, "warning": level == status.Warning} {
			// Of a danger, warnings may tell as well. Who fires is in what promtool says of a difference.
			want := []sample{}
			expr := fmt.Sprintf(`count by (severity) (ALERTS{alertstate="firing",severity="%s"}) > bool 0`, severity)
			if fires {
				want = append(want, sample{fmt.Sprintf(`{severity="%s"}`, severity), 1})
			} else if severity == "warning" && level == status.Danger {
				continue
			} else {
				expr = fmt.Sprintf(`count by (alertname) (ALERTS{alertstate="firing",severity="%s"})`, severity)
			}
			one.Checks = append(one.Checks, check{expr, "50m", want})
		}
		situations = append(situations, one)
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	data, err := yaml.Marshal(map[string]any{"rule_files": []string{rules}, "evaluation_interval": "1m", "tests": situations})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "situations.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, tool("promtool"), "test", "rules", file)
}

// scraped are the metrics of a cluster, which stay as they are for an hour: times move with the clock
// of promtool, which begins at 1970.
func scraped(t *testing.T, c status.Cluster) map[string]string {
	t.Helper()
	r := httptest.NewRecorder()
	metrics.New(func() status.Fleet { return statustest.Fleet(c) }).Handler().ServeHTTP(r, httptest.NewRequest("GET", "/metrics", nil))
	all := make(map[string]string)
	for line := range strings.Lines(r.Body.String()) {
		if !strings.HasPrefix(line, "etcdha_") {
			continue
		}
		at := strings.LastIndex(line, " ")
		value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		values := fmt.Sprintf("%fx60", value)
		if name, _, _ := strings.Cut(line, "{"); strings.HasSuffix(name, "_timestamp_seconds") && value > 0 {
			values = fmt.Sprintf("%f+60x60", value-float64(statustest.Now.Unix()))
		}
		all[line[:at]] = values
	}
	return all
}
