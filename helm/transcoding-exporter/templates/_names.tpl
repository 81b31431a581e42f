{{/* Names and labels. */}}

{{/* 52 characters: Kubernetes makes labels of a StatefulSet's name and eleven characters more. A release's name may have dots, a Service's not. */}}
{{- define "transcoding-exporter.short" -}}
{{- regexReplaceAll "-+$" (. | replace "." "-" | trunc 52) "" -}}
{{- end -}}

{{- define "transcoding-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | include "transcoding-exporter.short" -}}
{{- end -}}

{{- define "transcoding-exporter.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | include "transcoding-exporter.short" -}}
{{- end -}}

{{/* What the workload, its Service and its monitors know the pods by: never changes. */}}
{{- define "transcoding-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "transcoding-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: exporter
{{- end -}}

{{/* Labels of an object: (dict "root" $ "component" … "labels" …). Ours win: selectors rely on them. */}}
{{- define "transcoding-exporter.labels" -}}
{{- $root := .root -}}
{{- $ours := include "transcoding-exporter.selectorLabels" $root | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/component" (.component | default "exporter") -}}
{{- $version := $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 -}}
{{- $_ = set $ours "app.kubernetes.io/version" (regexReplaceAll "^[^A-Za-z0-9]+|[^A-Za-z0-9]+$" $version "") -}}
{{- $_ = set $ours "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ = set $ours "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $ours (.labels | default dict) ($root.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{/* metadata of an object: (dict "root" $ "name" … "namespace" … "component" … "labels" … "annotations" …); the last four may be left out. */}}
{{- define "transcoding-exporter.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "transcoding-exporter.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "transcoding-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "transcoding-exporter.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}
