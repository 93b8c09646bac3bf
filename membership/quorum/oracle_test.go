package quorum

// The oracle is a second implementation, written for being obviously right and
// not for being fast. It knows no formula: it looks at every set of voters that
// is a majority and sees whether all in one of them work. It shares the types of
// the package, and none of its methods.

// maxVoters is the most that an oracle is asked about: seven and one promoted.
const maxVoters = 8

// someMajorityWorks has, for each number of voters and each set of them that
// works, whether there is a majority of which everybody works.
var someMajorityWorks = func() (table [maxVoters + 1][1 << maxVoters]bool) {
	for n := range table {
		for works := range 1 << n {
			for set := range 1 << n {
				if 2*sizeOf(set) > n && set&works == set {
					table[n][works] = true
				}
			}
		}
	}
	return table
}()

func sizeOf(set int) (n int) {
	for ; set != 0; set >>= 1 {
		n += set & 1
	}
	return n
}

// writes: what the leader sends to the member is acknowledged soon.
func writes(m Member) bool { return m.Started && m.Answers && m.CaughtUp }

// serves: a client gets true answers from it as well.
func serves(m Member) bool { return writes(m) && !m.Corrupt }

// majorityOf tells whether a majority of the voters consists of members that work.
func majorityOf(members []Member, works func(Member) bool) bool {
	n, set := 0, 0
	for i := range members {
		if members[i].Learner {
			continue
		}
		if works(members[i]) {
			set |= 1 << n
		}
		n++
	}
	return someMajorityWorks[n][set]
}

func without(members []Member, id ID) []Member {
	var rest []Member
	for _, m := range members {
		if m.ID != id {
			rest = append(rest, m)
		}
	}
	return rest
}

// oracle returns why a step is not safe, "" if it is.
func oracle(s State, step Step) Reason {
	var m Member
	found := false
	var leader *Member
	voters, learners := 0, 0
	for i := range s.Members {
		if s.Members[i].ID == step.ID {
			m, found = s.Members[i], true
		}
		if s.Members[i].ID == s.Leader {
			leader = &s.Members[i]
		}
		if s.Members[i].Learner {
			learners++
		} else {
			voters++
		}
	}
	switch step.Kind {
	case AddLearner, Promote, Remove, Update, MoveLeader:
	default:
		return NotAChange
	}
	if step.Kind != AddLearner && !found {
		return NoSuchMember
	}
	switch {
	case step.Kind == Promote && !m.Learner:
		return NotALearner
	case step.Kind == MoveLeader && m.Learner:
		return NotAVoter
	case step.Kind == MoveLeader && s.Leader == m.ID:
		return AlreadyLeader
	case !majorityOf(s.Members, writes):
		return NoQuorum
	case leader == nil || leader.Learner || !leader.Answers:
		return NoLeader
	}
	switch step.Kind {
	case AddLearner:
		return oracleOfAdd(s, *leader, learners)
	case Promote:
		m.Learner = false
		if why := flawOf(m); why != "" {
			return why
		}
		return majorityOrElse(append(without(s.Members, m.ID), m), serves)
	case MoveLeader:
		return flawOf(m)
	case Remove:
		return oracleOfRemove(s, m, voters)
	default:
		return oracleOfUpdate(s, m)
	}
}

func majorityOrElse(members []Member, works func(Member) bool) Reason {
	if majorityOf(members, works) {
		return ""
	}
	return LosesQuorum
}

func oracleOfAdd(s State, leader Member, learners int) Reason {
	if learners > 0 {
		return PendingMember
	}
	if leader.Corrupt {
		return CorruptLeader
	}
	for _, m := range s.Members {
		if !serves(m) {
			return VoterDown
		}
	}
	return ""
}

func flawOf(m Member) Reason {
	switch {
	case !m.Started:
		return NotStarted
	case !m.Answers:
		return NotAnswering
	case !m.CaughtUp:
		return NotCaughtUp
	case m.Corrupt:
		return CorruptMember
	}
	return ""
}

func oracleOfRemove(s State, m Member, voters int) Reason {
	switch {
	case m.Learner:
		return ""
	case voters == 1:
		return LastVoter
	case m.ID == s.Leader:
		return IsLeader
	case serves(m):
		return majorityOrElse(without(s.Members, m.ID), serves)
	default:
		return majorityOrElse(without(s.Members, m.ID), writes)
	}
}

func oracleOfUpdate(s State, m Member) Reason {
	if m.Learner || len(s.Members) == 1 {
		return ""
	}
	return majorityOrElse(s.Members, func(other Member) bool { return serves(other) && other.ID != m.ID })
}

// played is the state that a step leads to.
func played(s State, step Step) State {
	out := State{Leader: s.Leader}
	for _, m := range s.Members {
		switch {
		case m.ID != step.ID || step.Kind == AddLearner:
		case step.Kind == Promote:
			m.Learner = false
		case step.Kind == Remove:
			if s.Leader == m.ID {
				out.Leader = 0
			}
			continue
		case step.Kind == Update && len(s.Members) > 1:
			m.Answers = false
			if s.Leader == m.ID {
				out.Leader = 0
			}
		case step.Kind == MoveLeader:
			out.Leader = m.ID
		case step.Kind == Heal:
			m.Started, m.Answers, m.CaughtUp = true, true, true
		}
		out.Members = append(out.Members, m)
	}
	if step.Kind == AddLearner {
		out.Members = append(out.Members, Member{ID: step.ID, Learner: true})
	}
	if step.Kind == Heal && step.ID != stranger && out.Leader == 0 && majorityOf(out.Members, writes) {
		out.Leader = elected(out.Members)
	}
	return out
}

// elected is the first voter that is good for it.
func elected(members []Member) ID {
	for _, m := range members {
		if !m.Learner && serves(m) {
			return m.ID
		}
	}
	for _, m := range members {
		if !m.Learner && writes(m) {
			return m.ID
		}
	}
	return 0
}
