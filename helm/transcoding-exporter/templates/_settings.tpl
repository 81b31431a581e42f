{{/* What follows from the values. What says "true" or nothing is a condition. */}}

{{/* The Secret that `config` refers to, if there is one. */}}
{{- define "transcoding-exporter.secretName" -}}
{{- if .Values.existingSecret -}}
{{- .Values.existingSecret -}}
{{- else if .Values.secret -}}
{{- include "transcoding-exporter.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* The exporter's file is one that the chart does not make. */}}
{{- define "transcoding-exporter.ownFile" -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--config[.]file(=|$)" . -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Nothing says what to watch: the demo runs. */}}
{{- define "transcoding-exporter.demo" -}}
{{- $accounts := or .Values.config (include "transcoding-exporter.ownFile" .) (include "transcoding-exporter.secretName" .) .Values.extraEnvFrom -}}
{{- range .Values.extraEnv -}}
{{- $accounts = or $accounts (has .name (list "LIVEPEER_API_KEY" "QENCODE_TASK_TOKENS")) -}}
{{- end -}}
{{- if not $accounts -}}
true
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.storageUrl" -}}
{{- dig "storage" "url" "" (.Values.config | default dict) -}}
{{- end -}}

{{/* The ledger is a file, in a volume. */}}
{{- define "transcoding-exporter.ledger" -}}
{{- $url := include "transcoding-exporter.storageUrl" . -}}
{{- if not (or (include "transcoding-exporter.demo" .) (and $url (not (hasPrefix "sqlite:" $url)))) -}}
true
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.persistent" -}}
{{- if and .Values.persistence.enabled (include "transcoding-exporter.ledger" .) -}}
true
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.sharded" -}}
{{- if gt (int .Values.sharding.replicas) 1 -}}
true
{{- end -}}
{{- end -}}

{{/* No exporter is to run. */}}
{{- define "transcoding-exporter.stopped" -}}
{{- if eq (int .Values.sharding.replicas) 0 -}}
true
{{- end -}}
{{- end -}}

{{/* The tasks can be shared: each exporter has a ledger of its own, and something to watch. */}}
{{- define "transcoding-exporter.shareable" -}}
{{- if not (or (include "transcoding-exporter.demo" .) (hasPrefix "postgresql" (include "transcoding-exporter.storageUrl" .))) -}}
true
{{- end -}}
{{- end -}}

{{/* A StatefulSet gives each pod a number, and a volume that stays its own. One whose shards are stopped stays one. */}}
{{- define "transcoding-exporter.stateful" -}}
{{- $shards := or (include "transcoding-exporter.sharded" .) (include "transcoding-exporter.stopped" .) -}}
{{- if or (include "transcoding-exporter.persistent" .) (and $shards (include "transcoding-exporter.shareable" .)) -}}
true
{{- end -}}
{{- end -}}

{{/* How many pods there are. */}}
{{- define "transcoding-exporter.pods" -}}
{{- include "transcoding-exporter.stateful" . | eq "true" | ternary (int .Values.sharding.replicas) (min 1 .Values.sharding.replicas) -}}
{{- end -}}

{{/* A PodDisruptionBudget that no pod may leave by. Kubernetes rounds shares up. */}}
{{- define "transcoding-exporter.undrainable" -}}
{{- with .Values.podDisruptionBudget -}}
{{- $pods := include "transcoding-exporter.pods" $ | float64 -}}
{{- $free := 1.0 -}}
{{- if not (kindIs "invalid" .minAvailable) -}}
{{- $free = subf $pods (include "transcoding-exporter.share" (dict "of" $pods "given" .minAvailable) | float64) -}}
{{- else if not (kindIs "invalid" .maxUnavailable) -}}
{{- $free = include "transcoding-exporter.share" (dict "of" $pods "given" .maxUnavailable) | float64 -}}
{{- end -}}
{{- if and .enabled (le $free 0.0) (not (include "transcoding-exporter.stopped" $)) -}}
true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A number, or a percentage of one, rounded up: (dict "of" … "given" …). */}}
{{- define "transcoding-exporter.share" -}}
{{- $given := toString .given -}}
{{- if hasSuffix "%" $given -}}
{{- divf (mulf .of (trimSuffix "%" $given | float64)) 100 | ceil -}}
{{- else -}}
{{- $given -}}
{{- end -}}
{{- end -}}

{{/* The file of --web.config.file exists: only some may connect, and perhaps by TLS. */}}
{{- define "transcoding-exporter.guarded" -}}
{{- if or .Values.web.config .Values.web.existingSecret -}}
true
{{- end -}}
{{- end -}}

{{/* A probe gets no page: it has no name and password and no certificate, or may come too often. A file in a Secret is not known here. */}}
{{- define "transcoding-exporter.closed" -}}
{{- $web := .Values.web.config | default dict -}}
{{- $certified := dig "tls_server_config" "client_auth_type" "" $web | hasPrefix "Require" -}}
{{- if or $web.basic_auth_users $web.rate_limit $certified (and .Values.web.existingSecret (not $web)) -}}
true
{{- end -}}
{{- end -}}

{{- define "transcoding-exporter.scheme" -}}
{{- ternary "https" "http" (hasKey (.Values.web.config | default dict) "tls_server_config") -}}
{{- end -}}

{{/* What the path of each request begins with, without a slash at its end. */}}
{{- define "transcoding-exporter.prefix" -}}
{{- .Values.web.routePrefix | default (.Values.web.externalUrl | default "" | urlParse).path | trimSuffix "/" -}}
{{- end -}}

{{- define "transcoding-exporter.metricsPath" -}}
{{- include "transcoding-exporter.prefix" . -}}{{- .Values.web.telemetryPath -}}
{{- end -}}

{{/* The variables that `config` names by api_key_env or, without a `config`, those that make accounts. */}}
{{- define "transcoding-exporter.variables" -}}
{{- $names := list -}}
{{- if .Values.config -}}
{{- range .Values.config.livepeer -}}
{{- $names = concat $names (compact (list .api_key_env)) -}}
{{- end -}}
{{- else -}}
{{- $names = list "LIVEPEER_API_KEY" "QENCODE_TASK_TOKENS" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- $names = without $names .name -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* Every setting of the rules with its value: the given ones, and the defaults of the others. */}}
{{- define "transcoding-exporter.ruleSettings" -}}
{{- $settings := .Files.Get "rule-settings.yaml" | fromYaml -}}
{{- with .Values.web.externalUrl -}}
{{- $_ := set $settings "runbooks_url" (printf "%s/runbooks" (trimSuffix "/" .)) -}}
{{- end -}}
{{- with .Values.web.grafanaUrl -}}
{{- $_ := set $settings "grafana_url" (trimSuffix "/" .) -}}
{{- end -}}
{{- range $name, $value := .Values.prometheusRule.settings -}}
{{/* toJson, for numbers only: a million is not to become 1e+06. */}}
{{- $_ := set $settings $name (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}
