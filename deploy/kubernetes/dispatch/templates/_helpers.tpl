{{/* The four services: key of their values, admin port, whether they have a database. */}}
{{- define "dispatch.components" -}}
identity: {key: identity, adminPort: 9094, database: true}
event-manager: {key: eventManager, adminPort: 9091, database: true}
function-manager: {key: functionManager, adminPort: 9092, database: true}
api-gateway: {key: apiGateway, adminPort: 9093, database: false}
{{- end }}

{{- define "dispatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* 40 characters at most, so that `-function-manager` and what Kubernetes appends still fit. */}}
{{- define "dispatch.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- define "dispatch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dispatch.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "dispatch.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: dispatch
{{ include "dispatch.selectorLabels" . }}
{{- end }}

{{- define "dispatch.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "dispatch.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "dispatch.image" -}}
{{- $image := .root.Values.image }}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}/{{ .name }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end }}

{{- define "dispatch.brokers" -}}
{{- if .Values.dev.enabled }}{{ include "dispatch.fullname" . }}-dev-kafka:9092{{ else }}{{ .Values.kafka.brokers }}{{ end }}
{{- end }}

{{/* What the schema cannot say: rules over several values. */}}
{{- define "dispatch.check" -}}
{{- if and .Values.keda.enabled (not .Values.keda.prometheusAddress) }}
{{- fail "keda.prometheusAddress: name the Prometheus that scrapes Dispatch, such as http://prometheus.monitoring:9090, or set keda.enabled to false" }}
{{- end }}
{{- if and .Values.keda.enabled (gt (int .Values.keda.functionManager.maxReplicas) (int .Values.kafka.invocationsPartitions)) }}
{{- fail (printf "keda.functionManager.maxReplicas: %d function-managers share the %d partitions of dispatch.invocations, so the others would idle: set it to at most kafka.invocationsPartitions" (int .Values.keda.functionManager.maxReplicas) (int .Values.kafka.invocationsPartitions)) }}
{{- end }}
{{- if and .Values.networkPolicy.egress.enabled (not .Values.dev.enabled) (not .Values.networkPolicy.egress.kafkaTo) }}
{{- fail "networkPolicy.egress.kafkaTo: name where Kafka is (peers of a NetworkPolicy), or set networkPolicy.egress.enabled to false: without it no service reaches Kafka" }}
{{- end }}
{{- if and .Values.networkPolicy.egress.enabled (not .Values.dev.enabled) (not .Values.networkPolicy.egress.postgresqlTo) }}
{{- fail "networkPolicy.egress.postgresqlTo: name where PostgreSQL is (peers of a NetworkPolicy), or set networkPolicy.egress.enabled to false: without it identity does not reach its database" }}
{{- end }}
{{- if and (not .Values.dev.enabled) (hasPrefix "sasl" .Values.kafka.securityProtocol) (not .Values.kafka.sasl.existingSecret) }}
{{- fail "kafka.sasl.existingSecret: name the Secret with the password of kafka.sasl.username, or choose another kafka.securityProtocol" }}
{{- end }}
{{- if and .Values.apiGateway.autoscaling.enabled (gt (int .Values.apiGateway.autoscaling.minReplicas) (int .Values.apiGateway.autoscaling.maxReplicas)) }}
{{- fail "apiGateway.autoscaling.minReplicas is more than maxReplicas: lower it" }}
{{- end }}
{{- if and .Values.dev.enabled (ne .Values.kafka.securityProtocol "plaintext") }}
{{- fail "dev.enabled: its Kafka speaks plaintext only: set kafka.securityProtocol to plaintext, or install with -f values-dev.yaml" }}
{{- end }}
{{- if and .Values.dev.enabled (or (ne .Values.postgresql.sslMode "disable") (gt (int .Values.kafka.replicationFactor) 1)) }}
{{- fail "dev.enabled: it has one broker, and a PostgreSQL without TLS: set kafka.replicationFactor to 1 and postgresql.sslMode to disable, or install with -f values-dev.yaml" }}
{{- end }}
{{- end }}
