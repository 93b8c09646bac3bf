package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
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
