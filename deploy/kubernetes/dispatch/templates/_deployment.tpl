{{/* What may not be had, for every container of the chart. */}}
{{- define "dispatch.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "dispatch.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Those of a service's pod; function-manager's depends on functions.sandbox (values.yaml). */}}
{{- define "dispatch.servicePodSecurity" -}}
{{- $mode := "none" }}
{{- if eq .name "function-manager" }}{{ $mode = .root.Values.functions.sandbox }}{{ end }}
{{- if eq $mode "privileged" -}}
runAsUser: 0
runAsGroup: 0
seccompProfile:
  type: Unconfined
{{- else if eq $mode "userns" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: Unconfined
appArmorProfile:
  type: Unconfined
{{- else }}
{{- include "dispatch.podSecurity" . }}
{{- end }}
{{- end }}

{{- define "dispatch.deployment" -}}
{{- $root := .root }}
{{- $values := index $root.Values .component.key }}
{{- $fullname := include "dispatch.fullname" $root }}
{{- $keys := include "dispatch.keyFiles" . | fromYaml }}
{{- $certificates := include "dispatch.certificates" . | fromYaml }}
{{- $preStop := int (default 0 $values.preStopSeconds) }}
{{- $privileged := and (eq .name "function-manager") (eq $root.Values.functions.sandbox "privileged") }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $fullname }}-{{ .name }}
  labels: {{- include "dispatch.labels" . | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # Old and new side by side: a new pod has joined its groups before an old one is told to stop.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  minReadySeconds: 5
  selector:
    matchLabels: {{- include "dispatch.selectorLabels" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "dispatch.labels" . | nindent 8 }}
        {{- with $root.Values.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/settings: {{ include "dispatch.settings" . | sha256sum }}
        {{- with $root.Values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "dispatch.serviceAccountName" $root }}
      automountServiceAccountToken: false
      # Else a Service of the namespace could pass for a setting: DISPATCH_..., KAFKA_...
      enableServiceLinks: false
      # More than preStop and drain-timeout together.
      terminationGracePeriodSeconds: {{ add $preStop (int $root.Values.drainSeconds) 10 }}
      securityContext: {{- include "dispatch.servicePodSecurity" . | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with $values.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $root.Values.topologySpread.enabled }}
      topologySpreadConstraints:
        {{- range $root.Values.topologySpread.topologyKeys }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
          labelSelector:
            matchLabels: {{- include "dispatch.selectorLabels" $ | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
        {{- end }}
      {{- end }}
      initContainers:
        # Services refuse key files that others may read, and what Kubernetes mounts can be read by
        # root or by the group at the least. So they get copies in memory.
        - name: keys
          image: {{ include "dispatch.image" . }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          command:
            - install
            - --mode=0400
            - --target-directory=/run/dispatch/keys
            {{- range $file, $_ := $keys }}
            - /etc/dispatch/keys/{{ $file }}
            {{- end }}
          securityContext: {{- include "dispatch.containerSecurity" . | nindent 12 }}
          resources:
            requests: {cpu: 10m, memory: 16Mi}
            limits: {memory: 32Mi}
          volumeMounts:
            - {name: key-secrets, mountPath: /etc/dispatch/keys, readOnly: true}
            - {name: keys, mountPath: /run/dispatch/keys}
      containers:
        - name: {{ .name }}
          image: {{ include "dispatch.image" . }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          envFrom:
            - configMapRef:
                name: {{ $fullname }}-{{ .name }}
          {{- with include "dispatch.secretEnvironment" . | trim }}
          env: {{- . | nindent 12 }}
          {{- end }}
          ports:
            - {name: admin, containerPort: {{ .component.adminPort }}}
            {{- if eq .name "api-gateway" }}
            - {name: api, containerPort: 8080}
            - {name: endpoints, containerPort: 8081}
            {{- if $values.endpointsTlsSecret }}
            - {name: endpoints-tls, containerPort: 8444}
            {{- end }}
            {{- end }}
          # /healthz: the event loop turns; it asks neither Kafka nor PostgreSQL. /readyz: groups
          # joined, caches loaded; 503 while it stops.
          startupProbe:
            httpGet: {path: /healthz, port: admin}
            periodSeconds: 1
            timeoutSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: {path: /healthz, port: admin}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: admin}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 2
          {{- if $preStop }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $preStop }}
          {{- end }}
          {{- if $privileged }}
          securityContext:
            privileged: true
            readOnlyRootFilesystem: true
          {{- else }}
          securityContext: {{- include "dispatch.containerSecurity" . | nindent 12 }}
          {{- end }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          volumeMounts:
            - {name: keys, mountPath: /run/dispatch/keys}
            - {name: tmp, mountPath: /tmp}
            {{- range $name, $_ := $certificates }}
            - {name: {{ $name }}, mountPath: /etc/dispatch/{{ $name }}, readOnly: true}
            {{- end }}
            {{- if eq .name "function-manager" }}
            - {name: functions, mountPath: /var/lib/dispatch/functions}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: key-secrets
          projected:
            defaultMode: 0440
            sources:
              {{- range $file, $source := $keys }}
              - secret:
                  name: {{ $source.existingSecret }}
                  items:
                    - {key: {{ $source.key }}, path: {{ $file }}}
              {{- end }}
        - name: keys
          emptyDir: {medium: Memory, sizeLimit: 1Mi}
        - name: tmp
          emptyDir: {sizeLimit: 1Gi}
        {{- range $name, $source := $certificates }}
        - name: {{ $name }}
          secret:
            secretName: {{ $source.secret }}
            defaultMode: 0440
            items:
              {{- range $file, $key := $source.items }}
              - {key: {{ $key }}, path: {{ $file }}}
              {{- end }}
        {{- end }}
        {{- if eq .name "function-manager" }}
        - name: functions
          emptyDir: {sizeLimit: {{ $root.Values.functions.cacheSize }}}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}

{{/* Everything of one service but what is the gateway's alone. */}}
{{- define "dispatch.service" -}}
{{- $root := .root }}
{{- $fullname := include "dispatch.fullname" $root }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ $fullname }}-{{ .name }}
  labels: {{- include "dispatch.labels" . | nindent 4 }}
data:
  {{- include "dispatch.settings" . | trim | nindent 2 }}
---
{{ include "dispatch.deployment" . }}
---
# Metrics of each pod, for whoever scrapes them.
apiVersion: v1
kind: Service
metadata:
  name: {{ $fullname }}-{{ .name }}-admin
  labels:
    {{- include "dispatch.labels" . | nindent 4 }}
    dispatch/port: admin
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "dispatch.selectorLabels" . | nindent 4 }}
  ports:
    - {name: admin, port: {{ .component.adminPort }}, targetPort: admin}
{{- if $root.Values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $fullname }}-{{ .name }}
  labels: {{- include "dispatch.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $root.Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels: {{- include "dispatch.selectorLabels" . | nindent 6 }}
{{- end }}
{{- end }}
