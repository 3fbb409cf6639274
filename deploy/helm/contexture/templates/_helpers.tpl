{{- define "contexture.name" -}}
{{- if contains "contexture" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-contexture" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "contexture.selector" -}}
app.kubernetes.io/name: contexture
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "contexture.labels" -}}
{{ include "contexture.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: contexture
{{- end }}

{{- define "contexture.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a container. */}}
{{- define "contexture.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A number or word as the server reads it: numbers of values files are floats, which print as 2e+06. */}}
{{- define "contexture.word" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ printf "%.0f" . }}{{ else }}{{ toString . }}{{ end }}
{{- end }}

{{- define "contexture.tlsAtServer" -}}
{{- if and .Values.tls.secretName (not .Values.edge.enabled) }}true{{ end }}
{{- end }}

{{/* The server's configuration file: the chart's own keys, then config, which may not name them again. */}}
{{- define "contexture.config" -}}
{{- if and .Values.tls.clientCertificates (not .Values.tls.secretName) }}{{ fail "tls.clientCertificates needs tls.secretName" }}{{ end }}
{{- $config := dict "model" "/model" "metrics-listen" "0.0.0.0:9090" "health-listen" "0.0.0.0:50052" -}}
{{- $_ := set $config "drain-delay" (printf "%ds" (int .Values.drain.delaySeconds)) -}}
{{- $_ := set $config "drain-grace" (printf "%ds" (int .Values.drain.graceSeconds)) -}}
{{- if .Values.edge.enabled }}
{{- $_ := set $config "listen" "unix:/run/contexture/server.sock" -}}
{{- else }}
{{- $_ := set $config "listen" "0.0.0.0:50051" -}}
{{- if .Values.tls.secretName }}
{{- $_ := set $config "tls-certificate" "/etc/contexture/tls/tls.crt" -}}
{{- $_ := set $config "tls-key" "/etc/contexture/tls/tls.key" -}}
{{- if .Values.tls.clientCertificates }}{{ $_ := set $config "tls-client-ca" "/etc/contexture/tls/ca.crt" }}{{ end }}
{{- else }}
{{- $_ := set $config "allow-plaintext" "true" -}}
{{- end }}
{{- end }}
{{- if .Values.auth.secretName }}{{ $_ := set $config "token-file" "/etc/contexture/auth/tokens" }}{{ end }}
{{- range $key, $value := .Values.config }}
{{- if hasKey $config $key }}{{ fail (printf "config.%s: the chart sets it itself" $key) }}{{ end }}
{{- $_ := set $config $key (include "contexture.word" $value) -}}
{{- end }}
{{- range $key, $value := $config }}
{{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
