package election

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// Prefer returns which of some instances is to be active for a cluster, "" if there are
// none. It is the one with the highest hash of both names (rendezvous hashing), so that
// clusters spread evenly, all instances agree, and who comes or goes moves only its own.
func Prefer(cluster string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return slices.MaxFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(weight(cluster, a), weight(cluster, b)), cmp.Compare(a, b))
	})
}

func weight(cluster, name string) uint64 {
	sum := sha256.Sum256([]byte(cluster + "\x00" + name)) // names hold no zero byte
	return binary.BigEndian.Uint64(sum[:])
}

// Acts tells whether this instance is the one that acts while an alarm allows no lock
// and nobody has one. attends tells whether it renews an entry on the list. It is the
// whole rule:
//
// Who attends is known to everybody, since attendance from before the alarm goes on
// being renewed. So if anybody does, the first of them acts and nobody else: those
// beside a voter in the order of its id, then the others by name. An entry that
// nobody renews any more, as after a restart, still keeps the others waiting until its
// lease ends.
//
// If nobody does, since all have come after the alarm, they cannot know of each
// other. The one beside the voter with the lowest id acts, of which there is one. So does
// one that is beside no voter: it cannot know of any other, and two backups are better
// than none. One beside another voter leaves it to the first. One that does not know
// where it is does nothing.
func Acts(a Attendance, attends bool) bool {
	if a.Self == nil || a.Active != "" {
		return false
	}
	if len(a.Instances) > 0 {
		return attends && a.first() == a.Self.Name
	}
	if !a.beside(*a.Self) {
		return true
	}
	return a.Self.Member == slices.Min(a.Voters)
}

// first is the name of the first on the list, which is not empty.
func (a Attendance) first() string {
	return slices.MinFunc(a.Instances, func(x, y Instance) int {
		return cmp.Or(cmp.Compare(a.place(x), a.place(y)), cmp.Compare(x.Name, y.Name))
	}).Name
}

// leftTo is who acts in the place of this instance, in words.
func (a Attendance) leftTo() string {
	switch {
	case len(a.Instances) > 0:
		return a.first()
	case a.Self == nil:
		return "others, since the member on this host has not told its id"
	}
	return "the instance beside the voter with the lowest id"
}

// beside tells whether there is a voter on an instance's host.
func (a Attendance) beside(i Instance) bool { return slices.Contains(a.Voters, i.Member) }

// place is the id of the voter on an instance's host, and above all ids where none is.
func (a Attendance) place(i Instance) uint64 {
	if a.beside(i) {
		return i.Member
	}
	return math.MaxUint64
}

// names are those of the list and of this instance, without the one left out, and without
// those that are there for one run.
func (a Attendance) names(self, without string) []string {
	names := []string{self}
	for _, i := range a.Instances {
		if i.Name != self && i.Name != without && !strings.HasSuffix(i.Name, OnceSuffix) {
			names = append(names, i.Name)
		}
	}
	return names
}
