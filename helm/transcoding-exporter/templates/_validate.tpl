{{/* What no schema can say: values that are fine each, but not together. */}}
{{- define "transcoding-exporter.validate" -}}
{{- $shards := include "transcoding-exporter.sharded" . -}}
{{- $name := include "transcoding-exporter.fullname" . -}}
{{- if and (regexMatch "^[0-9]" $name) (or .Values.service.enabled (include "transcoding-exporter.stateful" .)) -}}
{{- fail (printf "fullnameOverride: a Service may not be called %s, which begins with a digit; give another name" $name) -}}
{{- end -}}
{{- if and .Values.existingSecret .Values.secret -}}
{{- fail "existingSecret and secret are given at once: keep one of them" -}}
{{- end -}}
{{- if and .Values.config (not .Values.config.qencode) (not .Values.config.livepeer) -}}
{{- fail "config: no account is configured; add one to the list config.qencode or config.livepeer" -}}
{{- end -}}
{{- include "transcoding-exporter.validateSecret" . -}}
{{- include "transcoding-exporter.validateAccounts" . -}}
{{- include "transcoding-exporter.validateFlags" . -}}
{{- if and $shards (include "transcoding-exporter.demo" .) -}}
{{- fail "sharding.replicas: there is nothing to share; give config, existingSecret or secret" -}}
{{- end -}}
{{- if and $shards (hasPrefix "postgresql" (include "transcoding-exporter.storageUrl" .)) -}}
{{- fail "sharding.replicas: each shard needs a ledger of its own, and config.storage.url names one for all; leave it out" -}}
{{- end -}}
{{- if and $shards .Values.persistence.existingClaim -}}
{{- fail "sharding.replicas: each shard needs a volume of its own, and persistence.existingClaim is one for all; leave it out" -}}
{{- end -}}
{{- if and (include "transcoding-exporter.stopped" .) (include "transcoding-exporter.claims" .) (eq .Values.persistence.retentionPolicy.whenScaled "Delete") -}}
{{- fail "sharding.replicas: 0 would delete the ledgers of all shards, and every counter would begin anew; set persistence.retentionPolicy.whenScaled to Retain" -}}
{{- end -}}
{{- $url := include "transcoding-exporter.storageUrl" . -}}
{{- if and (hasPrefix "sqlite:" $url) (not (regexMatch "^sqlite:////?data/" $url)) (not .Values.extraVolumeMounts) -}}
{{- fail "config.storage.url: the volume of the ledger is /data; leave it out, or write sqlite:///data/ledger.db" -}}
{{- end -}}
{{- $tls := dig "tls_server_config" dict (.Values.web.config | default dict) -}}
{{- if and (or $tls.cert_file $tls.key_file $tls.client_ca_file) (not (or .Values.web.existingSecret .Values.extraVolumeMounts)) -}}
{{- fail "web.existingSecret: name the Secret with the files that web.config.tls_server_config refers to" -}}
{{- end -}}
{{- if and .Values.service.nodePort (eq .Values.service.type "ClusterIP") -}}
{{- fail "service.nodePort: only a Service of the type NodePort or LoadBalancer has one; set service.type" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name at least one host with its paths" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor.enabled and podMonitor.enabled: each pod would be scraped twice, and every sum would be double; keep one of them" -}}
{{- end -}}
{{- range $monitor := list "serviceMonitor" "podMonitor" -}}
{{- if index $.Values $monitor "enabled" -}}
{{- include "transcoding-exporter.validateMonitor" (dict "root" $ "monitor" $monitor) -}}
{{- end -}}
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

{{/* Flags, each with the values by which all objects of the chart know of it. */}}
{{- define "transcoding-exporter.flags" -}}
--config.file: config
--storage.path: config.storage.url or persistence
--shard: sharding.replicas
--total-shards: sharding.replicas
--web.listen-address: service.port
--web.config.file: web.config or web.existingSecret
--web.telemetry-path: web.telemetryPath
--web.external-url: web.externalUrl
--web.route-prefix: web.routePrefix
--web.grafana-url: web.grafanaUrl
--web.enable-lifecycle: web.enableLifecycle
--web.enable-admin-api: web.enableAdminApi
--log.level: log.level
--log.format: log.format
{{- end -}}

{{/* What an argument or a variable says, the pods do, and no other object of the chart knows. */}}
{{- define "transcoding-exporter.validateFlags" -}}
{{- $flags := include "transcoding-exporter.flags" . | fromYaml -}}
{{/* No value is for a file of one's own, nor for an address behind another container that has the port. */}}
{{- $free := empty .Values.config | ternary (list "--config.file" "--web.listen-address") (list "--web.listen-address") -}}
{{- range $index, $arg := .Values.extraArgs -}}
{{- $flag := splitList "=" $arg | first -}}
{{- if and (hasKey $flags $flag) (not (has $flag $free)) -}}
{{- fail (printf "extraArgs[%d]: %s is for the chart to give; leave it out, and set %s" $index $flag (get $flags $flag)) -}}
{{- end -}}
{{- end -}}
{{- $variables := dict -}}
{{- range $flag, $_ := $flags -}}
{{- $_ := set $variables (printf "TRANSCODING_EXPORTER_%s" (trimPrefix "--" $flag | replace "." "_" | replace "-" "_" | upper)) $flag -}}
{{- end -}}
{{- $names := list -}}
{{- range $index, $variable := .Values.extraEnv -}}
{{- $name := toString $variable.name -}}
{{- if hasKey $variables $name -}}
{{- $flag := get $variables $name -}}
{{- fail (printf "extraEnv[%d]: %s stands for %s, which is for the chart to give; leave it out, and set %s" $index $name $flag (get $flags $flag)) -}}
{{- end -}}
{{- if has $name $names -}}
{{- fail (printf "extraEnv[%d]: %s is given twice; keep one of them" $index $name) -}}
{{- end -}}
{{- $names = append $names $name -}}
{{- end -}}
{{- end -}}

{{/* What stands in the value secret is read. */}}
{{- define "transcoding-exporter.validateSecret" -}}
{{- $secret := .Values.secret | default dict -}}
{{- if hasKey $secret "config.yml" -}}
{{- fail "secret: its key config.yml would not be read, for the exporter's file of that name is made of config; write there what it says" -}}
{{- end -}}
{{- $makes := or (hasKey $secret "LIVEPEER_API_KEY") (hasKey $secret "QENCODE_TASK_TOKENS") -}}
{{- if and $secret (not (or $makes .Values.config .Values.extraEnvFrom .Values.extraVolumes)) -}}
{{- fail "secret: without config, only its keys LIVEPEER_API_KEY and QENCODE_TASK_TOKENS are read, and it has neither; say in config what to watch" -}}
{{- end -}}
{{- end -}}

{{/* Milliseconds of a duration as Prometheus writes one. */}}
{{- define "transcoding-exporter.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+[a-z]+" . -1 -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) (get $units (regexFind "[a-z]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* A monitor is one that Prometheus Operator takes, and gets past the door that web.config makes: (dict "root" $ "monitor" NAME). */}}
{{- define "transcoding-exporter.validateMonitor" -}}
{{- $web := .root.Values.web.config | default dict -}}
{{- $given := index .root.Values .monitor -}}
{{- if and $given.interval $given.scrapeTimeout -}}
{{- if gt (include "transcoding-exporter.milliseconds" $given.scrapeTimeout | int64) (include "transcoding-exporter.milliseconds" $given.interval | int64) -}}
{{- fail (printf "%s.scrapeTimeout: %s is longer than the interval of %s, and Prometheus Operator would leave the monitor out; shorten it" .monitor $given.scrapeTimeout $given.interval) -}}
{{- end -}}
{{- end -}}
{{- $tls := $given.tlsConfig | default dict -}}
{{- $encrypted := $given.scheme | default (include "transcoding-exporter.scheme" .root) | eq "https" -}}
{{- if and $encrypted (hasKey $web "tls_server_config") (not (or $tls.serverName $tls.insecureSkipVerify)) -}}
{{- fail (printf "%s.tlsConfig: web.config asks for TLS, and Prometheus, which asks the pods by their addresses, would refuse the certificate; name a name in it, like {serverName: transcoding.example.com, ca: {secret: {name: …, key: ca.crt}}}, or set {insecureSkipVerify: true}" .monitor) -}}
{{- end -}}
{{- $certified := dig "client_auth_type" "" ($web.tls_server_config | default dict) | hasPrefix "Require" -}}
{{- if and $encrypted $certified (not (or (and $tls.cert $tls.keySecret) (and $tls.certFile $tls.keyFile))) -}}
{{- fail (printf "%s.tlsConfig: web.config asks for a certificate of the client; name Prometheus' own, like {cert: {secret: {name: …, key: tls.crt}}, keySecret: {name: …, key: tls.key}}" .monitor) -}}
{{- end -}}
{{- $user := $given.basicAuth | default dict -}}
{{- if and $web.basic_auth_users (not (and $user.username $user.password)) -}}
{{- fail (printf "%s.basicAuth: web.config has users; name where one and the password are, like {username: {name: …, key: username}, password: {name: …, key: password}}" .monitor) -}}
{{- end -}}
{{- end -}}

{{/* Accounts have a name each, and the files that they name are keys of the Secret, as far as that is known here. */}}
{{- define "transcoding-exporter.validateAccounts" -}}
{{- $root := . -}}
{{- range $provider := list "livepeer" "qencode" -}}
{{- $names := list -}}
{{- range $index, $account := index ($root.Values.config | default dict) $provider -}}
{{- $place := printf "config.%s[%d]" $provider $index -}}
{{- if has $account.name $names -}}
{{- fail (printf "%s.name: another account is called %s, too" $place $account.name) -}}
{{- end -}}
{{- $names = append $names $account.name -}}
{{- range $key := list "api_key_file" "task_tokens_file" -}}
{{- $file := index $account $key -}}
{{- if and $file (not (hasPrefix "/" $file)) (not $root.Values.existingSecret) (not $root.Values.extraVolumeMounts) -}}
{{- if not (hasKey ($root.Values.secret | default dict) $file) -}}
{{- fail (printf "%s.%s: there is no file %s; make it a key of a Secret and name that by existingSecret, or of the value secret" $place $key $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $variable := $account.api_key_env -}}
{{- if and $variable (not $root.Values.existingSecret) (not (hasKey ($root.Values.secret | default dict) $variable)) -}}
{{- $set := list -}}
{{- range $root.Values.extraEnv -}}
{{- $set = append $set .name -}}
{{- end -}}
{{- if not (or (has $variable $set) $root.Values.extraEnvFrom) -}}
{{- fail (printf "%s.api_key_env: there is no variable %s; make it a key of a Secret and name that by existingSecret, or of the value secret" $place $variable) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
