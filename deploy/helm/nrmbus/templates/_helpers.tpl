{{- define "nrmbus.name" -}}
{{- printf "%s-nrmbus" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Every pod of the release, that of helm test too. */}}
{{- define "nrmbus.party" -}}
app.kubernetes.io/name: nrmbus
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pod that runs the desk or the services, and no other. */}}
{{- define "nrmbus.selects" -}}
{{ include "nrmbus.party" . }}
app.kubernetes.io/component: {{ .Values.role }}
{{- end }}

{{- define "nrmbus.labels" -}}
{{ include "nrmbus.selects" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What the pod runs, a container for each: one, or on a standby host each service that stands by. */}}
{{- define "nrmbus.runs" -}}
{{- if or (ne .Values.role "standby") .Values.setup -}}
{{ .Values.agency | default .Values.role }}
{{- else -}}
registrar timekeeper{{ if not .Values.withoutAuditor }} auditor{{ end }}
{{- end }}
{{- end }}

{{- define "nrmbus.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* What every pod of the release is: nobody with a number, without a token of the cluster. */}}
{{- define "nrmbus.pod" -}}
serviceAccountName: {{ include "nrmbus.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  # Once: a change with each start would open the private files in the volume to the group.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "nrmbus.container" -}}
image: {{ include "nrmbus.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
  - {name: NRMBUS_KEY_FILE, value: /run/secrets/nrmbus/keys}
  # The cluster shows the file to the account by its group; as a credential it may.
  - {name: CREDENTIALS_DIRECTORY, value: /run/secrets/nrmbus}
  {{- if .Values.postgresSecret }}
  - {name: PGPASSFILE, value: /run/postgres/pgpass}
  {{- end }}
  {{- with .Values.spansEndpoint }}
  - {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
  {{- end }}
{{- end }}

{{- define "nrmbus.volumes" -}}
- name: keys
  secret:
    secretName: {{ .Values.keySecret }}
    defaultMode: 0440
    items: [{key: keys, path: keys}]
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 64Mi}
{{- if .Values.postgresSecret }}
- name: postgres-secret
  secret: {secretName: {{ .Values.postgresSecret }}, defaultMode: 0440}
- name: postgres
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end }}
{{- if .Values.clusterAuthority }}
- name: cluster
  configMap: {name: {{ .Values.clusterAuthority }}}
{{- end }}
{{- end }}

{{- define "nrmbus.mounts" -}}
- {name: keys, mountPath: /run/secrets/nrmbus, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.postgresSecret }}
- {name: postgres, mountPath: /run/postgres}
{{- end }}
{{- if .Values.clusterAuthority }}
- {name: cluster, mountPath: /etc/nrmbus/cluster, readOnly: true}
{{- end }}
{{- end }}
