package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/etcdha/etcdha/cronjobs/config"
	"github.com/etcdha/etcdha/internal/fail"
)

const (
	// startWithin is how long after its time a job is started, if nothing could start it: as a
	// daemon does, the newest of the times that were missed is made up for, once.
	startWithin = 7 * 24 * time.Hour
	// startTime is what a pod may take until the deadline of its run begins: mostly to
	// fetch the image. Kubernetes counts it, too.
	startTime = 10 * time.Minute
	// maxCronJobName leaves Kubernetes room for the 11 characters that it adds for a Job.
	maxCronJobName = 52
)

// inCronJobs tells whether a job is one that can be run now and then. The health of the members has
// to be watched all the time, and a defragmentation wants somebody who is there when a
// member does not come back.
func inCronJobs(job config.JobName) bool {
	return job != config.Health && job != config.Defrag
}

func (r *renderer) cronJob(c config.Cluster, job config.Job) (object, error) {
	if err := checkSchedule(r.config.Path, job); err != nil {
		return nil, err
	}
	args := []string{
		"daemon", "--config=" + path.Join(configDir, configName),
		"--once=" + string(job.Name), "--cluster=" + escape(c.Name),
	}
	pod := append(object{{"restartPolicy", "Never"}}, r.pod(r.onHost(), r.container(args, r.jobMemory(c, job.Name)))...)
	name := cronJobName(r.o.Name, c.Name, job.Name)
	return object{
		{"apiVersion", "batch/v1"}, {"kind", "CronJob"}, {"metadata", r.metadata(name, string(job.Name))},
		{"spec", object{
			{"schedule", job.Spec}, {"timeZone", job.Schedule.Zone().String()},
			{"concurrencyPolicy", "Forbid"},
			{"startingDeadlineSeconds", because{"Of the times that were missed, the newest is made up for.", seconds(startWithin)}},
			{"successfulJobsHistoryLimit", 3}, {"failedJobsHistoryLimit", 3},
			{"jobTemplate", object{
				{"metadata", object{{"labels", r.labels(string(job.Name))}}},
				{"spec", object{
					{"activeDeadlineSeconds", because{"The run ends by its own deadline; this is for a pod that does not.", seconds(job.Deadline + startTime)}},
					{"backoffLimit", because{"A run tries again by itself. Only one that was killed is started once more.", 2}},
					{"podFailurePolicy", object{{"rules", []object{
						{{"action", "Ignore"}, {"onPodConditions", []object{{{"type", "DisruptionTarget"}, {"status", "True"}}}}},
						{{"action", "FailJob"}, {"onExitCodes", object{{"operator", "In"}, {"values", exitCodes}}}},
					}}}},
					{"template", object{{"metadata", object{{"labels", r.labels(string(job.Name))}}}, {"spec", pod}}},
				}},
			}},
		}},
	}, nil
}

// exitCodes are those with which etcdha says that it failed; see docs/command-line.md.
var exitCodes = []int{1, 2, 10, 11, 12}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// checkSchedule refuses what the schedule of a CronJob cannot say.
func checkSchedule(file string, job config.Job) error {
	switch {
	case strings.Contains(job.Spec, config.Placeholder):
		return fail.WithHint(fail.Usagef("%s:%d: a CronJob cannot have a variable as its schedule", file, job.Line), "write the schedule itself")
	case strings.HasPrefix(job.Spec, "@every"):
		return fail.WithHint(fail.Usagef("%s:%d: a CronJob cannot have the schedule %q", file, job.Line, job.Spec),
			"five fields, for example 0 */6 * * * instead of @every 6h")
	case !strings.HasPrefix(job.Spec, "@") && len(strings.Fields(job.Spec)) != 5:
		return fail.WithHint(fail.Usagef("%s:%d: a CronJob cannot have seconds in its schedule %q", file, job.Line, job.Spec),
			"leave out the first of the six fields")
	}
	return nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// cronJobName is readable where the name of the cluster can be a part of it. Where it
// cannot, a hash of the name tells it from those that look alike.
func cronJobName(name, cluster string, job config.JobName) string {
	const digits = 8
	room := maxCronJobName - len(name) - len(job) - len("--")
	short := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(cluster), "-"), "-")
	if short != cluster || len(short) > room {
		sum := sha256.Sum256([]byte(cluster))
		short = strings.TrimSuffix(short[:min(len(short), room-digits-len("-"))], "-")
		short = strings.TrimPrefix(short+"-"+hex.EncodeToString(sum[:])[:digits], "-")
	}
	return strings.Join([]string{name, short, string(job)}, "-")
}

// escape keeps Kubernetes from expanding what looks like one of its variables.
func escape(arg string) string { return strings.ReplaceAll(arg, "$(", "$$(") }
