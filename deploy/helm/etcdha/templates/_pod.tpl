{{/*
The specification of a pod, of (dict "root" $ "needs" $needs "pinned" bool "args" list "request" MiB "memory" MiB), and
"ports" and "probes" where there are some;
pod.go of cronjobs/manifest is the original.
*/}}
{{- define "etcdha.pod" -}}
{{- $needs := .needs -}}
{{- $name := include "etcdha.name" .root -}}
serviceAccountName: {{ $name }}
automountServiceAccountToken: false
enableServiceLinks: false
# A cluster that is full needs its backups no less.
priorityClassName: system-cluster-critical
# Runs get 30 s to come to their end; then records are written, locks given back, and webhooks told.
terminationGracePeriodSeconds: 60
{{- if $needs.hostNetwork }}
# The member of the node is reached on loopback.
hostNetwork: true
# The node's: the DNS of the cluster may be gone when etcd is.
dnsPolicy: Default
{{- end }}
{{- if .pinned }}
nodeSelector:
  node-role.kubernetes.io/control-plane: ""
tolerations:
  - key: node-role.kubernetes.io/control-plane
    operator: Exists
{{- end }}
securityContext:
  {{- if $needs.hostFiles }}
  {{- if $needs.readable }}
  # The keys of etcd are root's, with mode 0600. Root without capabilities reads what is its own, and nothing else.
  {{- else }}
  # The directory of backups is root's.
  {{- end }}
  runAsUser: 0
  runAsGroup: 0
  {{- else }}
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Files of Secrets are readable by this group.
  fsGroup: 65532
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: etcdha
    image: {{ include "etcdha.image" .root | quote }}
    args:
      {{- toYaml .args | nindent 6 }}
    {{- if or $needs.variables (ne $needs.spool "/tmp") }}
    env:
      {{- range $needs.variables }}
      - name: {{ . }}
        valueFrom:
          secretKeyRef:
            name: {{ $name }}-env
            key: {{ . }}
      {{- end }}
      {{- if ne $needs.spool "/tmp" }}
      - name: TMPDIR
        value: {{ $needs.spool | quote }}
      {{- end }}
    {{- end }}
    resources:
      requests:
        cpu: 100m
        memory: {{ .request }}Mi
      limits:
        # What runs at most at the same time, for a db of the size that was given.
        memory: {{ .memory }}Mi
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    {{- with .ports }}
    ports:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .probes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    volumeMounts:
      - name: config
        mountPath: /etc/etcdha
        readOnly: true
      - name: spool
        mountPath: {{ $needs.spool | quote }}
      {{- range $i, $dir := concat $needs.readable $needs.writable }}
      - name: host-{{ $i }}
        mountPath: {{ $dir | quote }}
        {{- if lt $i (len $needs.readable) }}
        readOnly: true
        {{- end }}
      {{- end }}
volumes:
  - name: config
    projected:
      defaultMode: {{ ternary "0400" "0440" $needs.hostFiles }}
      sources:
        - configMap:
            name: {{ .root.Values.existingConfigMap | default $name }}
            items:
              - key: config.yaml
                path: config.yaml
        {{- range $secret, $keys := $needs.secrets }}
        - secret:
            name: {{ $secret }}
            items:
              {{- range $keys }}
              - key: {{ . | quote }}
                path: secrets/{{ $secret }}/{{ . }}
              {{- end }}
        {{- end }}
  - name: spool
    {{- if .root.Values.spoolLimit }}
    emptyDir:
      sizeLimit: {{ .root.Values.spoolLimit | quote }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  {{- range $i, $dir := concat $needs.readable $needs.writable }}
  - name: host-{{ $i }}
    hostPath:
      path: {{ $dir | quote }}
      {{- if ge $i (len $needs.readable) }}
      # Not made if it is missing: it may be where a disk is mounted.
      {{- end }}
      type: Directory
  {{- end }}
{{- end -}}
