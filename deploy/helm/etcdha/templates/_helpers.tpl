{{/* Names, labels, and the configuration. */}}

{{- define "etcdha.name" -}}
{{- $name := .Values.name | default .Release.Name -}}
{{- if or (gt (len $name) 25) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name)) -}}
{{- fail (printf "name %q: at most 25 small letters, digits and hyphens, a letter first; set the value name" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* of (list $ component); a component of "" is what everything shares */}}
{{- define "etcdha.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: etcdha
app.kubernetes.io/instance: {{ include "etcdha.name" $root }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end -}}
{{- end -}}

{{/* of (list $ name component) */}}
{{- define "etcdha.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "etcdha.labels" (list $root (index . 2)) | nindent 2 }}
{{- end -}}

{{/* The text of config.yaml. */}}
{{- define "etcdha.text" -}}
{{- if kindIs "string" .Values.config -}}{{ .Values.config }}{{- else -}}{{ toYaml .Values.config }}{{ "\n" }}{{- end -}}
{{- end -}}

{{/* The same as JSON. */}}
{{- define "etcdha.config" -}}
{{- $config := .Values.config -}}
{{- if kindIs "string" $config -}}
{{- $config = fromYaml $config -}}
{{- with $config.Error -}}{{- fail (printf "config: %s" .) -}}{{- end -}}
{{- end -}}
{{- if not $config.clusters -}}{{- fail "config: no clusters; give a file by --set-file config=etcdha.yaml, or a map" -}}{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{- define "etcdha.image" -}}
{{- with .Values.image -}}
{{- $_ := required "image.repository: where is the image of etcdha?" .repository -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{- end -}}
{{- end -}}
{{- end -}}
