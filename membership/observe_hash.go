package membership

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// AgreeHash compares what the members hold, at one revision that all of them
// have: those that have caught up, or without a leader all that answer. One that is
// behind could have the others hash a revision that they have compacted. Each is asked for itself and the leader last, since a member applies
// nothing while it computes. Only hashes of the same compaction are compared;
// a member that cannot be compared, a learner for one, is a notice.
//
// It is an error if no member gives a hash.
func AgreeHash(ctx context.Context, r Reader, o *Observation) ([]Finding, error) {
	members, found := toCompare(o)
	var revision int64
	for _, m := range members {
		if revision == 0 || m.Status.Revision < revision {
			revision = m.Status.Revision
		}
	}
	slices.SortStableFunc(members, func(a, b *Member) int { return rankLeader(o, a) - rankLeader(o, b) })

	hashes := make(map[Hash][]string) // by hash, who has it
	var first error
	for _, m := range members {
		h, err := r.Hash(ctx, m.Endpoint, revision)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			if first == nil {
				first = err
			}
			found = append(found, Finding{Severity: Notice, Code: "hash-missing", Member: m.Label(),
				Text: fmt.Sprintf("%s gave no hash: %v", m.Label(), err)})
			continue
		}
		hashes[h] = append(hashes[h], m.Label())
	}
	if len(hashes) == 0 {
		return nil, fmt.Errorf("compare hashes: %w", first)
	}
	return append(compareHashes(hashes), found...), nil
}

// toCompare are the voters whose contents should be the same now, and a finding
// for each other one.
func toCompare(o *Observation) (members []*Member, others []Finding) {
	for _, m := range o.listed() {
		switch {
		case m.Status == nil || m.Learner:
		case o.Leader != 0 && (!o.follows(m) || !m.CaughtUp):
			others = append(others, Finding{Severity: Notice, Code: "hash-missing", Member: m.Label(),
				Text: fmt.Sprintf("%s was not compared: it has not caught up with the leader", m.Label())})
		default:
			members = append(members, m)
		}
	}
	return members, others
}

// rankLeader puts the leader last.
func rankLeader(o *Observation, m *Member) int {
	if m.ID == o.Leader {
		return 1
	}
	return 0
}

// compareHashes finds hashes that differ although they were computed over the
// same revisions, and members that were compared with nobody.
func compareHashes(hashes map[Hash][]string) []Finding {
	type span struct{ revision, compacted int64 }
	bySpan := make(map[span][]Hash)
	for h := range hashes {
		s := span{h.Revision, h.CompactRevision}
		bySpan[s] = append(bySpan[s], h)
	}
	var found []Finding
	for s, differing := range bySpan {
		if len(differing) > 1 {
			var words []string
			for _, h := range differing {
				words = append(words, fmt.Sprintf("%s %08x", strings.Join(hashes[h], " and "), h.Hash))
			}
			slices.Sort(words)
			found = append(found, Finding{Severity: Critical, Code: "hash-differs",
				Text:   fmt.Sprintf("members hold different data at revision %d: %s", s.revision, strings.Join(words, ", ")),
				Remedy: "find out which one is wrong, with a verified backup if need be; then etcdha member replace"})
		}
		if len(bySpan) > 1 {
			for _, h := range differing {
				found = append(found, Finding{Severity: Notice, Code: "hash-not-comparable", Member: strings.Join(hashes[h], ","),
					Text:   fmt.Sprintf("%s computed with the compaction at %d, others with another one: not comparable", strings.Join(hashes[h], " and "), s.compacted),
					Remedy: "ask again in a minute"})
			}
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Code+a.Text, b.Code+b.Text) })
	return found
}
