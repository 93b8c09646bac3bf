{{/* What the configuration wants to be in its pod; needs.go of cronjobs/manifest is the original. */}}

{{/* All files that a part of the configuration names, one a line. */}}
{{- define "etcdha.files" -}}
{{- if kindIs "map" . -}}
{{- range $key, $value := . -}}
{{- if and (hasSuffix "File" $key) (kindIs "string" $value) -}}
{{- $value }}{{ "\n" -}}
{{- else if and (hasSuffix "Files" $key) (kindIs "slice" $value) -}}
{{- range $value -}}{{- . }}{{ "\n" -}}{{- end -}}
{{- else -}}
{{- include "etcdha.files" $value -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}{{- include "etcdha.files" . -}}{{- end -}}
{{- end -}}
{{- end -}}

{{/* A path as the pod sees it. */}}
{{- define "etcdha.path" -}}
{{- if isAbs . -}}{{ clean . }}{{- else -}}{{ clean (printf "/etc/etcdha/%s" .) }}{{- end -}}
{{- end -}}

{{/* Refuses, of (list what dir spool), a directory that the pod has already, or that would hide one. */}}
{{- define "etcdha.checkDirectory" -}}
{{- $what := index . 0 -}}{{- $dir := index . 1 -}}
{{- range $own := list "/etc/etcdha" (index . 2) "/proc" "/dev" "/sys" -}}
{{- if or (eq $dir "/") (hasPrefix (printf "%s/" $own) (printf "%s/" $dir)) (hasPrefix (printf "%s/" $dir) (printf "%s/" $own)) -}}
{{- fail (printf "%s: %s cannot be mounted into a pod, which has its own %s; files of Secrets are at secrets/NAME/KEY" $what $dir $own) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "etcdha.needs" -}}
{{- $config := include "etcdha.config" . | fromJson -}}
{{- $defaults := $config.defaults | default dict -}}
{{- $spool := "/tmp" -}}
{{- with $config.spoolDir -}}{{- $spool = include "etcdha.path" . -}}{{- end -}}

{{- $variables := list -}}
{{- range regexFindAll "[$][$]|[$][{][A-Za-z_][A-Za-z0-9_]*[}]" (toJson $config) -1 -}}
{{- if ne . "$$" -}}{{- $variables = append $variables (trimSuffix "}" (trimPrefix "${" .)) -}}{{- end -}}
{{- end -}}

{{- $files := include "etcdha.files" $config | splitList "\n" -}}
{{- range $config.stores -}}
{{- range regexFindAll "[?&]ca-file=[^&]+" .url -1 -}}
{{- $files = append $files (regexReplaceAll ".*ca-file=" . "") -}}
{{- end -}}
{{- end -}}

{{- $secrets := dict -}}{{- $readable := list -}}
{{- range $files | uniq | sortAlpha -}}
{{- if . -}}
{{- $file := include "etcdha.path" . -}}
{{- if regexMatch "^/etc/etcdha/secrets/[a-z0-9][-.a-z0-9]*/[-._a-zA-Z0-9]+$" $file -}}
{{- $name := base (dir $file) -}}
{{- $_ := set $secrets $name (append (get $secrets $name | default list) (base $file) | uniq | sortAlpha) -}}
{{- else -}}
{{- include "etcdha.checkDirectory" (list $file (dir $file) $spool) -}}
{{- $readable = append $readable (dir $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $outermost := list -}}
{{- range $dir := $readable | uniq | sortAlpha -}}
{{- $inside := false -}}
{{- range $outermost -}}{{- if hasPrefix (printf "%s/" .) (printf "%s/" $dir) -}}{{- $inside = true -}}{{- end -}}{{- end -}}
{{- if not $inside -}}{{- $outermost = append $outermost $dir -}}{{- end -}}
{{- end -}}

{{- $writable := list -}}{{- $hostNetwork := false -}}{{- $local := false -}}
{{- range $config.clusters -}}
{{- $cluster := . -}}
{{- if .local -}}{{- $local = true -}}{{- end -}}
{{- range append (.endpoints | default list) (.local | default "") -}}
{{- if regexMatch "^[a-z]+://(localhost|127[.][0-9.]+|\\[::1\\])(:|/|$)" . -}}{{- $hostNetwork = true -}}{{- end -}}
{{- end -}}
{{- range .stores | default $defaults.stores -}}
{{- $url := (get $config.stores .).url -}}
{{- if not (hasPrefix "s3://" $url) -}}
{{- $dir := include "etcdha.path" (trimPrefix "file://" $url) -}}
{{- include "etcdha.checkDirectory" (list $dir $dir $spool) -}}
{{- $writable = append $writable $dir -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $writable = $writable | uniq | sortAlpha -}}

{{- $listen := ($config.server | default dict).listen | default "" -}}
{{- $server := dict "host" "" "port" 0 "public" false -}}
{{- if hasPrefix "unix:" $listen -}}{{- fail (printf "server.listen %q: nobody can reach a socket in a pod; for example :2391 with a tokenFile" $listen) -}}{{- end -}}
{{- if $listen -}}
{{- $host := regexReplaceAll ":[0-9]+$" $listen "" | trimPrefix "[" | trimSuffix "]" -}}
{{- $port := regexFind "[0-9]+$" $listen | int -}}
{{- if not (regexMatch "^(localhost|127[.][0-9.]+|::1)$" $host) -}}
{{- if has $host (list "0.0.0.0" "::") -}}{{- $host = "" -}}{{- end -}}
{{- $server = dict "host" $host "port" $port "public" true -}}
{{- else if $hostNetwork -}}
{{- $server = dict "host" $host "port" $port "public" false -}}
{{- end -}}
{{- end -}}

{{- $hostFiles := or (gt (len $outermost) 0) (gt (len $writable) 0) -}}
{{- $onHost := or $hostNetwork $hostFiles -}}
{{- $kind := .Values.kind | default (ternary "DaemonSet" "Deployment" (or $onHost $local)) -}}
{{- if and (eq $kind "Deployment") $onHost -}}
{{- fail (printf "a Deployment has not %s, which is the node's; a DaemonSet has it, on the nodes of the control plane; or put files at secrets/NAME/KEY" (append (concat $outermost $writable) "127.0.0.1" | first)) -}}
{{- end -}}
{{- if and .Values.serviceMonitor (ne $kind "CronJob") -}}
{{- if not $server.public -}}
{{- fail (printf "nobody can reach server.listen %q from outside of the pod; for example listen: :2391, with tokenFile: secrets/NAME/KEY" $listen) -}}
{{- end -}}
{{- $token := ($config.server | default dict).tokenFile | default "" -}}
{{- if not (include "etcdha.secretKey" $token) -}}
{{- fail (printf "a ServiceMonitor has no token to ask the daemon with: server.tokenFile %q is no key of a Secret; for example tokenFile: secrets/etcdha-token/token" $token) -}}
{{- end -}}
{{- end -}}
{{- dict "spool" $spool "variables" ($variables | uniq | sortAlpha) "secrets" $secrets "readable" $outermost "writable" $writable
      "hostNetwork" $hostNetwork "hostFiles" $hostFiles "onHost" $onHost "server" $server "kind" $kind | toJson -}}
{{- end -}}

{{/* The key of a Secret that a file is, as a flow mapping; nothing if it is none. */}}
{{- define "etcdha.secretKey" -}}
{{- if . -}}
{{- $file := include "etcdha.path" . -}}
{{- if regexMatch "^/etc/etcdha/secrets/[a-z0-9][-.a-z0-9]*/[-._a-zA-Z0-9]+$" $file -}}
{{- dict "name" (base (dir $file)) "key" (base $file) | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}
