//go:build linux

package controlplane

import (
	"encoding/json"
	"slices"
	"testing"
)

// shown is what apiserver show -w json prints.
type shown struct {
	File     string   `json:"file"`
	Form     string   `json:"form"`
	Flag     string   `json:"flag"`
	Topology string   `json:"topology"`
	Servers  []string `json:"servers"`
}

func (h *host) show(more ...string) shown {
	h.t.Helper()
	r := h.must(append([]string{tool("etcdha"), "apiserver", "show", "-w", "json"}, more...)...)
	var s shown
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		h.t.Fatalf("%v: %v", r, err)
	}
	return s
}

// Two apiservers serve, of which show tells the truth.
func TestShow(t *testing.T) {
	s := external(t, 3, 3)
	w := s.write()
	w.flows(t)
	for _, h := range s.cps {
		got := h.show()
		if got.File != manifest || got.Form != "static-pod" || got.Flag != "--etcd-servers" || got.Topology != "external" {
			t.Errorf("%s: %+v", h.name, got)
		}
		if want := clientURLs(s.etcds...); !slices.Equal(got.Servers, want) {
			t.Errorf("%s: the servers are %v, expected %v", h.name, got.Servers, want)
		}
	}
	w.stop(t)
	s.oneEach(t)
}

func TestShowStacked(t *testing.T) {
	s := stacked(t, 1)
	for _, h := range s.cps {
		got := h.show()
		if got.Topology != "stacked" || !slices.Equal(got.Servers, []string{"https://127.0.0.1:2379"}) {
			t.Errorf("%s: %+v", h.name, got)
		}
	}
	s.oneEach(t)
}
