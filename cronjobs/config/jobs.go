package config

import (
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/schedule"
	"github.com/etcdha/etcdha/internal/fail"
)

// deadlines are those of runs, unless the file says otherwise. They end what hangs, and are
// far above what a db of the largest size takes.
var deadlines = map[JobName]time.Duration{
	Snapshot:     time.Hour,
	VerifySample: 6 * time.Hour,
	Verify:       24 * time.Hour,
	Rehearse:     12 * time.Hour,
	Prune:        time.Hour,
	Defrag:       2 * time.Hour,
	Health:       time.Minute,
}

func (r *reader) jobs(s *section) []Job {
	general := s.zone("timeZone")
	var all []Job
	for _, name := range JobNames {
		if _, ok := s.entry(string(name)); !ok {
			continue
		}
		job := s.section(string(name))
		if _, ok := job.entry("schedule"); !ok {
			job.missing("schedule", `"0 * * * *", or off`)
			continue
		}
		if spec := job.text("schedule"); spec.given() && !off(spec) {
			all = append(all, r.job(name, job, spec, general))
		}
	}
	return all
}

// off tells whether a schedule is never. To what reads and writes YAML 1.1, as Helm does, the word is a
// boolean.
func off(spec value) bool { return spec.text == "off" || spec.text == "false" }

func (r *reader) job(name JobName, s *section, spec value, zone *time.Location) Job {
	if s.text("timeZone").given() {
		zone = s.zone("timeZone")
	}
	job := Job{Name: name, Spec: spec.text, Deadline: s.duration("deadline", deadlines[name]), Jitter: s.duration("jitter", 0), Line: spec.line}
	if job.Deadline == 0 {
		s.wrong("deadline", "a run could never end in time", "use a duration above zero, or take it out for "+short(deadlines[name]))
	}
	if spec.unknown() {
		return job
	}
	p := r.parsedSchedule(spec.text, zone)
	if p.err != nil {
		r.wrong(spec, spec.because(p.err), fail.Hint(p.err))
		return job
	}
	job.Schedule = p.schedule
	if job.Jitter > 0 && job.Jitter >= p.interval && p.interval > 0 {
		s.wrong("jitter", "it is not shorter than the "+short(p.interval)+" between two runs", "use less, or run the job less often")
	}
	return job
}

// parsedSchedule parses a schedule once for all clusters that have it.
func (r *reader) parsedSchedule(spec string, zone *time.Location) parsed {
	key := scheduleKey{spec: spec, zone: zone}
	known, ok := r.schedules[key]
	if !ok {
		known.schedule, known.err = schedule.Parse(spec, zone)
		known.interval = known.schedule.Interval()
		r.schedules[key] = known
	}
	return known
}

// checkJobs finds jobs that could only fail.
func (r *reader) checkJobs(s *section, c Cluster) {
	jobs := s.section("jobs")
	encrypted := len(c.Encryption.Recipients)+len(c.Encryption.RecipientsFiles) > 0
	for _, job := range c.Jobs {
		e, ok := jobs.entries[string(job.Name)]
		if !ok { // it is that of the defaults, which are not wrong for all
			e = entry{path: jobs.below(string(job.Name)), line: s.line}
		}
		switch job.Name {
		case Prune:
			if c.Keep.Check() != nil {
				r.fail(e.line, e.path+": nothing says what to keep", "set numbers in keep, as in keep: {last: 3, daily: 14}, or the schedule to off")
			}
		case Verify, Rehearse:
			if encrypted && len(c.Encryption.IdentityFiles) == 0 {
				r.fail(e.line, e.path+": it could not open the encrypted backups", "set encryption.identityFiles, or the schedule to off")
			}
		}
	}
}

// short writes a duration as people do.
func short(d time.Duration) string {
	text := d.String()
	if trimmed := strings.TrimSuffix(text, "m0s"); trimmed != text {
		text = trimmed + "m"
	}
	if trimmed := strings.TrimSuffix(text, "h0m"); trimmed != text {
		text = trimmed + "h"
	}
	return text
}
