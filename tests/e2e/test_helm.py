"""The chart by Helm's own engine: what it makes of values, and what Kubernetes would say to it."""

import shutil
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

import exporter
from helm.chart import generated
from tests.helm import (
    CHART,
    KUBERNETES,
    NAME,
    ROOT,
    Object,
    Values,
    check,
    container,
    files,
    findings,
    merged,
    notes,
    objects,
    one,
    pod,
    pods,
    rendered_by,
    workload,
)
from tests.helm_values import CASES, EXPOSED, MONITORED, NOTHING, WATCHING

case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)


def kinds(values: Values) -> list[str]:
    return sorted({each["kind"] for each in objects(values)})


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def selector_of(found: Object) -> Mapping[str, str]:
    """What an object knows the pods by."""
    spec = found["spec"]
    if found["kind"] == "Service":
        return dict(spec["selector"])
    return dict(spec["podSelector" if found["kind"] == "NetworkPolicy" else "selector"]["matchLabels"])


# --- What is made, and whether it is valid -----------------------------------------------------------------


@case
def test_the_linter_has_nothing_to_say(values: Values) -> None:
    assert findings(values) == []


@pytest.mark.parametrize("version", KUBERNETES)
@case
def test_every_object_is_what_kubernetes_or_its_custom_resource_wants(values: Values, version: str) -> None:
    for found in objects(values):
        check(found, version)


@case
def test_no_two_objects_have_the_same_name(values: Values) -> None:
    names = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in objects(values)
    ]

    assert len(names) == len({*names})


def test_as_it_comes_it_is_a_demo_that_keeps_nothing_and_nothing_else() -> None:
    assert kinds({}) == ["Deployment", "Pod", "Service", "ServiceAccount"]
    assert kinds(NOTHING) == ["Deployment"]
    assert container()["args"][0] == "demo"
    assert "IT RUNS THE DEMO" in notes()


def test_everything_switched_on_is_everything_there_is() -> None:
    assert kinds(CASES["everything"]) == [
        "ConfigMap",
        "GrafanaDashboard",
        "HTTPRoute",
        "Ingress",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    ]


@pytest.mark.parametrize(
    ("values", "kind", "volume"),
    [
        ("defaults", "Deployment", None),
        ("watching", "StatefulSet", "claim template"),
        ("watching, kept by nobody", "Deployment", "emptyDir"),
        ("watching, kept on a claim", "StatefulSet", "persistentVolumeClaim"),
        ("watching, kept in PostgreSQL", "Deployment", None),
        ("sharded", "StatefulSet", "claim template"),
        ("sharded, kept by nobody", "StatefulSet", "emptyDir"),
        ("stopped", "StatefulSet", "claim template"),
        ("stopped, kept by nobody", "StatefulSet", "emptyDir"),
    ],
)
def test_the_ledger_is_on_a_volume_of_the_pod_if_it_is_a_file(
    values: str, kind: str, volume: str | None
) -> None:
    found = workload(CASES[values])
    mounted = [
        each["mountPath"] for each in container(CASES[values])["volumeMounts"] if each["name"] == "ledger"
    ]
    volumes = [*({*each} - {"name"} for each in pod(CASES[values])["volumes"] if each["name"] == "ledger")]
    templates = [{"claim template"} for _ in found["spec"].get("volumeClaimTemplates", ())]

    assert found["kind"] == kind
    assert mounted == ([] if volume is None else ["/data"])
    assert [*volumes, *templates] == ([] if volume is None else [{volume}])
    assert ("--storage.path=/data/ledger.db" in container(CASES[values])["args"]) == (volume is not None)


def test_one_writes_a_ledger_at_a_time() -> None:
    assert workload(CASES["watching, kept in PostgreSQL"])["spec"]["strategy"] == {"type": "Recreate"}
    assert workload(WATCHING)["spec"]["replicas"] == 1


# --- Shards ------------------------------------------------------------------------------------------------


def test_a_shard_learns_from_its_pod_which_it_is() -> None:
    variables = {each["name"]: each for each in container(CASES["sharded"])["env"]}

    assert workload(CASES["sharded"])["spec"]["replicas"] == 3
    assert variables["TRANSCODING_EXPORTER_TOTAL_SHARDS"]["value"] == "3"
    assert variables["TRANSCODING_EXPORTER_SHARD"]["valueFrom"] == {
        "fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}
    }


def test_what_is_not_shared_knows_nothing_of_shards() -> None:
    assert "SHARD" not in str(container(WATCHING))


def test_no_shard_waits_for_another() -> None:
    assert workload(CASES["sharded"])["spec"]["podManagementPolicy"] == "Parallel"


# --- Who finds whom ----------------------------------------------------------------------------------------


@case
def test_services_policies_and_monitors_find_the_pods_of_the_exporter_and_not_that_of_the_test(
    values: Values,
) -> None:
    rendered = objects(values)
    exporting = workload(values)["spec"]["template"]["metadata"]["labels"]
    testing = [each["metadata"]["labels"] for each in rendered if each["kind"] == "Pod"]
    finders = ("StatefulSet", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "PodMonitor")
    for found in rendered:
        if found["kind"] in finders:
            assert selects(selector_of(found), exporting), found["kind"]
            assert not any(selects(selector_of(found), labels) for labels in testing), found["kind"]


def test_a_service_monitor_finds_one_service_or_each_pod_would_be_scraped_twice() -> None:
    rendered = objects({**WATCHING, "serviceMonitor": {"enabled": True}})
    services = [each["metadata"] for each in rendered if each["kind"] == "Service"]
    monitor = one("ServiceMonitor", {**WATCHING, "serviceMonitor": {"enabled": True}})

    assert {each["name"] for each in services} == {NAME, f"{NAME}-headless"}
    assert [each["name"] for each in services if selects(selector_of(monitor), each["labels"])] == [NAME]
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["media"]}


@pytest.mark.parametrize(("kind", "value", "key"), [
    ("ServiceMonitor", "serviceMonitor", "endpoints"),
    ("PodMonitor", "podMonitor", "podMetricsEndpoints"),
])  # fmt: skip
def test_our_label_endpoint_wins_over_that_of_the_operator_and_an_instance_is_a_pod(
    kind: str, value: str, key: str
) -> None:
    [endpoint] = one(
        kind, {value: {"enabled": True, "relabelings": [{"action": "labeldrop", "regex": "x"}]}}
    )["spec"][key]

    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"] == [
        {"action": "labeldrop", "regex": "endpoint"},
        {"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"},
        {"action": "labeldrop", "regex": "x"},
    ]


def test_a_network_policy_lets_the_test_in_beside_those_it_names() -> None:
    [rule] = one("NetworkPolicy", EXPOSED)["spec"]["ingress"]
    [testing] = [each["metadata"]["labels"] for each in objects(EXPOSED) if each["kind"] == "Pod"]
    peers = [each["podSelector"]["matchLabels"] for each in rule["from"] if "podSelector" in each]

    assert [selects(peer, testing) for peer in peers] == [True]
    assert rule["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_a_network_policy_lets_nothing_out_but_names_and_https() -> None:
    egress = one("NetworkPolicy", {"networkPolicy": {"enabled": True}})["spec"]["egress"]

    assert [(port["port"], port["protocol"]) for rule in egress for port in rule["ports"]] == [
        (53, "UDP"),
        (53, "TCP"),
        (443, "TCP"),
    ]


# --- Rights ------------------------------------------------------------------------------------------------


@case
def test_every_pod_is_restricted_and_more_than_that(values: Values) -> None:
    harmless = {"configMap", "projected", "secret", "emptyDir", "persistentVolumeClaim"}
    for _, spec in pods(objects(values)):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert {kind for each in spec.get("volumes", ()) for kind in each.keys() - {"name"}} <= harmless
        assert spec["automountServiceAccountToken"] is False
        for each in spec["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPort" in port for port in each.get("ports", ()))


def test_no_variable_that_kubernetes_makes_of_a_service_can_be_taken_for_a_flag() -> None:
    assert all(spec["enableServiceLinks"] is False for _, spec in pods(objects(CASES["everything"])))


def test_the_service_account_has_no_token_and_no_role() -> None:
    assert one("ServiceAccount")["automountServiceAccountToken"] is False
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {*kinds(CASES["everything"])}


def test_what_is_secret_is_in_secrets_only() -> None:
    values: Values = {
        "secret": {"livepeer.key": "s3cret"},
        "web": {"config": {"basic_auth_users": {"a": "$2y$s3cret"}}},
        "config": {
            "livepeer": [
                {"name": "by-file", "api_key_file": "livepeer.key"},
                {"name": "plain", "api_key": "s3cret"},
            ],
            "qencode": [
                {"name": "vod", "task_tokens": ["s3cret"]},
                {"name": "live", "task_tokens_http": "https://user:s3cret@tokens.example.com/list"},
            ],
            "storage": {"url": "postgresql://tx:s3cret@pg/tx"},
        },
    }
    made = [each for each in objects(values) if each["kind"] == "Secret"]
    open_ones = [each for each in objects(values) if each["kind"] != "Secret"]
    config = one("Secret", values, f"{NAME}-config")["data"]["config.yml"]

    assert {each["metadata"]["name"] for each in made} == {NAME, f"{NAME}-config", f"{NAME}-web"}
    assert yaml.safe_load(b64decode(config)) == values["config"]
    assert "s3cret" not in str(open_ones)
    assert "s3cret" not in notes(values)


# --- Details that users of charts rely on -------------------------------------------------------------------


@case
def test_every_object_has_the_common_labels_and_annotations_and_is_still_found(values: Values) -> None:
    common: Values = {"commonLabels": {"team": "video"}, "commonAnnotations": {"owner": "video"}}
    for found in objects(merged(values, common, {"extraObjects": []})):
        assert found["metadata"]["labels"]["team"] == "video", found["kind"]
        assert found["metadata"]["annotations"]["owner"] == "video", found["kind"]
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == "transcoding-exporter"


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, f"transcoding-exporter:{exporter.__version__}"),
        ({"repository": "r.example/video/tx", "tag": "1.2"}, "r.example/video/tx:1.2"),
        ({"repository": "tx", "tag": "1.2", "digest": f"sha256:{'a' * 64}"}, f"tx@sha256:{'a' * 64}"),
    ],
)
def test_the_image_is_the_one_that_is_named(image: Mapping[str, str], reference: str) -> None:
    assert {each["image"] for _, spec in pods(objects({"image": image})) for each in spec["containers"]} == {
        reference
    }


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("config", {"config": {"poll": {"timeout": "5s"}}}),
        ("secret", {"existingSecret": "", "secret": {"livepeer.key": "other", "tokens.json": "[]"}}),
        ("web config", {"web": {"config": {"http_server_config": {"http2": False}}}}),
    ],
)
def test_a_change_of_what_the_exporter_reads_rolls_the_pods(name: str, changed: Values) -> None:
    def annotations(values: Values) -> Any:
        return workload(values)["spec"]["template"]["metadata"]["annotations"]

    assert annotations(WATCHING) == annotations({**WATCHING})
    assert annotations(merged(WATCHING, changed)) != annotations(WATCHING), name


def test_what_kubernetes_refuses_to_change_does_not_change_with_labels_or_versions() -> None:
    [claim] = workload(CASES["everything"])["spec"]["volumeClaimTemplates"]

    assert (
        claim["metadata"]["labels"]
        == selector_of(workload(WATCHING))
        == selector_of(workload(CASES["everything"]))
    )


def test_long_names_stay_within_what_kubernetes_allows() -> None:
    values = {
        **WATCHING,
        "fullnameOverride": "a-name-that-goes-on-and-on-until-nobody-can-remember-it-any-more",
    }
    rendered = [each for each in objects(values) if each["kind"] in ("StatefulSet", "Service")]

    # Kubernetes adds eleven characters to the first, and labels have 63 at most.
    assert max(len(each["metadata"]["name"]) for each in rendered if each["kind"] == "StatefulSet") <= 52
    assert max(len(each["metadata"]["name"]) for each in rendered) <= 63


def test_a_probe_with_a_handler_of_its_own_replaces_ours() -> None:
    assert container({"livenessProbe": {"exec": {"command": ["true"]}}})["livenessProbe"].keys() & {
        "exec",
        "httpGet",
        "tcpSocket",
    } == {"exec"}


def test_the_notes_tell_what_is_watched_and_what_is_not_switched_on() -> None:
    assert "    livepeer/studio\n    qencode/vod\n" in notes(WATCHING)
    assert "3 shards share their tasks" in notes(CASES["sharded"])
    assert "prometheusRule.enabled=true" in notes(WATCHING)
    assert "Not switched on yet" not in notes(merged(WATCHING, MONITORED))
    assert "port-forward service/tx-transcoding-exporter 10477:10477" in notes(WATCHING)
    assert "https://video.example.com/tx" in notes(EXPOSED)


def test_the_example_of_the_chart_s_readme_is_good() -> None:
    text = (CHART / "README.md").read_text()
    example = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])

    assert {"StatefulSet", "ServiceMonitor", "PrometheusRule"} <= {*kinds(example)}
    assert findings(example) == []


# --- The chart as files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", generated())
def test_what_is_generated_is_what_is_committed(name: str) -> None:
    assert (CHART / name).read_text() == generated()[name], "run: python -m helm"


def test_chart_and_exporter_have_one_version() -> None:
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (metadata["version"], metadata["appVersion"]) == (exporter.__version__, exporter.__version__)


def test_a_packed_chart_holds_the_files_that_the_links_lead_to(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    values = dict(CASES["everything"])
    with helm_python.Chart.load(archive) as packed:
        assert rendered_by(packed, values) == files(values)


def test_the_links_lead_to_the_rules_and_dashboards_of_this_repository(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "chart", symlinks=True)

    assert (CHART / "rules").resolve() == ROOT / "exporter" / "mixin" / "templates"
    assert (CHART / "dashboards").resolve() == ROOT / "grafana" / "dashboards"
    assert (tmp_path / "chart" / "rules").is_symlink()
