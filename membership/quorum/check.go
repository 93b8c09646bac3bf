package quorum

// Check refuses a step that is not safe with a [*Refusal]. A nil error means
// that the step can be committed and that the cluster goes on after it, provided
// that s is still true when the step takes effect; see [During] for what may
// fail meanwhile, and [State.NeedsLock] for what others may do.
//
// An even number of voters is no reason to refuse; see [Count.EvenCost].
func Check(s State, step Step) error {
	broken := judge(rules, s, step)
	if broken == nil {
		return nil
	}
	return &Refusal{
		Step: step, Reason: broken.reason, Members: broken.about(newChange(s, step)),
		Remedy: remedy(s, step), State: s,
	}
}

// rule is one thing that has to hold of every step of a kind.
type rule struct {
	kind   Kind // "": every kind
	reason Reason
	broken func(*change) bool
	about  func(*change) []ID // whom it is about, where it is broken
}

// change is a step and what it starts from.
type change struct {
	State
	step   Step
	member Member // that it is about; zero if there is none
	found  bool
}

func newChange(s State, step Step) *change {
	member, found := s.Member(step.ID)
	return &change{s, step, member, found}
}

// rules in the order in which they are told: what the operator has mistaken,
// then what ails the cluster, then what ails the member, then what would come.
var rules = []rule{
	{"", NotAChange, notAChange, nobody},
	{Promote, NoSuchMember, noSuchMember, target},
	{Remove, NoSuchMember, noSuchMember, target},
	{Update, NoSuchMember, noSuchMember, target},
	{MoveLeader, NoSuchMember, noSuchMember, target},
	{Promote, NotALearner, func(c *change) bool { return !c.member.Learner }, target},
	{MoveLeader, NotAVoter, func(c *change) bool { return c.member.Learner }, target},
	{MoveLeader, AlreadyLeader, isLeader, target},
	{"", NoQuorum, func(c *change) bool { return !c.Count().commits() }, votersMissing},
	{"", NoLeader, noLeader, nobody},
	{AddLearner, PendingMember, func(c *change) bool { return len(learners(c)) > 0 }, learners},
	{AddLearner, CorruptLeader, corruptLeader, leader},
	{AddLearner, VoterDown, func(c *change) bool { return len(votersDown(c)) > 0 }, votersDown},
	{Promote, NotStarted, notStarted, target},
	{Promote, NotAnswering, notAnswering, target},
	{Promote, NotCaughtUp, notCaughtUp, target},
	{Promote, CorruptMember, corrupt, target},
	{MoveLeader, NotStarted, notStarted, target},
	{MoveLeader, NotAnswering, notAnswering, target},
	{MoveLeader, NotCaughtUp, notCaughtUp, target},
	{MoveLeader, CorruptMember, corrupt, target},
	{Remove, LastVoter, lastVoter, target},
	{Remove, IsLeader, isLeader, target},
	{Promote, LosesQuorum, losesQuorum, votersDownAfter},
	{Remove, LosesQuorum, losesQuorum, votersDownAfter},
	{Update, LosesQuorum, losesQuorum, votersDownAfter},
}

// judge returns the first of the rules that the step breaks, nil if it is safe.
func judge(rules []rule, s State, step Step) *rule {
	c := newChange(s, step)
	for i := range rules {
		if r := &rules[i]; (r.kind == "" || r.kind == step.Kind) && r.broken(c) {
			return r
		}
	}
	return nil
}

func notAChange(c *change) bool {
	switch c.step.Kind {
	case AddLearner, Promote, Remove, Update, MoveLeader:
		return false
	default:
		return true
	}
}

func noSuchMember(c *change) bool { return !c.found }
func notStarted(c *change) bool   { return !c.member.Started }
func notAnswering(c *change) bool { return !c.member.Answers }
func notCaughtUp(c *change) bool  { return !c.member.CaughtUp }
func corrupt(c *change) bool      { return c.member.Corrupt }
func lastVoter(c *change) bool    { return !c.member.Learner && c.Count().Voters == 1 }
func isLeader(c *change) bool     { return c.Leader == c.step.ID }

func noLeader(c *change) bool {
	leader, found := c.Member(c.Leader)
	return c.Leader == 0 || !found || leader.Learner || !leader.Answers
}

func corruptLeader(c *change) bool {
	leader, _ := c.Member(c.Leader)
	return leader.Corrupt
}

// losesQuorum looks at what would be left. Other peer URLs may be wrong, so that
// an update is judged as the loss of its member. See the package comment for
// the removal of a member that is not able.
func losesQuorum(c *change) bool {
	after := c.After(c.step).Count()
	switch {
	case c.step.Kind == Promote:
		return after.Tolerates() < 0
	case c.member.Learner:
		return false // it does not vote
	case c.step.Kind == Update && len(c.Members) == 1:
		return false // nobody has to find it
	case c.step.Kind == Remove && !c.member.Able():
		return !after.commits()
	default:
		return after.Tolerates() < 0
	}
}

func nobody(*change) []ID   { return nil }
func target(c *change) []ID { return []ID{c.step.ID} }
func leader(c *change) []ID { return []ID{c.Leader} }

func learners(c *change) []ID {
	return c.which(func(m Member) bool { return m.Learner })
}

func votersMissing(c *change) []ID {
	return c.which(func(m Member) bool { return !m.Learner && !m.votes() })
}

func votersDown(c *change) []ID {
	return c.which(func(m Member) bool { return !m.Learner && !m.Able() })
}

func votersDownAfter(c *change) []ID {
	return c.After(c.step).which(func(m Member) bool { return !m.Learner && !m.Able() && m.ID != c.step.ID })
}

// which returns the members of which something holds.
func (s State) which(holds func(Member) bool) []ID {
	var ids []ID
	for _, m := range s.Members {
		if holds(m) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
