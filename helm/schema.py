"""`values.schema.json`: a value's type is that of its default; what more is known stands here.

Helm refuses values that do not fit, and names the one that is wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from exporter.mixin import rules
from exporter.mixin.settings import SETTINGS, Kind
from helm.config_schema import DURATION, Schema, config_schema
from helm.values import Value

_TEXTS: Final[Schema] = {"type": "object", "additionalProperties": {"type": "string"}}
# What belongs to Kubernetes is for Kubernetes to judge.
_OBJECT: Final[Schema] = {"type": "object"}
_OBJECTS: Final[Schema] = {"type": "array", "items": _OBJECT}
_STRINGS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_PORT: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 65535}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER_OR_SHARE: Final[Schema] = {
    "type": ["integer", "string", "null"],
    "minimum": 0,
    "pattern": "^[0-9]+%$",
}
_QUANTITY: Final[Schema] = {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?([EPTGMk]i?|Ki)?$"}
_PROMETHEUS_DURATION: Final[Schema] = {**DURATION, "type": "string", "minLength": 0}
_GO_DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"}
_NAME: Final[Schema] = {"type": "string", "pattern": "^([a-z]([-a-z0-9]*[a-z0-9])?)?$"}
_PROJECTED_KEY: Final[Schema] = {"pattern": "^[-._a-zA-Z0-9]+$", "maxLength": 253}
# As exporter.web.app has it. In two, for the expressions of Helm cannot look ahead.
_TELEMETRY_PATH: Final[Schema] = {
    "type": "string",
    "pattern": "^/([A-Za-z0-9_.~-]+/)*[A-Za-z0-9_.~-]*$",
    "not": {"pattern": "^/(-|api|runbooks|static)(/|$)"},
}
_URL_OR_NOTHING: Final[Schema] = {"type": "string", "pattern": "^(https?://[^\\s]+)?$"}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": [*words]}


def _objects_with(**properties: Schema) -> Schema:
    item = {"type": "object", "additionalProperties": False, "properties": properties}
    return {"type": "array", "items": {**item, "required": [*properties]}}


_SETTINGS: Final[Mapping[Kind, Schema]] = {
    Kind.DURATION: {**DURATION, "type": "string"},
    Kind.NUMBER: {"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?$"},
    Kind.RATIO: {
        "type": ["number", "string"],
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "pattern": "^0\\.[0-9]*[1-9][0-9]*$",
    },
    Kind.URL: {"type": "string", "pattern": "^https?://[^\\s\"'{}<>#\\\\]+$"},
}


def _rule_settings() -> Schema:
    described = {each.name: {"description": each.help, **_SETTINGS[each.kind]} for each in SETTINGS}
    return {"type": "object", "additionalProperties": False, "properties": described}


def _alerts() -> Schema:
    groups = (group for name in rules.FILES for group in yaml.safe_load(rules.template(name))["groups"])
    names = [rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule]
    return {"type": "array", "items": {"type": "string", "enum": names}}


def _known() -> Mapping[str, Schema]:
    """Return what is known of values beyond the type of their default; `*` stands for any section."""
    return {
        "config": {**config_schema(), "description": "The exporter's configuration."},
        "secret": {**_TEXTS, "propertyNames": _PROJECTED_KEY},
        "image.repository": {"type": "string", "minLength": 1},
        "image.tag": {"type": "string", "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$"},
        "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        "image.pullPolicy": _one_of("Always", "IfNotPresent", "Never"),
        "persistence.size": _QUANTITY,
        "persistence.accessModes": {**_STRINGS, "minItems": 1},
        "persistence.retentionPolicy.whenDeleted": _one_of("Retain", "Delete"),
        "persistence.retentionPolicy.whenScaled": _one_of("Retain", "Delete"),
        "sharding.replicas": _COUNT,
        "log.level": _one_of("debug", "info", "warn", "error"),
        "log.format": _one_of("logfmt", "json"),
        "web.externalUrl": _URL_OR_NOTHING,
        "web.grafanaUrl": {"type": "string", "pattern": f"^$|{_SETTINGS[Kind.URL]['pattern']}"},
        "web.routePrefix": {"type": "string", "pattern": "^(/.*)?$"},
        "web.telemetryPath": _TELEMETRY_PATH,
        "web.config": _OBJECT,
        "service.type": _one_of("ClusterIP", "NodePort", "LoadBalancer"),
        "service.port": _PORT,
        "service.ipFamilyPolicy": _one_of("", "SingleStack", "PreferDualStack", "RequireDualStack"),
        "service.ipFamilies": {"type": "array", "items": _one_of("IPv4", "IPv6"), "maxItems": 2},
        "service.nodePort": {**_PORT, "type": ["integer", "null"]},
        "prometheusRule.settings": _rule_settings(),
        "prometheusRule.disabledAlerts": _alerts(),
        "prometheusRule.additionalAlertLabels": _TEXTS,
        "dashboards.grafanaOperator.matchLabels": _TEXTS,
        "dashboards.grafanaOperator.resyncPeriod": _GO_DURATION,
        "networkPolicy.egress.dnsPorts": {"type": "array", "items": _PORT},
        "networkPolicy.egress.ports": {"type": "array", "items": _PORT},
        "podDisruptionBudget.maxUnavailable": _NUMBER_OR_SHARE,
        "podDisruptionBudget.minAvailable": _NUMBER_OR_SHARE,
        "ingress.hosts": _objects_with(
            host={"type": "string"},
            paths=_objects_with(
                path={"type": "string", "pattern": "^/"},
                pathType=_one_of("Exact", "Prefix", "ImplementationSpecific"),
            ),
        ),
        "httpRoute.hostnames": _STRINGS,
        "extraArgs": _STRINGS,
        "nameOverride": _NAME,
        "fullnameOverride": _NAME,
        "commonLabels": _TEXTS,
        "commonAnnotations": _TEXTS,
        "podLabels": _TEXTS,
        "podAnnotations": _TEXTS,
        "nodeSelector": _TEXTS,
        "dnsPolicy": _one_of("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
        "*.labels": _TEXTS,
        "*.annotations": _TEXTS,
        "*.interval": _PROMETHEUS_DURATION,
        "*.scrapeTimeout": _PROMETHEUS_DURATION,
        "*.scheme": _one_of("", "http", "https"),
        "*.sampleLimit": _COUNT,
    }


def values_schema(values: Sequence[Value]) -> Schema:
    """Return the schema of all values."""
    known = _known()
    root: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    at: dict[tuple[str, ...], dict[str, Any]] = {(): root}
    for value in values:
        schema = dict(_schema(value, known))
        at[value.path] = schema
        above = at[value.path[:-1]]
        above["properties"][value.path[-1]] = schema
        if _is_needed(value, schema):
            above.setdefault("required", []).append(value.path[-1])
    # What a chart that this one is part of says to all of its parts, and whether this one is.
    root["properties"] |= {"global": _OBJECT, "enabled": {"type": "boolean"}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root}


def _is_needed(value: Value, schema: Schema) -> bool:
    """Whether nothing can stand in for a value: to Helm, `null` takes a default away."""
    is_plain = isinstance(value.default, (bool, int, str)) and value.default != ""
    return not value.help or "minItems" in schema or (is_plain and "null" not in schema["type"])


def _schema(value: Value, known: Mapping[str, Schema]) -> Schema:
    if not value.help:
        return {"type": "object", "additionalProperties": False, "properties": {}}
    found = known.get(value.name) or known.get(f"*.{value.path[-1]}") or _by_default(value.default)
    return {"description": value.help, **found}


def _by_default(default: Any) -> Schema:
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return _COUNT
        case str():
            return {"type": "string"}
        case list():
            return _OBJECTS
        case dict():
            return _OBJECT
    raise ValueError(f"nothing is known of a value that is {default!r}")
