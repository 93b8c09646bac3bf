package membership

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/quorum"
)

// look is one observation under way.
type look struct {
	r       Reader
	options ObserveOptions

	clusterID uint64
	asked     map[string]*answer // by endpoint
	answers   []*answer          // one for each member that answered, in the order in which they were found
	foreign   []Foreign
	errs      map[quorum.ID]error // why a listed member did not answer
}

// answer is what an endpoint said.
type answer struct {
	endpoint string
	id       quorum.ID // of the member that answered
	status   *Status   // the newest
	err      error     // of the newest request for it

	list    *List // its own
	listErr error
	linear  *List // the cluster's, read through it
	cutOff  error // why there is none

	caughtUp bool
}

// each calls f with every answer, all at the same time, each for as long as an
// answer may take.
func (l *look) each(ctx context.Context, answers []*answer, f func(context.Context, *answer)) {
	var wg sync.WaitGroup
	for _, a := range answers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, l.options.Timeout)
			defer cancel()
			f(ctx, a)
		})
	}
	wg.Wait()
}

// ask asks endpoints for the first time.
func (l *look) ask(ctx context.Context, endpoints []string) []*answer {
	var answers []*answer
	for _, endpoint := range endpoints {
		if l.asked[endpoint] == nil {
			l.asked[endpoint] = &answer{endpoint: endpoint}
			answers = append(answers, l.asked[endpoint])
		}
	}
	l.each(ctx, answers, func(ctx context.Context, a *answer) {
		l.refresh(ctx, a)
		if a.err != nil {
			return
		}
		a.id = a.status.MemberID
		list, err := l.r.Members(ctx, a.endpoint, false)
		if err == nil {
			a.list = &list
		}
		a.listErr = err
	})
	return answers
}

func (l *look) refresh(ctx context.Context, a *answer) {
	status, err := l.r.Status(ctx, a.endpoint)
	if err == nil && a.id != 0 && status.MemberID != a.id {
		err = &OtherMemberError{a.endpoint, status.MemberID}
	}
	a.status, a.err = &status, err
	if err != nil {
		a.status = nil
	}
}

func (l *look) askSeeds(ctx context.Context) error {
	answers := l.ask(ctx, l.options.Endpoints)
	var errs []error
	l.clusterID = l.options.ClusterID
	for _, a := range answers {
		if a.err == nil && l.clusterID == 0 {
			l.clusterID = a.status.ClusterID
		}
		errs = append(errs, a.err)
	}
	if len(answers) == 0 {
		return errors.New("no endpoints")
	}
	l.keep(answers)
	switch {
	case len(l.answers) > 0:
		return nil
	case len(l.foreign) > 0:
		f := l.foreign[0]
		return fail.WithHint(fail.Unsafef("%s is of another cluster, %x, and nobody of %x answers", f.Endpoint, f.ClusterID, l.clusterID),
			"an etcd that began a cluster of its own has to be stopped; give the endpoints of members that run")
	}
	return errors.Join(errs...)
}

// keep keeps what belongs to the cluster, one answer for each member.
func (l *look) keep(answers []*answer) {
	for _, a := range answers {
		switch {
		case a.err != nil:
		case a.status.ClusterID != l.clusterID:
			l.foreign = append(l.foreign, Foreign{a.endpoint, a.status.ClusterID})
		case l.answerOf(a.id) == nil:
			l.answers = append(l.answers, a)
		}
	}
}

func (l *look) answerOf(id quorum.ID) *answer {
	if i := slices.IndexFunc(l.answers, func(a *answer) bool { return a.id == id }); i >= 0 {
		return l.answers[i]
	}
	return nil
}

// discover asks the members that the lists have and that have not answered yet.
// It tells whether there may be more to find.
func (l *look) discover(ctx context.Context) bool {
	var endpoints []string
	missing := l.missing()
	for _, listed := range missing {
		endpoints = append(endpoints, listed.ClientURLs...)
	}
	answers := l.ask(ctx, endpoints)
	l.keep(answers)
	for _, listed := range missing {
		if l.answerOf(listed.ID) == nil {
			l.errs[listed.ID] = l.whySilent(listed)
		}
	}
	return len(answers) > 0
}

// missing is who is in any list and has not answered.
func (l *look) missing() []Listed {
	var missing []Listed
	for _, a := range l.answers {
		if a.list == nil {
			continue
		}
		for _, listed := range a.list.Members {
			if l.answerOf(listed.ID) == nil {
				missing = append(missing, listed)
			}
		}
	}
	return missing
}

// whySilent says why a member did not answer at any of its client URLs.
func (l *look) whySilent(listed Listed) error {
	for _, endpoint := range listed.ClientURLs {
		a := l.asked[endpoint]
		switch {
		case a == nil:
		case a.err != nil:
			return a.err
		case a.status.ClusterID != l.clusterID:
			return fmt.Errorf("%s: another cluster answers there, %x", endpoint, a.status.ClusterID)
		case a.id != listed.ID:
			return &OtherMemberError{endpoint, a.id}
		}
	}
	return errNeverStarted
}

// lookUpHosts finds the hosts of client URLs that have no address.
func (l *look) lookUpHosts(ctx context.Context, o *Observation) {
	if l.options.LookupHost == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.options.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	for i := range o.Members {
		m := &o.Members[i]
		wg.Go(func() {
			for _, host := range hosts(m.ClientURLs) {
				if net.ParseIP(host) != nil {
					continue
				}
				if _, err := l.options.LookupHost(ctx, host); err != nil {
					m.Unresolved = append(m.Unresolved, host)
				}
			}
		})
	}
	wg.Wait()
}

// hosts are the host parts of URLs.
func hosts(urls []string) []string {
	var hosts []string
	for _, s := range urls {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}
