package membership

import (
	"fmt"

	"github.com/etcdha/etcdha/membership/quorum"
)

// EventStart is the event that the etcd of a new member has to be started. All
// others are named after the step that took effect.
const EventStart = "start"

// Event is what the operator's automation is told, as JSON. After a crash, the
// start of a member that has not started yet is told again.
type Event struct {
	Step      string      `json:"step"`      // add, start, promote, remove, update or move-leader
	ClusterID string      `json:"clusterID"` // hexadecimal
	Member    EventMember `json:"member"`
	// Start is what the etcd of the member is started with, only with start.
	Start *EventStarted `json:"start,omitempty"`
}

// EventMember is the member that an event is about.
type EventMember struct {
	Name     string   `json:"name"`
	ID       string   `json:"id"` // hexadecimal
	PeerURLs []string `json:"peerURLs"`
	Zone     string   `json:"zone,omitempty"`
}

// EventStarted is what has to be started.
type EventStarted struct {
	InitialCluster string            `json:"initialCluster"`
	Environment    map[string]string `json:"environment"` // for etcd: ETCD_NAME and others
	Version        string            `json:"version"`     // of the leader's etcd
}

func newEvent(step string, s Step, o *Observation) Event {
	event := Event{Step: step, ClusterID: fmt.Sprintf("%x", o.ClusterID)}
	if s.Kind == quorum.AddLearner {
		s.ID = o.idOf(Step{PeerURLs: s.PeerURLs})
	}
	event.Member = EventMember{Name: s.Name, ID: s.ID.String(), PeerURLs: s.PeerURLs}
	if m := o.member(s.ID); m != nil {
		event.Member.Zone = m.Zone
	}
	if step == EventStart {
		n := NewMember(o, s.ID, s.Name)
		event.Start = &EventStarted{n.InitialCluster, make(map[string]string), n.Version}
		for _, v := range n.environment() {
			event.Start.Environment[v.name] = v.value
		}
	}
	return event
}
