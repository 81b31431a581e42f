"""Values for the chart: every feature on, off, and together."""

from collections.abc import Mapping

from tests.helm import Values, merged

WATCHING: Values = {
    "existingSecret": "keys",
    "config": {
        "livepeer": [{"name": "studio", "api_key_file": "livepeer.key"}],
        "qencode": [{"name": "vod", "task_tokens_file": "tokens.json"}],
    },
}

MONITORED: Values = {
    "serviceMonitor": {
        "enabled": True,
        "namespace": "monitoring",
        "labels": {"release": "kube-prometheus-stack"},
        "annotations": {"note": "x"},
        "interval": "30s",
        "scrapeTimeout": "20s",
        "scheme": "https",
        "tlsConfig": {"ca": {"secret": {"name": "ca", "key": "ca.crt"}}, "serverName": "x"},
        "basicAuth": {"username": {"name": "u", "key": "user"}, "password": {"name": "u", "key": "password"}},
        "relabelings": [{"action": "labeldrop", "regex": "container"}],
        "metricRelabelings": [{"action": "drop", "regex": "x", "sourceLabels": ["project"]}],
        "sampleLimit": 2_000_000,
        "jobLabel": "app.kubernetes.io/name",
    },
    "prometheusRule": {
        "enabled": True,
        "namespace": "monitoring",
        "labels": {"release": "kube-prometheus-stack"},
        "annotations": {"note": "x"},
        "settings": {"min_failures": 7, "queue_growing_for": "30m", "success_objective": "0.95"},
        "disabledAlerts": ["TranscodingTaskFailed"],
        "additionalAlertLabels": {"team": "video"},
    },
    "dashboards": {
        "enabled": True,
        "namespace": "grafana",
        "annotations": {"grafana_folder": "Video"},
        "grafanaOperator": {"enabled": True, "matchLabels": {"grafana": "internal"}},
    },
}

EXPOSED: Values = {
    "service": {
        "type": "NodePort",
        "port": 80,
        "nodePort": 30477,
        "annotations": {"a": "b"},
        "labels": {"c": "d"},
    },
    "web": {
        "externalUrl": "https://video.example.com/tx",
        "grafanaUrl": "https://grafana.example.com",
        "telemetryPath": "/metrics/all",
        "enableLifecycle": True,
        "enableAdminApi": True,
        "existingSecret": "tls",
        "config": {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}},
    },
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"a": "b"},
        "hosts": [{"host": "video.example.com", "paths": [{"path": "/tx", "pathType": "Prefix"}]}],
        "tls": [{"secretName": "tls", "hosts": ["video.example.com"]}],
    },
    "httpRoute": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["video.example.com"],
        "matches": [{"path": {"type": "PathPrefix", "value": "/tx"}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["cookie"]}}],
    },
    "networkPolicy": {
        "enabled": True,
        "ingress": {"from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
        "egress": {
            "dns": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
            "ports": [443, 8443],
            "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
            "extra": [{"to": [{"podSelector": {"matchLabels": {"app": "pg"}}}], "ports": [{"port": 5432}]}],
        },
    },
}

PLACED: Values = {
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccount": {"name": "video", "annotations": {"a": "b"}},
    "podDisruptionBudget": {"enabled": True, "maxUnavailable": "50%"},
    "persistence": {
        "size": "500Mi",
        "storageClassName": "-",
        "annotations": {"a": "b"},
        "selector": {"matchLabels": {"a": "b"}},
    },
    "extraArgs": ["--web.listen-address=:10477"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": True}],
    "commonLabels": {"team": "video", "app.kubernetes.io/name": "not ours"},
    "commonAnnotations": {"owner": "video"},
    "podLabels": {"mesh": "off", "app.kubernetes.io/component": "not ours"},
    "podAnnotations": {"backup": "no"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "high",
    "runtimeClassName": "gvisor",
    "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["proxy"]}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-ca"}, "data": {}}
    ],
}

NOTHING: Values = {
    "persistence": {"enabled": False},
    "service": {"enabled": False},
    "serviceAccount": {"create": False},
    "test": {"enabled": False},
    "resources": None,
    "livenessProbe": None,
    "startupProbe": None,
}

CASES: Mapping[str, Values] = {
    "defaults": {},
    "nothing": NOTHING,
    "watching": WATCHING,
    "watching, kept by nobody": {**WATCHING, "persistence": {"enabled": False}},
    "watching, kept on a claim": {**WATCHING, "persistence": {"existingClaim": "ledger"}},
    "watching, kept in PostgreSQL": merged(
        WATCHING, {"config": {"storage": {"url": "postgresql://u@pg/tx"}}}
    ),
    "by the environment": {"secret": {"LIVEPEER_API_KEY": "k"}},
    "by a variable": {
        "existingSecret": "keys",
        "config": {"livepeer": [{"name": "a", "api_key_env": "KEY"}]},
    },
    "sharded": {**WATCHING, "sharding": {"replicas": 3}},
    "sharded, kept by nobody": {**WATCHING, "sharding": {"replicas": 3}, "persistence": {"enabled": False}},
    "stopped": {**WATCHING, "sharding": {"replicas": 0}, "podDisruptionBudget": {"enabled": True}},
    "stopped, kept by nobody": {**WATCHING, "sharding": {"replicas": 0}, "persistence": {"enabled": False}},
    "monitored": MONITORED,
    "monitored by the pods": {"podMonitor": {**MONITORED["serviceMonitor"]}},
    "monitored, as it comes": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "podDisruptionBudget": {"enabled": True},
    },
    "exposed": EXPOSED,
    "guarded by a Secret": {"web": {"existingSecret": "web"}},
    "placed": PLACED,
    "everything": merged(WATCHING, MONITORED, EXPOSED, PLACED, {"sharding": {"replicas": 2}}),
}
"""By what each is about."""
