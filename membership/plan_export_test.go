package membership

// Play is the observation that a plan expects after a step.
func Play(o *Observation, s Step) *Observation {
	s.ID = o.idOf(s)
	return o.play(s)
}
