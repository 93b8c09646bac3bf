package membership

// After is what would be observed once the step has taken effect.
func (o *Observation) After(s Step) *Observation { return o.play(s) }
