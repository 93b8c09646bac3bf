package schedule

import "time"

// Zone returns where the wall clock hangs that the schedule is meant by: nil if there is none, as
// for @every.
func (s Schedule) Zone() *time.Location { return s.zone }
