{{/* Keys that a service reads: name of the file -> Secret and key of it. */}}
{{- define "dispatch.keyFiles" -}}
{{- $keys := .root.Values.keys }}
{{- $files := dict "service.key" $keys.service }}
{{- if eq .name "identity" }}
{{- $_ := set $files "admin.key" $keys.bootstrap }}
{{- end }}
{{- if and (eq .name "function-manager") $keys.secrets.existingSecret }}
{{- $_ := set $files "secrets.key" $keys.secrets }}
{{- end }}
{{- $traces := .root.Values.traces }}
{{- if and $traces.endpoint $traces.headers.existingSecret }}
{{- $_ := set $files "otlp-headers" $traces.headers }}
{{- end }}
{{- toYaml $files }}
{{- end }}

{{/* Certificates and the like: name of the volume -> Secret, and file -> key of it. */}}
{{- define "dispatch.certificates" -}}
{{- $values := .root.Values }}
{{- $out := dict }}
{{- $tls := $values.kafka.tls }}
{{- if hasSuffix "ssl" $values.kafka.securityProtocol }}
{{- if $tls.caSecret }}
{{- $_ := set $out "kafka-ca" (dict "secret" $tls.caSecret "items" (dict "ca.crt" $tls.caKey)) }}
{{- end }}
{{- if $tls.clientSecret }}
{{- $_ := set $out "kafka-client" (dict "secret" $tls.clientSecret "items" (dict "user.crt" $tls.certificateKey "user.key" $tls.privateKeyKey)) }}
{{- end }}
{{- end }}
{{- if and .component.database (not $values.dev.enabled) (hasPrefix "verify" $values.postgresql.sslMode) }}
{{- $database := index $values.postgresql .component.key }}
{{- if $database.caSecret }}
{{- $_ := set $out "postgresql-ca" (dict "secret" $database.caSecret "items" (dict "ca.crt" $database.caKey)) }}
{{- end }}
{{- end }}
{{- if and (eq .name "api-gateway") $values.apiGateway.endpointsTlsSecret }}
{{- $_ := set $out "endpoints-tls" (dict "secret" $values.apiGateway.endpointsTlsSecret "items" (dict "tls.crt" "tls.crt" "tls.key" "tls.key")) }}
{{- end }}
{{- toYaml $out }}
{{- end }}
