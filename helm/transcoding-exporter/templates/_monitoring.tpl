{{/* One endpoint of a ServiceMonitor or a PodMonitor: (dict "root" $ "monitor" .Values.…). */}}
{{- define "transcoding-exporter.endpoint" -}}
{{- with .monitor -}}
port: http
path: {{ include "transcoding-exporter.metricsPath" $.root }}
scheme: {{ .scheme | default (include "transcoding-exporter.scheme" $.root) }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
# Our label `endpoint` says which API of the provider was asked. Prometheus Operator gives each target a label of that name, the port's:
# were it to win, ours would be called exported_endpoint, and rules and dashboards would look for it in vain.
honorLabels: true
relabelings:
  # And were it not dropped, it would stand on all other metrics, and where honorLabels is overridden, it would win again.
  - action: labeldrop
    regex: endpoint
  # A shard keeps its name when it moves to another address: its counters, which go on where they stood, stay the same series.
  - action: replace
    sourceLabels: [__meta_kubernetes_pod_name]
    targetLabel: instance
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What both monitors say about the pods or Services that they find. */}}
{{- define "transcoding-exporter.targets" -}}
selector:
  matchLabels:
    {{- include "transcoding-exporter.selectorLabels" .root | nindent 4 }}
namespaceSelector:
  matchNames: [{{ .root.Release.Namespace }}]
{{- with .monitor.jobLabel }}
jobLabel: {{ . }}
{{- end }}
{{- with .monitor.sampleLimit }}
sampleLimit: {{ int64 . }}
{{- end }}
{{- end -}}
