package apiserver

import "context"

// ofList is the topology that a list was made with. An external list that has shrunk
// to the member on this host looks like a stacked one, and would never grow again.
type ofList struct {
	servers  []string
	topology Topology
}

// recognise tells the topology of the list in the file: of a list that this agent
// has written it is what it was, also after a restart of the agent; of another one,
// what it looks like.
func (v *visit) recognise(ctx context.Context) error {
	if v.list.topology != "" && SameServers(v.list.servers, v.file.Servers) {
		return nil
	}
	list := ofList{v.file.Servers, TopologyOf(v.file.Servers, v.local.Addresses)}
	if list.topology == Stacked {
		endpoints, err := v.local.Registry.Endpoints(ctx)
		if err != nil {
			return during("read the last report", err)
		}
		r := ReportOf(endpoints, v.Host, v.file)
		if r != nil && r.ClusterID == v.members.ClusterID && SameServers(r.Servers, list.servers) {
			list.topology = r.Topology
		}
	}
	v.list = list
	return nil
}
