"""Values that the chart refuses, each with a message that names what is wrong."""

import json
from collections.abc import Mapping
from typing import Any

import helm_python
import pytest
import yaml

from exporter.web.app import is_telemetry_path
from helm.values import Value, read
from tests.helm import CHART, KUBERNETES, ROOT, Values, check, findings, merged, objects, refusal
from tests.helm_values import CASES

DECLARED = read((CHART / "values.yaml").read_text())
SETTABLE = [value for value in DECLARED if value.help]
SECTIONS = [value for value in DECLARED if not value.help]
KEPT: Values = {
    "existingSecret": "keys",
    "config": {"livepeer": [{"name": "studio", "api_key_file": "livepeer.key"}]},
}
LIVEPEER: Values = {"config": {"livepeer": [{"name": "studio", "api_key_file": "livepeer.key"}]}}


def at(path: tuple[str, ...], content: Any) -> Values:
    """Values with one value, at a path."""
    for key in reversed(path):
        content = {key: content}
    assert isinstance(content, Mapping)
    return content


def wrong_for(value: Value) -> Any:
    """What is of another type than a value's default, and than any that would do instead."""
    return {"wrong": 1} if isinstance(value.default, list) else ["wrong"]


# --- By their type -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", SETTABLE, ids=lambda value: value.name)
def test_a_value_of_the_wrong_type_is_refused_by_its_name(value: Value) -> None:
    assert f"at '/{'/'.join(value.path)}'" in refusal(at(value.path, wrong_for(value)))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_value_that_does_not_exist_is_refused_by_its_name(section: Value) -> None:
    said = refusal(at((*section.path, "enabeld"), True))

    assert f"at '/{'/'.join(section.path)}'" in said
    assert "'enabeld'" in said


def test_a_section_that_does_not_exist_is_refused_by_its_name() -> None:
    assert "additional properties 'servicemonitor' not allowed" in refusal(
        {"servicemonitor": {"enabled": True}}
    )


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("service.port", 0, "/service/port"),
        ("service.port", 65536, "/service/port"),
        ("service.port", "http", "/service/port"),
        ("service.type", "ExternalName", "/service/type"),
        ("service.ipFamilies", ["IPv5"], "/service/ipFamilies/0"),
        ("service.ipFamilyPolicy", "DualStack", "/service/ipFamilyPolicy"),
        ("image.tag", f"1.2@sha256:{'a' * 64}", "/image/tag"),
        ("fullnameOverride", "My_Exporter", "/fullnameOverride"),
        ("nameOverride", "video.exporter", "/nameOverride"),
        ("secret", {"livepeer key": "k"}, "'livepeer key'"),
        ("sharding.replicas", -1, "/sharding/replicas"),
        ("sharding.replicas", 1.5, "/sharding/replicas"),
        ("image.pullPolicy", "Sometimes", "/image/pullPolicy"),
        ("image.digest", "abc", "/image/digest"),
        ("image.repository", "", "/image/repository"),
        ("log.level", "loud", "/log/level"),
        ("persistence.size", "1 GB", "/persistence/size"),
        ("persistence.retentionPolicy.whenScaled", "Keep", "/persistence/retentionPolicy/whenScaled"),
        ("web.externalUrl", "video.example.com", "/web/externalUrl"),
        ("web.grafanaUrl", "grafana.example.com", "/web/grafanaUrl"),
        ("web.grafanaUrl", 'https://grafana.example.com/"x', "/web/grafanaUrl"),
        ("serviceMonitor.interval", "soon", "/serviceMonitor/interval"),
        ("serviceMonitor.enabled", "true", "/serviceMonitor/enabled"),
        ("podMonitor.scheme", "ftp", "/podMonitor/scheme"),
        ("podDisruptionBudget.maxUnavailable", "half", "/podDisruptionBudget/maxUnavailable"),
        ("ingress.hosts", [{"host": "x"}], "/ingress/hosts/0"),
        ("ingress.hosts", [{"host": "x", "paths": [{"path": "x"}]}], "/ingress/hosts/0/paths/0"),
        ("commonLabels", {"stage": 1}, "/commonLabels/stage"),
        ("extraArgs", "--web.enable-lifecycle", "/extraArgs"),
        ("prometheusRule.settings", {"min_failure": 1}, "'min_failure'"),
        ("prometheusRule.settings", {"success_objective": 1.5}, "/settings/success_objective"),
        ("prometheusRule.settings", {"success_objective": "99%"}, "/settings/success_objective"),
        ("prometheusRule.settings", {"queue_growing_for": "long"}, "/settings/queue_growing_for"),
        ("prometheusRule.settings", {"grafana_url": "grafana"}, "/settings/grafana_url"),
        ("prometheusRule.disabledAlerts", ["TranscodingTaskfailed"], "/prometheusRule/disabledAlerts/0"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(name: str, content: Any, named: str) -> None:
    assert named in refusal(at(tuple(name.split(".")), content))


@pytest.mark.parametrize(
    "path",
    [
        "metrics",
        "/-/healthy",
        "/-",
        "/api",
        "/api/v1",
        "/runbooks/",
        "/static/x",
        "/a//b",
        "/<this>",
        "/a b",
        "/é",
    ],
)
def test_a_path_where_the_exporter_would_not_show_its_metrics_is_refused(path: str) -> None:
    assert "/web/telemetryPath" in refusal({"web": {"telemetryPath": path}})
    assert not is_telemetry_path(path)


@pytest.mark.parametrize("path", ["/", "/metrics", "/metrics/", "/apis", "/-x", "/probe/~all_of.them"])
def test_a_path_where_it_would_is_taken(path: str) -> None:
    assert objects({"web": {"telemetryPath": path}})
    assert is_telemetry_path(path)


def test_the_linter_names_it_too() -> None:
    assert any("/service/port" in said for said in findings({"service": {"port": "http"}}))


# --- In the configuration ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"pol": {}}, "'pol'"),
        ({"poll": {"timeout": "10 seconds"}}, "/config/poll/timeout"),
        ({"poll": {"timeout": 10}}, "/config/poll/timeout"),
        ({"poll": {"concurrency": 0}}, "/config/poll/concurrency"),
        ({"poll": {"stall_after": {"queued": "long"}}}, "/config/poll/stall_after/queued"),
        ({"metrics": {"per_task": "yes"}}, "/config/metrics/per_task"),
        ({"metrics": {"duration_buckets": "10s"}}, "/config/metrics/duration_buckets"),
        ({"metrics": {"task_label": "name"}}, "/config/metrics/task_label"),
        ({"livepeer": {"name": "studio"}}, "/config/livepeer"),
        ({"livepeer": [{"api_key_file": "k"}]}, "missing property 'name'"),
        ({"livepeer": [{"name": "studio", "api_key_fil": "k"}]}, "'api_key_fil'"),
        ({"livepeer": [{"name": "studio", "task_types": ["uplaod"]}]}, "/config/livepeer/0/task_types/0"),
        ({"qencode": [{"name": "vod", "task_tokens": "token"}]}, "/config/qencode/0/task_tokens"),
    ],
)
def test_a_mistake_in_the_configuration_is_refused_before_a_pod_meets_it(config: Values, named: str) -> None:
    assert named in refusal(merged(LIVEPEER, {"config": config}))


def test_every_key_of_the_configuration_that_the_readme_shows_is_taken() -> None:
    text = (ROOT / "README.md").read_text().partition("All keys, with their defaults:")[2]
    config = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])

    assert {"poll", "metrics", "storage", "livepeer", "qencode"} <= config.keys()
    assert objects({"existingSecret": "keys", "config": config})


# --- Taken away: to Helm, null takes a default away, and a key with nothing behind it is null -------------


def is_sound(values: Values) -> bool:
    """Whether there are objects, and Kubernetes would take them all."""
    for found in objects(values):
        check(found, KUBERNETES[-1])
    return True


@pytest.mark.parametrize("value", DECLARED, ids=lambda value: value.name)
def test_without_its_default_a_value_is_refused_by_its_name_or_does_no_harm(value: Value) -> None:
    without = at(value.path, None)
    section = f"/{'/'.join(value.path[:-1])}".rstrip("/")
    for values in (without, merged(CASES["everything"], without)):
        refused = ""
        try:
            assert is_sound(values)
        except helm_python.HelmError as error:
            refused = str(error)
        named = f"at '{section}': missing property '{value.path[-1]}'"
        assert not refused or named in refused or f" {value.name}: " in refused


@pytest.mark.parametrize(
    "value",
    [each for each in SETTABLE if isinstance(each.default, list | dict)],
    ids=lambda value: value.name,
)
def test_an_empty_list_or_mapping_does_no_harm(value: Value) -> None:
    needed = (
        "persistence.accessModes",
        "ingress.hosts",
        "httpRoute.parentRefs",
        "serviceMonitor.tlsConfig",
    )
    if value.name not in needed:
        # Values are laid over one another, and to lay an empty mapping over another changes nothing.
        base = json.loads(json.dumps(CASES["everything"]))
        above = base
        for key in value.path[:-1]:
            above = above.setdefault(key, {})
        above[value.path[-1]] = type(value.default)()
        assert is_sound(base)


# --- Together ----------------------------------------------------------------------------------------------


OFF: Values = {"enabled": False}
ON: Values = {"enabled": True}
TWO: Values = {**KEPT, "sharding": {"replicas": 2}}
POSTGRESQL: Values = {"config": {"storage": {"url": "postgresql://user@host/name"}}}
GATEWAY: Values = {**ON, "parentRefs": [{"name": "public"}]}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"existingSecret": "a", "secret": {"b": "c"}}, "existingSecret and secret"),
        ({"config": {"poll": {"timeout": "5s"}}}, "config.qencode or config.livepeer"),
        ({"sharding": {"replicas": 2}}, "sharding.replicas"),
        ({**TWO, "persistence": {"existingClaim": "x"}}, "persistence.existingClaim"),
        (merged(TWO, POSTGRESQL), "config.storage.url"),
        (
            {
                **KEPT,
                "sharding": {"replicas": 0},
                "persistence": {"retentionPolicy": {"whenScaled": "Delete"}},
            },
            "sharding.replicas: 0 would delete the ledgers",
        ),
        ({"serviceMonitor": ON, "podMonitor": ON}, "scraped twice"),
        ({"serviceMonitor": ON, "service": OFF}, "serviceMonitor.enabled needs service.enabled"),
        ({"ingress": ON, "service": OFF}, "ingress.enabled needs service.enabled"),
        ({"httpRoute": GATEWAY, "service": OFF}, "httpRoute.enabled needs service.enabled"),
        ({"httpRoute": ON}, "httpRoute.parentRefs"),
        ({"ingress": {**ON, "hosts": []}}, "ingress.hosts"),
        ({"service": {"nodePort": 30477}}, "service.nodePort"),
        ({"fullnameOverride": "1st"}, "/fullnameOverride"),
        (
            {"web": {"config": {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}}}},
            "web.existingSecret",
        ),
        (LIVEPEER, "config.livepeer[0].api_key_file: there is no file livepeer.key"),
        ({**LIVEPEER, "secret": {"livepeer.kye": "k"}}, "config.livepeer[0].api_key_file"),
        (
            {"config": {"qencode": [{"name": "vod", "task_tokens_file": "tokens.json"}]}},
            "config.qencode[0].task_tokens_file",
        ),
        (
            {"secret": {"k": "k"}, "config": {"livepeer": [{"name": "a", "api_key_env": "KEY"}]}},
            "config.livepeer[0].api_key_env: there is no variable KEY",
        ),
        (
            {"config": {"livepeer": [{"name": "a", "api_key_env": "KEY"}]}},
            "config.livepeer[0].api_key_env: there is no variable KEY",
        ),
        (
            merged(LIVEPEER, {"secret": {"livepeer.key": "k", "config.yml": "x"}}),
            "secret: its key config.yml",
        ),
        ({"secret": {"config.yml": "x"}}, "secret: its key config.yml"),
        ({"secret": {"livepeer.key": "k"}}, "secret: without config, only its keys LIVEPEER_API_KEY and"),
        (
            merged(KEPT, {"config": {"livepeer": [*KEPT["config"]["livepeer"] * 2]}}),
            "config.livepeer[1].name: another account is called studio",
        ),
        (merged(KEPT, {"config": {"storage": {"url": "sqlite:////var/ledger.db"}}}), "config.storage.url"),
    ],
)
def test_values_that_do_not_go_together_are_refused_and_named(values: Values, named: str) -> None:
    assert named in refusal(values)


@pytest.mark.parametrize(
    "values",
    [
        {"secret": {"QENCODE_TASK_TOKENS": "token", "more": "x"}},
        {"secret": {"ca.crt": "x"}, "extraVolumes": [{"name": "ca", "secret": {"secretName": "tx"}}]},
        {"secret": {"URL": "x"}, "extraEnvFrom": [{"secretRef": {"name": "tx-transcoding-exporter"}}]},
        {
            "config": {"livepeer": [{"name": "a", "api_key_env": "KEY"}]},
            "extraEnv": [{"name": "KEY", "value": "k"}],
        },
    ],
)
def test_a_secret_of_which_something_is_read_is_taken(values: Values) -> None:
    assert is_sound(values)


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
@pytest.mark.parametrize(
    ("interval", "timeout", "fits"),
    [
        ("30s", "20s", True),
        ("1m", "60s", True),
        ("1d", "23h59m59s999ms", True),
        ("", "1h", True),
        ("30s", "31s", False),
        ("1m30s", "1m30s1ms", False),
        ("59m", "1h", False),
    ],
)
def test_a_scrape_that_may_take_longer_than_the_interval_is_refused_as_the_operator_would_do_in_silence(
    monitor: str, interval: str, timeout: str, fits: bool
) -> None:
    values = {monitor: {"enabled": True, "interval": interval, "scrapeTimeout": timeout}}
    if fits:
        assert is_sound(values)
    else:
        assert f"{monitor}.scrapeTimeout: {timeout} is longer" in refusal(values)
