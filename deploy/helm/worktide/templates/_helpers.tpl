{{- define "worktide.table" -}}{{ .Files.Get "files/services.yaml" }}{{- end }}

{{- define "worktide.prefix" -}}
{{- if contains "worktide" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-worktide" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "worktide.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "worktide.labels" -}}
{{ include "worktide.selector" . }}
app.kubernetes.io/part-of: worktide
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end }}

{{- define "worktide.image" -}}
{{- with .Values.global.imageRegistry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* A variable from the Secret: {root, name, key}. */}}
{{- define "worktide.secretEnv" -}}
{{- $place := get .root.Values.secretKeys .key | default dict }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ $place.secret | default .root.Values.existingSecret | quote }}
      key: {{ $place.key | default .key | quote }}
{{- end }}

{{- define "worktide.podSecurity" -}}
{{- $context := deepCopy .Values.podSecurityContext }}
{{- if .Values.openshift }}{{ $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}{{ end }}
{{- toYaml $context }}
{{- end }}

{{- define "worktide.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "worktide.tmp" -}}
- { name: tmp, emptyDir: { sizeLimit: 1Gi } }
{{- with .Values.tls.caSecret }}
- { name: ca, secret: { secretName: {{ . }}, items: [{ key: ca.crt, path: ca.crt }] } }
{{- end }}
{{- end }}

{{- define "worktide.tmpMounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if .Values.tls.caSecret }}
- { name: ca, mountPath: /etc/worktide, readOnly: true }
{{- end }}
{{- end }}

{{/* What every container is told. */}}
{{- define "worktide.commonEnv" -}}
{{- include "worktide.secretEnv" (dict "root" . "name" "EVENT_LOG_URL" "key" "EVENT_LOG_URL") }}
{{- if .Values.tls.caSecret }}
- { name: NODE_EXTRA_CA_CERTS, value: /etc/worktide/ca.crt }
{{- end }}
{{- with .Values.eventLog.replication }}
- { name: EVENT_LOG_REPLICATION, value: {{ . | quote }} }
{{- end }}
{{- with .Values.eventLog.minInsync }}
- { name: EVENT_LOG_MIN_INSYNC, value: {{ . | quote }} }
{{- end }}
- { name: LOG_LEVEL, value: {{ .Values.logLevel }} }
{{- end }}

{{/* Defaults and what is said of one service, the latter first: a mapping that is said is taken whole but for `autoscaling`. */}}
{{- define "worktide.settings" -}}
{{- $said := get .root.Values.services .name | default dict }}
{{- $settings := deepCopy .root.Values.defaults }}
{{- range $key, $value := $said }}{{ if eq $key "autoscaling" }}{{ $_ := set $settings $key (mergeOverwrite (get $settings $key) $value) }}{{ else }}{{ $_ := set $settings $key $value }}{{ end }}{{ end }}
{{- toYaml $settings }}
{{- end }}

{{/* Who says how many replicas there are: keda, hpa, or nobody (empty). */}}
{{- define "worktide.scaler" -}}
{{- $settings := include "worktide.settings" . | fromYaml }}
{{- if and (eq .service.scale "lag") .root.Values.keda.enabled }}keda{{ else if $settings.autoscaling.enabled }}hpa{{ end }}
{{- end }}

{{- define "worktide.check" -}}
{{- if not .Values.existingSecret }}{{ fail "existingSecret is required: make one with `deploy/make-secrets.sh kubernetes > worktide.env` and `kubectl create secret generic worktide --from-env-file=worktide.env`" }}{{ end }}
{{- if not .Values.publicUrl }}{{ fail "publicUrl is required: where people find it, https://worktide.example.com" }}{{ end }}
{{- if and .Values.keda.enabled (not .Values.keda.bootstrapServers) }}{{ fail "keda.bootstrapServers is required with keda.enabled: KEDA asks the brokers for the lag" }}{{ end }}
{{- if gt (int .Values.keda.maxReplicas) 12 }}{{ fail "keda.maxReplicas is at most 12: a topic has twelve partitions, and more replicas would have none" }}{{ end }}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.ingressFrom) }}{{ fail "networkPolicy.ingressFrom is required with networkPolicy.enabled: from where the ingress reaches the services" }}{{ end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}{{ fail "ingress.host is required with ingress.enabled" }}{{ end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}{{ fail "httpRoute.parentRefs is required with httpRoute.enabled: the Gateway that it belongs to" }}{{ end }}
{{- with .Values.eventLog }}{{ if and .replication .minInsync }}{{ if le (int .replication) (int .minInsync) }}{{ fail "eventLog.replication must be greater than eventLog.minInsync: else nothing is written while one broker restarts" }}{{ end }}{{ end }}{{ end }}
{{- range $name, $said := .Values.services }}{{ if and ($said.autoscaling).enabled $.Values.keda.enabled }}{{ if eq (get (include "worktide.table" $ | fromYaml).services $name).scale "lag" }}{{ fail (printf "services.%s.autoscaling and keda are both enabled: both would say how many replicas there are" $name) }}{{ end }}{{ end }}{{ end }}
{{- end }}
