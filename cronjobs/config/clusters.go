package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/etcdha/etcdha/snapshot/retention"
	"github.com/etcdha/etcdha/storage/seal"
)

func (r *reader) clusters(s *section, stores []Store) []Cluster {
	sections := s.sections("clusters")
	if _, ok := s.entry("clusters"); !ok {
		s.missing("clusters", "[{name: production, ...}]")
	} else if sections != nil && len(sections) == 0 {
		s.wrong("clusters", "there is none", "write each below it, beginning with - name:")
	}
	defaults := s.section("defaults")
	seen := newNames(r)
	var all []Cluster
	for _, c := range sections {
		if c.unreadable && len(c.entries) == 0 {
			continue
		}
		c.under = defaults
		name := c.name("production")
		seen.add(name)
		all = append(all, r.cluster(name.text, c, stores))
	}
	return all
}

func (r *reader) cluster(name string, s *section, stores []Store) Cluster {
	c := Cluster{Name: name, Line: s.line}
	r.connection(s, &c)
	c.Zones = r.zonesOf(s)
	c.Stores = r.storesOf(s, stores)
	c.Encryption = r.encryption(s.section("encryption"))
	c.Keep = r.keep(s.section("keep"))
	c.Rehearsal = r.rehearsal(s.section("rehearsal"))
	c.Sample = r.sample(s.text("sample"))
	before := len(r.errors)
	c.Jobs = r.jobs(s.section("jobs"))
	if _, ok := s.entry("jobs"); !ok {
		s.missing("jobs", `{snapshot: {schedule: "0 * * * *"}}`)
	} else if len(c.Jobs) == 0 && len(r.errors) == before {
		s.wrong("jobs", "none has a schedule", `write for example snapshot: {schedule: "0 * * * *"} below it`)
	}
	r.checkJobs(s, c)
	return c
}

func (r *reader) connection(s *section, c *Cluster) {
	tls := s.section("tls")
	c.CACert, c.Cert, c.Key = tls.file("caFile"), tls.file("certFile"), tls.file("keyFile")
	tls.pair("certFile", "keyFile")
	c.InsecureTransport, c.InsecureSkipVerify = tls.yes("insecureTransport"), tls.yes("insecureSkipVerify")

	endpoints := s.list("endpoints")
	if _, ok := s.entry("endpoints"); !ok {
		s.missing("endpoints", "[https://10.0.0.11:2379]")
	} else if len(endpoints) == 0 {
		s.wrong("endpoints", "there is none", "write the client URLs of the members, as in [https://10.0.0.11:2379]")
	}
	c.Endpoints = texts(endpoints)
	local := s.text("local")
	c.Local = local.text
	for _, v := range append(endpoints, local) {
		r.checkEndpoint(v, c.InsecureTransport)
	}

	auth := s.section("auth")
	user := auth.text("user")
	password, from := auth.secret("password")
	c.User, c.Password = user.text, password
	switch {
	case user.given() && password == "":
		r.wrong(user, "there is no password for the user", "set password or passwordFile beside it")
	case password != "" && !user.given():
		r.wrong(from, "there is no user for the password", "set user beside it")
	}
}

func (r *reader) checkEndpoint(v value, insecure bool) {
	if !v.checkable() {
		return
	}
	u, err := url.Parse(v.text)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Port() == "":
		r.wrong(v, "it is no URL of a member", "write https://HOST:PORT, as in https://10.0.0.11:2379")
	case u.User != nil:
		r.wrong(v, "a URL must not hold a password", "set auth.user and auth.passwordFile")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		r.wrong(v, "there is more than a host and a port in the URL", "write https://HOST:PORT, as in https://10.0.0.11:2379")
	case u.Scheme == "http" && !insecure:
		r.wrong(v, "http:// is not encrypted", "use https://, or set tls.insecureTransport: true")
	}
}

func (r *reader) zonesOf(s *section) map[string]string {
	section := s.free("zones")
	if len(section.order) == 0 {
		return nil
	}
	all := make(map[string]string)
	for _, member := range section.order {
		v := section.text(member)
		switch {
		case !v.given():
			r.wrong(v, "the zone has no name", "write for example "+member+": a")
		case v.text == "true" || v.text == "false":
			r.wrong(v, "the name of the zone has become a boolean", `quote names such as "no", "on" and "off", which are booleans to YAML 1.1`)
		}
		all[member] = v.text
	}
	return all
}

func (r *reader) storesOf(s *section, stores []Store) []Store {
	wanted := s.list("stores")
	if _, ok := s.entry("stores"); !ok {
		s.missing("stores", "[s3], with the names of stores that the file defines")
	} else if len(wanted) == 0 {
		s.wrong("stores", "there is none", "name stores that the file defines, as in [s3, local]")
	}
	var all []Store
	for i, v := range wanted {
		at := slices.IndexFunc(stores, func(s Store) bool { return s.Name == v.text })
		switch {
		case !v.checkable():
		case slices.ContainsFunc(wanted[:i], func(other value) bool { return other.text == v.text }):
			r.wrong(v, "the store "+strconv.Quote(v.raw)+" is there twice", "take one of them out")
		case at < 0:
			r.wrong(v, "there is no store "+strconv.Quote(v.raw), fixStore(v.text, stores))
		case samePlace(stores[at], all) != "":
			r.wrong(v, "the store "+strconv.Quote(v.raw)+" is at the same place as "+strconv.Quote(samePlace(stores[at], all)),
				"take one of them out: two names make no second copy")
		default:
			all = append(all, stores[at])
		}
	}
	return all
}

// samePlace is the name of a store that is where s is, "" if none is.
func samePlace(s Store, others []Store) string {
	for _, o := range others {
		if p := s.place(); p != "" && p == o.place() {
			return o.Name
		}
	}
	return ""
}

func fixStore(name string, stores []Store) string {
	var known []string
	for _, s := range stores {
		known = append(known, s.Name)
	}
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "define it under stores at the top of the file"
	}
	return "defined are " + strings.Join(known, ", ")
}

func (r *reader) encryption(s *section) Encryption {
	recipients := s.list("recipients")
	e := Encryption{
		Recipients: texts(recipients), RecipientsFiles: s.files("recipientsFiles"), IdentityFiles: s.files("identityFiles"),
		SignKeyFile: s.file("signKeyFile"), VerifyKeyFiles: s.files("verifyKeyFiles"), Line: s.line,
	}
	var all seal.Recipients
	for _, v := range recipients {
		if !v.checkable() {
			continue
		}
		if err := all.Add(v.text); err != nil {
			r.wrong(v, err.Error(), "use what age-keygen -y prints, age1..., or an ssh public key; a file of them goes into recipientsFiles")
		}
	}
	return e
}

func (r *reader) keep(s *section) retention.Policy {
	p := retention.Policy{
		Last: s.number("last", 0), Hourly: s.number("hourly", 0), Daily: s.number("daily", 0), Weekly: s.number("weekly", 0),
		Monthly: s.number("monthly", 0), Yearly: s.number("yearly", 0), Location: s.zone("timeZone"),
	}
	if v := s.text("within"); v.checkable() {
		var err error
		if p.Within, err = retention.ParseDuration(v.text); err != nil {
			r.wrong(v, strconv.Quote(v.raw)+" is no time to keep backups for", "use weeks, days and hours, as in 2w, 14d or 1d12h; months and years differ in length")
		}
	}
	return p
}

func (r *reader) rehearsal(s *section) Rehearsal {
	h := Rehearsal{Members: s.number("members", 3), Kubernetes: s.yes("kubernetes"), Etcd: s.dir("etcd")}
	if h.Members != 1 && h.Members != 3 && h.Members != 5 {
		s.wrong("members", "a rehearsal has 1, 3 or 5 members", "use the number of the cluster's voters; the default is 3")
	}
	return h
}

// defaultSample reads everything once a week where verify-sample runs daily.
const defaultSample = 1.0 / 7

func (r *reader) sample(v value) float64 {
	if !v.checkable() {
		return defaultSample
	}
	digits, percent := strings.CutSuffix(v.text, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if !percent || err != nil || !(share > 0 && share <= 100) {
		r.wrong(v, "it is no share of the stored bytes", "write a percentage above 0% and up to 100%, as in 15%")
		return defaultSample
	}
	return share / 100
}
