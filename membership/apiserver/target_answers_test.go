package apiserver

import (
	"encoding/json"
	"slices"
	"testing"
)

// Servers whose URLs no member has are known by what they answer. They stay as they
// are written, and their members are not added a second time.
func TestChooseByAnswers(t *testing.T) {
	names := []string{"https://etcd-1.example:2379", "https://etcd-2.example:2379", "https://etcd-3.example:2379"}
	all := map[string]uint64{names[0]: 1, names[1]: 2, names[2]: 3}
	without := func(i int) map[string]uint64 {
		return map[string]uint64{names[(i+1)%3]: uint64((i+1)%3 + 1), names[(i+2)%3]: uint64((i+2)%3 + 1)}
	}
	far := members(3, on(1, withURLs("https://192.168.7.1:2379")))
	for _, c := range []struct {
		name    string
		current []string
		answers map[string]uint64
		members []Member
		want    []string
		left    string
	}{
		{"names", names, all, members(3), names, ""},
		{"names, and an addition", names, all, members(4), append(slices.Clone(names), "https://10.0.0.4:2379"), ""},
		{"a name whose member goes", names, all, members(3, on(2, withdrawn)), []string{names[0], names[2]}, "m2 is withdrawn, to be removed"},
		{"a name of another cluster's member", names, map[string]uint64{names[0]: 1, names[1]: 2, names[2]: 77}, members(2), names[:2], names[2] + " is no member's"},
		{"a name that does not answer, as one member", names, without(2), members(3, on(3, down)), names, ""},
		{"it does not, and is to be removed", names, without(2), members(3, on(3, down), on(3, withdrawn)), names[:2], "m3 is withdrawn, to be removed"},
		{"it does not, and all members do", names, without(2), members(2), names[:2], names[2] + " is no member's"},
		{"an address is no name", append(slices.Clone(names[:2]), "https://10.0.9.9:2379"), without(2), members(3, on(3, down)), names[:2],
			"m3 is not healthy: connection refused; https://10.0.9.9:2379 is no member's"},
		{"two that do not answer", names, map[string]uint64{names[0]: 1}, members(3, on(2, down), on(3, down)), names[:1],
			"m2 is not healthy: connection refused; m3 is not healthy: connection refused; " + names[1] + " is no member's; " + names[2] + " is no member's"},
		{"stacked, behind an address that the host does not know", []string{here}, map[string]uint64{here: 1}, far, []string{here}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Choose(Wish{Current: c.current, Members: c.members, Addresses: []string{"10.0.0.1"}, Secure: true, Answers: c.answers})
			if left := describe(got.LeftOut); err != nil || !slices.Equal(got.Servers, c.want) || left != c.left {
				t.Errorf("%q, left out: %s, %v\nwant %q, left out: %s", got.Servers, left, err, c.want, c.left)
			}
		})
	}
}

func TestLeftOutInJSON(t *testing.T) {
	data, err := json.Marshal(LeftOut{"m4", "is a learner"})
	if want := `{"what":"m4","reason":"is a learner"}`; string(data) != want || err != nil {
		t.Errorf("%s, %v", data, err)
	}
}
