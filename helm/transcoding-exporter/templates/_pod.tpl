{{/* The pod of the exporter, the same in a StatefulSet and a Deployment. */}}
{{- define "transcoding-exporter.pod" -}}
{{- $secret := include "transcoding-exporter.secretName" . -}}
{{- $prefix := include "transcoding-exporter.prefix" . -}}
metadata:
  labels:
    {{- include "transcoding-exporter.labels" (dict "root" . "labels" .Values.podLabels) | nindent 4 }}
  annotations:
    # A change rolls the pods. The exporter could read it anew without, but nothing would tell a mistake to who made it.
    checksum/config: {{ list .Values.config .Values.secret .Values.web.config | toJson | sha256sum }}
    {{- with omit (merge (dict) (.Values.podAnnotations | default dict) (.Values.commonAnnotations | default dict)) "checksum/config" }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "transcoding-exporter.serviceAccountName" . }}
  automountServiceAccountToken: false
  # The variables that Kubernetes makes of a Service begin with its name: TRANSCODING_EXPORTER_… is what stands for our flags.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  dnsPolicy: {{ .Values.dnsPolicy }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $pods := dict "labelSelector" (dict "matchLabels" (include "transcoding-exporter.selectorLabels" $ | fromYaml)) }}
    {{- range . }}
    - {{ hasKey . "labelSelector" | ternary . (merge (dict) . $pods) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: exporter
      image: {{ include "transcoding-exporter.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      # So that `kubectl describe pod` tells what the exporter said when it refused its configuration.
      terminationMessagePolicy: FallbackToLogsOnError
      args:
        {{- include "transcoding-exporter.args" . | nindent 8 }}
      {{- with include "transcoding-exporter.env" . }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 10477
          protocol: TCP
      {{- range $name, $page := dict "livenessProbe" "healthy" "readinessProbe" "ready" "startupProbe" "ready" }}
      {{- with index $.Values $name }}
      {{ $name }}:
        {{- if not (or .httpGet .tcpSocket .exec .grpc) }}
        {{- if include "transcoding-exporter.closed" $ }}
        tcpSocket:
          port: http
        {{- else }}
        httpGet:
          path: {{ $prefix }}/-/{{ $page }}
          port: http
          scheme: {{ include "transcoding-exporter.scheme" $ | upper }}
        {{- end }}
        {{- end }}
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- if include "transcoding-exporter.ledger" . }}
        - name: ledger
          mountPath: /data
        {{- end }}
        - name: tmp
          mountPath: /tmp
        {{- if .Values.config }}
        - name: config
          mountPath: /etc/transcoding-exporter
          readOnly: true
        {{- end }}
        {{- if include "transcoding-exporter.guarded" . }}
        - name: web
          mountPath: /etc/transcoding-exporter-web
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- if and (include "transcoding-exporter.ledger" .) (not (include "transcoding-exporter.claims" .)) }}
    - name: ledger
      {{- if and .Values.persistence.enabled .Values.persistence.existingClaim }}
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
      {{- else }}
      # Outlives the container, but not the pod.
      emptyDir:
        sizeLimit: {{ .Values.persistence.size }}
      {{- end }}
    {{- end }}
    - name: tmp
      emptyDir: {}
    {{- if .Values.config }}
    # In one folder, so that the configuration can name the Secret's files as those beside it.
    - name: config
      projected:
        sources:
          {{- if $secret }}
          - secret:
              name: {{ $secret }}
          {{- end }}
          - secret:
              name: {{ include "transcoding-exporter.fullname" . }}-config
    {{- end }}
    {{- if include "transcoding-exporter.guarded" . }}
    - name: web
      projected:
        sources:
          {{- with .Values.web.existingSecret }}
          - secret:
              name: {{ . }}
          {{- end }}
          {{- if .Values.web.config }}
          - secret:
              name: {{ include "transcoding-exporter.fullname" . }}-web
          {{- end }}
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Each pod gets a claim of its own. */}}
{{- define "transcoding-exporter.claims" -}}
{{- if and (include "transcoding-exporter.persistent" .) (not .Values.persistence.existingClaim) -}}
true
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.args" -}}
{{- $args := list (ternary "demo" "serve" (include "transcoding-exporter.demo" . | eq "true")) -}}
{{- if .Values.config -}}
{{- $args = append $args "--config.file=/etc/transcoding-exporter/config.yml" -}}
{{- end -}}
{{- if and (include "transcoding-exporter.ledger" .) (not (include "transcoding-exporter.storageUrl" .)) -}}
{{- $args = append $args "--storage.path=/data/ledger.db" -}}
{{- end -}}
{{- if include "transcoding-exporter.guarded" . -}}
{{- $args = append $args "--web.config.file=/etc/transcoding-exporter-web/web.yml" -}}
{{- end -}}
{{- with .Values.web.externalUrl -}}
{{- $args = append $args (printf "--web.external-url=%s" .) -}}
{{- end -}}
{{- with .Values.web.routePrefix -}}
{{- $args = append $args (printf "--web.route-prefix=%s" .) -}}
{{- end -}}
{{- with .Values.web.grafanaUrl | default (dig "grafana_url" "" (.Values.prometheusRule.settings | default dict)) -}}
{{- $args = append $args (printf "--web.grafana-url=%s" .) -}}
{{- end -}}
{{- if ne .Values.web.telemetryPath "/metrics" -}}
{{- $args = append $args (printf "--web.telemetry-path=%s" .Values.web.telemetryPath) -}}
{{- end -}}
{{- if .Values.web.enableLifecycle -}}
{{- $args = append $args "--web.enable-lifecycle" -}}
{{- end -}}
{{- if .Values.web.enableAdminApi -}}
{{- $args = append $args "--web.enable-admin-api" -}}
{{- end -}}
{{- $args = append $args (printf "--log.level=%s" .Values.log.level) -}}
{{- $args = append $args (printf "--log.format=%s" .Values.log.format) -}}
{{- concat $args (.Values.extraArgs | default list) | toYaml -}}
{{- end -}}

{{- define "transcoding-exporter.env" -}}
{{- $env := list -}}
{{- with include "transcoding-exporter.secretName" . -}}
{{- $secret := . -}}
{{- range include "transcoding-exporter.variables" $ | fromJsonArray -}}
{{/* Without a `config` there may be accounts of one provider only. */}}
{{- $key := dict "name" $secret "key" . -}}
{{- if not $.Values.config -}}
{{- $_ := set $key "optional" true -}}
{{- end -}}
{{- $env = append $env (dict "name" . "valueFrom" (dict "secretKeyRef" $key)) -}}
{{- end -}}
{{- end -}}
{{- if include "transcoding-exporter.sharded" . -}}
{{- $index := dict "fieldRef" (dict "fieldPath" "metadata.labels['apps.kubernetes.io/pod-index']") -}}
{{- $env = append $env (dict "name" "TRANSCODING_EXPORTER_SHARD" "valueFrom" $index) -}}
{{- $env = append $env (dict "name" "TRANSCODING_EXPORTER_TOTAL_SHARDS" "value" (toString .Values.sharding.replicas)) -}}
{{- end -}}
{{- with concat $env (.Values.extraEnv | default list) -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
