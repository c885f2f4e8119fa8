{{/* Environment name of a setting: max-pending -> DISPATCH_MAX_PENDING. */}}
{{- define "dispatch.variable" -}}
DISPATCH_{{ . | upper | replace "-" "_" }}
{{- end }}

{{/* A value as the service reads it. Helm's numbers are floats: 1000000000 must not become 1e+09. */}}
{{- define "dispatch.settingValue" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* The settings of a service that are no secrets: data of its ConfigMap. */}}
{{- define "dispatch.settings" -}}
{{- $values := .root.Values }}
{{- $kafka := $values.kafka }}
{{- $s := dict }}
{{- $_ := set $s "admin-listen" (printf "0.0.0.0:%d" (int .component.adminPort)) }}
{{- $_ = set $s "drain-timeout" (printf "%ds" (int $values.drainSeconds)) }}
{{- $_ = set $s "kafka-brokers" (include "dispatch.brokers" .root) }}
{{- $_ = set $s "kafka-security-protocol" $kafka.securityProtocol }}
{{- $_ = set $s "log-format" $values.logFormat }}
{{- if $values.traces.endpoint }}
{{- $_ = set $s "otlp-endpoint" $values.traces.endpoint }}
{{- if $values.traces.headers.existingSecret }}
{{- $_ = set $s "otlp-headers-file" "/run/dispatch/keys/otlp-headers" }}
{{- end }}
{{- end }}
{{- if $values.traces.sampleRatio }}
{{- $_ = set $s "traces-sample-ratio" (toString $values.traces.sampleRatio) }}
{{- end }}
{{- $_ = set $s "replication-factor" $kafka.replicationFactor }}
{{- $_ = set $s "service-key-file" "/run/dispatch/keys/service.key" }}
{{- if hasPrefix "sasl" $kafka.securityProtocol }}
{{- $_ = set $s "kafka-sasl-mechanism" $kafka.sasl.mechanism }}
{{- $_ = set $s "kafka-sasl-username" $kafka.sasl.username }}
{{- end }}
{{- if hasSuffix "ssl" $kafka.securityProtocol }}
{{- if $kafka.tls.caSecret }}
{{- $_ = set $s "kafka-ssl-ca" "/etc/dispatch/kafka-ca/ca.crt" }}
{{- end }}
{{- if $kafka.tls.clientSecret }}
{{- $_ = set $s "kafka-ssl-certificate" "/etc/dispatch/kafka-client/user.crt" }}
{{- $_ = set $s "kafka-ssl-key" "/etc/dispatch/kafka-client/user.key" }}
{{- end }}
{{- end }}
{{- if eq .name "identity" }}
{{- $_ = set $s "bootstrap-organization" $values.bootstrapOrganization }}
{{- $_ = set $s "bootstrap-key-file" "/run/dispatch/keys/admin.key" }}
{{- end }}
{{- if has .name (list "event-manager" "function-manager") }}
{{- $_ = set $s "invocations-partitions" $kafka.invocationsPartitions }}
{{- end }}
{{- if eq .name "function-manager" }}
{{- $_ = set $s "functions-dir" "/var/lib/dispatch/functions" }}
{{- if $values.keys.secrets.existingSecret }}
{{- $_ = set $s "secrets-key-file" "/run/dispatch/keys/secrets.key" }}
{{- end }}
{{- end }}
{{- if eq .name "api-gateway" }}
{{- $_ = set $s "listen" "0.0.0.0:8080" }}
{{- $_ = set $s "endpoints-listen" "0.0.0.0:8081" }}
{{- if $values.apiGateway.endpointsTlsSecret }}
{{- $_ = set $s "endpoints-tls-listen" "0.0.0.0:8444" }}
{{- $_ = set $s "endpoints-tls-certificate" "/etc/dispatch/endpoints-tls/tls.crt" }}
{{- $_ = set $s "endpoints-tls-key" "/etc/dispatch/endpoints-tls/tls.key" }}
{{- end }}
{{- end }}
{{- range $name, $value := (index $values .component.key).settings }}
{{- $_ = set $s $name $value }}
{{- end }}
{{- range $name, $value := $s }}
{{ include "dispatch.variable" $name }}: {{ include "dispatch.settingValue" $value | quote }}
{{- end }}
{{- end }}

{{/* The settings of a service that are secrets: environment by reference. */}}
{{- define "dispatch.secretEnvironment" -}}
{{- $values := .root.Values }}
{{- if and (hasPrefix "sasl" $values.kafka.securityProtocol) $values.kafka.sasl.existingSecret }}
- name: DISPATCH_KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $values.kafka.sasl.existingSecret }}
      key: {{ $values.kafka.sasl.passwordKey }}
{{- end }}
{{- if .component.database }}
{{- if $values.dev.enabled }}
{{- $database := printf "dispatch_%s" (.name | replace "-" "_") }}
- name: DISPATCH_PG_URL
  value: {{ printf "postgresql://%s@%s-dev-postgresql:5432/%s?sslmode=disable" $database (include "dispatch.fullname" .root) $database }}
{{- else }}
{{- $database := index $values.postgresql .component.key }}
{{- $source := dict "secretKeyRef" (dict "name" $database.existingSecret "key" $database.uriKey) }}
{{- if $values.postgresql.sslMode }}
- name: POSTGRESQL_URI
  valueFrom: {{- toYaml $source | nindent 4 }}
- name: DISPATCH_PG_URL
  value: "$(POSTGRESQL_URI)?sslmode={{ $values.postgresql.sslMode }}
    {{- if and $database.caSecret (hasPrefix "verify" $values.postgresql.sslMode) }}&sslrootcert=/etc/dispatch/postgresql-ca/ca.crt{{ end }}"
{{- else }}
- name: DISPATCH_PG_URL
  valueFrom: {{- toYaml $source | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
