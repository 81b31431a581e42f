"""The chart where clusters and releases are out of the ordinary."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.helm import (
    CHART,
    KUBERNETES,
    NAMESPACE,
    Object,
    Values,
    chart,
    check,
    container,
    merged,
    notes,
    objects,
    one,
    workload,
)
from tests.helm_values import CASES, WATCHING

EVERYTHING = CASES["everything"]
SHARDED = CASES["sharded"]


def released_as(name: str, values: Values) -> list[Object]:
    """What a release of a name has."""
    helm_python.validate_release_name(name)
    texts = chart().render(dict(values), name=name, namespace=NAMESPACE)
    rendered = [text for path, text in texts.items() if not path.endswith("NOTES.txt")]
    return [found for text in rendered for found in yaml.safe_load_all(text) if found]


# --- Names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tx", "v1.2", "eu.west", "a" * 53, "a" * 51 + "-b", "x.transcoding-exporter.y", "a" * 30 + ".b"]
)
def test_whatever_a_release_is_called_services_and_labels_are_what_kubernetes_wants(name: str) -> None:
    for found in released_as(name, SHARDED):
        check(found, KUBERNETES[-1])
        labels = {**found["metadata"]["labels"], "pod": found["metadata"]["name"] + "-0"}
        if found["kind"] in ("StatefulSet", "Service"):
            assert all(part.isalnum() for part in found["metadata"]["name"].split("-")), found["metadata"]
            assert max(map(len, labels.values())) <= 63


def test_a_name_that_no_service_may_have_is_refused_with_the_remedy() -> None:
    with pytest.raises(helm_python.HelmError, match=r"fullnameOverride: .* 1tx-transcoding-exporter"):
        released_as("1tx", {})


def test_two_releases_in_a_namespace_have_nothing_in_common() -> None:
    def names(release: str) -> set[tuple[str, str]]:
        return {
            (each["kind"], each["metadata"]["name"])
            for each in released_as(release, {**EVERYTHING, "serviceAccount": {}})
        }

    def pods_of(release: str) -> Mapping[str, str]:
        [found] = [each for each in released_as(release, SHARDED) if each["kind"] == "StatefulSet"]
        return dict(found["spec"]["selector"]["matchLabels"])

    assert not names("one") & names("two")
    assert pods_of("one") != pods_of("two")


def test_it_can_be_part_of_another_chart_that_switches_it_on(tmp_path: Path) -> None:
    whole = tmp_path / "video"
    shutil.copytree(CHART, whole / "charts" / CHART.name)
    dependency = {"name": CHART.name, "version": "0.1.0", "condition": f"{CHART.name}.enabled"}
    about = {"apiVersion": "v2", "name": "video", "version": "1.0.0", "dependencies": [dependency]}
    (whole / "Chart.yaml").write_text(yaml.safe_dump(about))
    values = {CHART.name: {"enabled": True, **WATCHING}, "global": {"region": "eu"}}
    with helm_python.Chart.load(whole) as loaded:
        loaded.validate_schema(values)
        texts = loaded.render(values, name="video", namespace=NAMESPACE)

    assert any("kind: StatefulSet" in text for text in texts.values())


# --- What it is run with -----------------------------------------------------------------------------------


def test_rendered_twice_it_is_the_same_to_the_letter() -> None:
    first, second = (chart().render(dict(EVERYTHING), name="tx", namespace="media") for _ in range(2))

    assert first == second


def test_an_annotation_of_the_user_s_cannot_hide_that_the_configuration_has_changed() -> None:
    def checksum(values: Values) -> Any:
        return workload(values)["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    mine: Values = {"podAnnotations": {"checksum/config": "mine"}}
    changed: Values = {"config": {"poll": {"timeout": "5s"}}}

    assert checksum(merged(WATCHING, mine)) == checksum(WATCHING)
    assert checksum(merged(WATCHING, mine, changed)) != checksum(WATCHING)


@pytest.mark.parametrize(
    ("web", "expected"),
    [
        ({}, "HTTP"),
        ({"config": {"http_server_config": {"http2": False}}}, "HTTP"),
        ({"existingSecret": "tls", "config": {"tls_server_config": {"cert_file": "a"}}}, "HTTPS"),
        ({"existingSecret": "tls"}, None),
        ({"config": {"basic_auth_users": {"prometheus": "$2y$10$hash"}}}, None),
        ({"config": {"rate_limit": {"interval": "1s", "burst": 1}}}, None),
        (
            {
                "existingSecret": "tls",
                "config": {"tls_server_config": {"client_auth_type": "RequireAndVerifyClientCert"}},
            },
            None,
        ),
    ],
)
def test_the_kubelet_asks_for_a_page_where_it_can_get_one_and_else_for_a_connection(
    web: Values, expected: str | None
) -> None:
    probes = [container({"web": web})[name] for name in ("livenessProbe", "readinessProbe", "startupProbe")]

    assert [probe.get("httpGet", {}).get("scheme") for probe in probes] == [expected] * 3
    assert all(("tcpSocket" in probe) == (expected is None) for probe in probes)


def test_services_have_the_ip_families_that_are_asked_for() -> None:
    both: Values = {"service": {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}}
    services = [each["spec"] for each in objects(merged(SHARDED, both)) if each["kind"] == "Service"]

    assert [each["ipFamilyPolicy"] for each in services] == ["RequireDualStack"] * 2
    assert [each["ipFamilies"] for each in services] == [["IPv6", "IPv4"]] * 2


def test_names_can_be_resolved_where_their_servers_listen_elsewhere() -> None:
    policy: Values = {"networkPolicy": {"enabled": True, "egress": {"dnsPorts": [5353]}}}
    names, _ = one("NetworkPolicy", policy)["spec"]["egress"]

    assert names == {"ports": [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]}


def test_a_platform_may_choose_the_user() -> None:
    chosen: Values = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
    spec = workload(merged(WATCHING, chosen))["spec"]["template"]["spec"]

    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


# --- What an upgrade may change ----------------------------------------------------------------------------

FREE = {
    "replicas",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "revisionHistoryLimit",
}
"""What Kubernetes lets a StatefulSet change."""


@pytest.mark.parametrize(
    "changed",
    [
        {"sharding": {"replicas": 2}},
        {"sharding": {"replicas": 0}},
        {"image": {"tag": "9.9.9"}},
        {"commonLabels": {"team": "audio"}, "podLabels": {"mesh": "on"}},
        {"persistence": {"retentionPolicy": {"whenScaled": "Delete"}}},
        {"config": {"poll": {"timeout": "5s"}}},
        {"service": {"port": 80}, "web": {"routePrefix": "/tx"}},
    ],
)
def test_an_upgrade_changes_nothing_that_kubernetes_would_refuse(changed: Values) -> None:
    before, after = workload(SHARDED)["spec"], workload(merged(SHARDED, changed))["spec"]

    assert {key for key in before | after if before.get(key) != after.get(key)} <= FREE


@pytest.mark.parametrize("name", ["size", "storageClassName", "accessModes", "annotations", "selector"])
def test_the_readme_names_what_an_upgrade_cannot_change(name: str) -> None:
    other = {
        "size": "2Gi",
        "storageClassName": "fast",
        "accessModes": ["ReadWriteOncePod"],
        "annotations": {"a": "b"},
        "selector": {"matchLabels": {"a": "b"}},
    }
    changed = workload(merged(SHARDED, {"persistence": {name: other[name]}}))["spec"]
    section = (CHART / "README.md").read_text().partition("## What can't be changed")[2].partition("\n## ")[0]

    assert changed["volumeClaimTemplates"] != workload(SHARDED)["spec"]["volumeClaimTemplates"]
    assert f".{name}`" in section


# --- What whoever installs it is warned of -----------------------------------------------------------------


def test_the_notes_warn_that_scaling_to_nothing_deletes_the_ledgers_only_where_it_does() -> None:
    delete: Values = {"persistence": {"retentionPolicy": {"whenScaled": "Delete"}}}
    warning = "scaled to 0, even for a moment, it loses the ledgers of all shards"

    assert warning in notes(merged(WATCHING, delete))
    assert warning not in notes(WATCHING)
    assert warning not in notes(merged(WATCHING, delete, {"persistence": {"existingClaim": "ledger"}}))


def test_the_notes_warn_of_runbooks_that_are_down_with_the_exporter_until_they_are_elsewhere() -> None:
    ruled: Values = {"prometheusRule": {"enabled": True}}
    reached: Values = {"web": {"externalUrl": "https://video.example.com/tx"}}
    elsewhere: Values = {"prometheusRule": {"settings": {"runbooks_url": "https://wiki.example.com/tx"}}}
    warning = "when it is down, so are they"

    assert warning in notes(ruled)
    assert warning in notes(merged(ruled, reached))
    assert "prometheusRule.settings.runbooks_url" in notes(ruled).partition(warning)[2]
    assert warning not in notes(merged(ruled, elsewhere))
    assert "https://wiki.example.com/tx" in notes(merged(ruled, elsewhere))
    assert warning not in notes({})


def test_the_notes_of_shards_tell_how_to_change_their_number_and_what_stays() -> None:
    told = notes(SHARDED)

    assert "helm upgrade tx CHART --namespace media --reuse-values --set sharding.replicas=0 --wait" in told
    assert "scale" not in told
    assert "delete pvc ledger-tx-transcoding-exporter-NUMBER" in told
    assert "delete pvc" not in notes(WATCHING)


@pytest.mark.parametrize(
    ("budget", "replicas", "blocks"),
    [
        ({}, 1, False),
        ({"minAvailable": 1}, 1, True),
        ({"minAvailable": 1}, 3, False),
        ({"minAvailable": 3}, 3, True),
        ({"minAvailable": "50%"}, 1, True),
        ({"minAvailable": "50%"}, 3, False),
        ({"maxUnavailable": "10%"}, 1, False),
        ({"maxUnavailable": 0}, 3, True),
        ({"maxUnavailable": None, "minAvailable": 0}, 1, False),
    ],
)
def test_the_notes_warn_of_a_budget_that_no_node_could_be_drained_under(
    budget: Values, replicas: int, blocks: bool
) -> None:
    values = merged(WATCHING, {"sharding": {"replicas": replicas}})
    values = merged(values, {"podDisruptionBudget": {"enabled": True, **budget}})

    assert ("waits for ever" in notes(values)) == blocks
