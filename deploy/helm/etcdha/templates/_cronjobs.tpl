{{/* Jobs and their CronJobs; cronjob.go of cronjobs/manifest is the original. */}}

{{/* A duration of the configuration, such as 1d12h or 90m, in whole seconds. */}}
{{- define "etcdha.seconds" -}}
{{- $units := dict "w" 604800 "d" 86400 "h" 3600 "m" 60 "s" 1 "ms" 0.001 -}}
{{- $total := 0 -}}
{{- range regexFindAll "[0-9.]+[a-z]+" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $total = addf $total (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $total | int64 -}}
{{- end -}}

{{/* The name of a CronJob, of (list name cluster job). */}}
{{- define "etcdha.cronJobName" -}}
{{- $name := index . 0 -}}{{- $cluster := index . 1 -}}{{- $job := index . 2 -}}
{{- $room := int (sub 50 (add (len $name) (len $job))) -}}
{{- $short := regexReplaceAll "[^a-z0-9]+" (lower $cluster) "-" | trimAll "-" -}}
{{- if or (ne $short $cluster) (gt (len $short) $room) -}}
{{- $short = printf "%s-%s" (trunc (int (sub $room 9)) $short | trimSuffix "-") (sha256sum $cluster | trunc 8) | trimPrefix "-" -}}
{{- end -}}
{{- printf "%s-%s-%s" $name $short $job -}}
{{- end -}}

{{/* Refuses, of (list cluster job), a schedule that a CronJob cannot have. */}}
{{- define "etcdha.checkSchedule" -}}
{{- $schedule := (index . 1).schedule -}}
{{- $fields := splitList " " (regexReplaceAll "[[:space:]]+" (trim $schedule) " ") -}}
{{- if or (hasPrefix "@every" $schedule) (and (not (hasPrefix "@" $schedule)) (ne (len $fields) 5)) -}}
{{- fail (printf "cluster %s: a CronJob cannot have the schedule %q of %s; five fields can be had, such as 0 */6 * * *" (index . 0).name $schedule (index . 1).name) -}}
{{- end -}}
{{- end -}}

{{/*
The jobs of a cluster that a CronJob can run, of (list config cluster), as JSON in {"jobs": [...]}: what it
says of a job replaces, key by key, what the defaults say.
*/}}
{{- define "etcdha.schedules" -}}
{{- $own := (index . 1).jobs | default dict -}}
{{- $defaults := ((index . 0).defaults | default dict).jobs | default dict -}}
{{- $list := list -}}
{{- range $name, $deadline := dict "snapshot" "1h" "verify-sample" "6h" "verify" "24h" "rehearse" "12h" "prune" "1h" -}}
{{- $job := mergeOverwrite (dict "deadline" $deadline "timeZone" ($own.timeZone | default $defaults.timeZone | default "UTC"))
      (get $defaults $name | default dict) (get $own $name | default dict) -}}
{{- /* off is the boolean false once Helm has read it, which a merge takes for nothing. */ -}}
{{- $said := get $own $name | default dict -}}
{{- if hasKey $said "schedule" -}}{{- $_ := set $job "schedule" $said.schedule -}}{{- end -}}
{{- if and $job.schedule (ne (toString $job.schedule) "off") -}}
{{- $list = append $list (set $job "name" $name) -}}
{{- end -}}
{{- end -}}
{{- dict "jobs" $list | toJson -}}
{{- end -}}

{{/* Memory in MiB; memory.go of cronjobs/manifest is the original. */}}

{{- define "etcdha.runMemory" -}}{{- add 128 (mul 32 (.Values.dbSizeGiB | int64)) -}}{{- end -}}

{{/* of (list $ members) */}}
{{- define "etcdha.rehearsalMemory" -}}
{{- $root := index . 0 -}}
{{- add (include "etcdha.runMemory" $root | int64) (mul (index . 1 | int64) (add 64 (mul 192 ($root.Values.dbSizeGiB | int64)))) -}}
{{- end -}}

{{/* The members of a rehearsal, of (list config cluster). */}}
{{- define "etcdha.members" -}}
{{- $own := (index . 1).rehearsal | default dict -}}
{{- $own.members | default (((index . 0).defaults | default dict).rehearsal | default dict).members | default 3 -}}
{{- end -}}

{{/* The limit of a daemon. */}}
{{- define "etcdha.daemonMemory" -}}
{{- $root := . -}}
{{- $config := include "etcdha.config" . | fromJson -}}
{{- $concurrency := $config.concurrency | default 4 | int64 -}}
{{- $rehearsals := 0 -}}{{- $members := 0 -}}
{{- range $cluster := $config.clusters -}}
{{- range (include "etcdha.schedules" (list $config $cluster) | fromJson).jobs -}}
{{- if eq .name "rehearse" -}}
{{- $rehearsals = add $rehearsals 1 -}}
{{- $members = max $members (include "etcdha.members" (list $config $cluster) | int64) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $rehearsals = min $rehearsals $concurrency -}}
{{- add 64 (mul (sub $concurrency $rehearsals) (include "etcdha.runMemory" . | int64)) (mul $rehearsals (include "etcdha.rehearsalMemory" (list . $members) | int64)) -}}
{{- end -}}
