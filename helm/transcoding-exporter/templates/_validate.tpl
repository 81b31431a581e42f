{{/* What no schema can say: values that are fine each, but not together. */}}
{{- define "transcoding-exporter.validate" -}}
{{- $shards := include "transcoding-exporter.sharded" . -}}
{{- if and .Values.existingSecret .Values.secret -}}
{{- fail "existingSecret and secret are given at once: keep one of them" -}}
{{- end -}}
{{- if and .Values.config (not .Values.config.qencode) (not .Values.config.livepeer) -}}
{{- fail "config: no account is configured; add one to the list config.qencode or config.livepeer" -}}
{{- end -}}
{{- range $index, $account := .Values.config.livepeer -}}
{{- if hasKey $account "api_key" -}}
{{- fail (printf "config.livepeer[%d].api_key would lie open in a ConfigMap: put the key into a Secret, name that by existingSecret, and write api_key_file" $index) -}}
{{- end -}}
{{- end -}}
{{- if and $shards (include "transcoding-exporter.demo" .) -}}
{{- fail "sharding.replicas: there is nothing to share; give config, existingSecret or secret" -}}
{{- end -}}
{{- if and $shards (hasPrefix "postgresql" (include "transcoding-exporter.storageUrl" .)) -}}
{{- fail "sharding.replicas: each shard needs a ledger of its own, and config.storage.url names one for all; leave it out" -}}
{{- end -}}
{{- if and $shards .Values.persistence.existingClaim -}}
{{- fail "sharding.replicas: each shard needs a volume of its own, and persistence.existingClaim is one for all; leave it out" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: each pod would be scraped twice, and every sum would be double; keep one of them" -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "ingress" "httpRoute" -}}
{{- if and (index $.Values $name "enabled") (not $.Values.service.enabled) -}}
{{- fail (printf "%s.enabled needs service.enabled" $name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the gateway, like [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- end -}}
