"""What the chart makes, run for real: the exporter, the rules and dashboards, and the helm test."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from exporter.mixin import rules
from exporter.simulator import Simulator
from tests.helm import (
    NAME,
    NAMESPACE,
    ROOT,
    Object,
    Pod,
    Values,
    command,
    container,
    merged,
    objects,
    one,
    started,
)
from tests.pki import HASH, PASSWORD, Authority
from tests.scraping import scrape

TOKENS = 5
RULES = ROOT / "prometheus" / "rules"
DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
RULED: Values = {"prometheusRule": {"enabled": True}}


def accounts(simulator: Simulator) -> Values:
    """Three accounts: one with a key in a file, one with a key in a variable, one with tokens in a file."""
    livepeer = {"base_url": simulator.livepeer_url}
    return {
        "existingSecret": "keys",
        "config": {
            "poll": {"min_poll_interval": 0, "stall_after": {"queued": "30m"}},
            "metrics": {"max_task_series": 10_000_000, "duration_buckets": ["30s", "5m"]},
            "livepeer": [
                {"name": "by-file", "api_key_file": "livepeer.key", **livepeer},
                {"name": "by-variable", "api_key_env": "LIVEPEER_KEY", **livepeer},
            ],
            "qencode": [
                {
                    "name": "vod",
                    "task_tokens_file": "tokens.json",
                    "base_url": simulator.qencode_url,
                    "allowed_hosts": ["127.0.0.1"],
                }
            ],
        },
    }


def keys(simulator: Simulator, tokens: list[str]) -> Mapping[str, Mapping[str, str]]:
    """The Secret that the accounts need, with more in it."""
    return {
        "keys": {
            "livepeer.key": simulator.livepeer_key,
            "LIVEPEER_KEY": simulator.livepeer_key,
            "tokens.json": json.dumps([{"targets": tokens, "labels": {"customer": "acme"}}]),
            "config.yml": "not ours: ours wins",
        }
    }


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="module")
def exporter_pod(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    tokens = [simulator.qencode.add("encoding") for _ in range(TOKENS)]
    with started(accounts(simulator), tmp_path_factory.mktemp("root"), keys(simulator, tokens)) as pod:
        yield pod


def scraped_by_helm_test(port: int, values: Values | None = None) -> subprocess.CompletedProcess[str]:
    """Run what `helm test` runs, against a port of this machine."""
    [testing] = one("Pod", values, f"{NAME}-test")["spec"]["containers"]
    _, *words, host, _, path, scheme, metric = testing["command"]
    assert host == NAME
    return subprocess.run(
        [sys.executable, *words, "127.0.0.1", str(port), path, scheme, metric],
        capture_output=True,
        text=True,
        timeout=30,
    )


# --- The exporter ------------------------------------------------------------------------------------------


def test_the_exporter_starts_with_what_the_chart_gives_it_and_watches_all_accounts(exporter_pod: Pod) -> None:
    assert requests.get(exporter_pod.site + exporter_pod.probe, timeout=10).text == "Ready.\n"

    answer = scrape(f"{exporter_pod.site}/metrics")

    assert answer.by("account", "transcoding_up") == {"by-file": 1, "by-variable": 1, "vod": 1}
    assert answer.by("account", "transcoding_task_info", customer="acme") == {"vod": TOKENS}
    assert {dict(labels)["le"] for labels in answer.samples["transcoding_task_duration_seconds_bucket"]} == {
        "30.0",
        "300.0",
        "+Inf",
    }


def test_the_ledger_is_written_on_its_volume(exporter_pod: Pod) -> None:
    scrape(f"{exporter_pod.site}/metrics")

    assert (exporter_pod.folder / "data" / "ledger.db").stat().st_size > 0


def test_the_configuration_passes_the_exporter_s_own_check(simulator: Simulator, tmp_path: Path) -> None:
    [program, _, config, *_], variables = command(accounts(simulator), tmp_path, keys(simulator, ["token"]))
    checked = subprocess.run(
        [program, "check-config", config.removeprefix("--config.file=")],
        capture_output=True,
        text=True,
        env=variables,
        timeout=30,
    )

    assert checked.returncode == 0, checked.stderr
    assert (tmp_path / "etc" / "transcoding-exporter" / "config.yml").exists()


def test_helm_test_passes_on_an_exporter_that_watches_and_shows_its_accounts(exporter_pod: Pod) -> None:
    done = scraped_by_helm_test(exporter_pod.port)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200 OK\n")
    assert 'transcoding_up{account="vod",provider="qencode"} 1.0' in done.stdout


def test_helm_test_fails_where_no_metrics_are(exporter_pod: Pod) -> None:
    done = scraped_by_helm_test(exporter_pod.port, {"web": {"telemetryPath": "/elsewhere"}})

    assert done.returncode == 1
    assert "/elsewhere shows no transcoding_up" in done.stderr


def test_helm_test_passes_at_a_shard_that_has_no_account(simulator: Simulator, tmp_path: Path) -> None:
    lone = {"livepeer": accounts(simulator)["config"]["livepeer"][:1], "qencode": []}
    values = merged(accounts(simulator), {"sharding": {"replicas": 2}, "config": lone})
    watched: list[str] = []
    for number in ("0", "1"):
        secrets = keys(simulator, [])
        with started(values, tmp_path / number, secrets, TRANSCODING_EXPORTER_SHARD=number) as pod:
            watched += scrape(f"{pod.site}/metrics").by("account", "transcoding_up")

            assert scraped_by_helm_test(pod.port, values).returncode == 0

    assert watched == ["by-file"]


def test_guarded_and_behind_a_proxy_it_starts_and_asks_for_a_password(
    simulator: Simulator, tmp_path: Path
) -> None:
    values = merged(
        accounts(simulator),
        {
            "web": {
                "externalUrl": "https://video.example.com/tx/",
                "config": {"basic_auth_users": {"prometheus": HASH}, "http_server_config": {"http2": False}},
            }
        },
    )
    with started(values, tmp_path, keys(simulator, ["token"])) as pod:
        metrics = f"{pod.site}/tx/metrics"

        assert requests.get(metrics, timeout=10).status_code == 401
        assert requests.get(metrics, timeout=10, auth=("prometheus", PASSWORD)).status_code == 200
        assert scraped_by_helm_test(pod.port, values).stdout == f"127.0.0.1:{pod.port} is open\n"
        assert "tcpSocket" in container(values)["livenessProbe"]
    user = {"username": {"name": "scrape", "key": "u"}, "password": {"name": "scrape", "key": "p"}}
    monitored = {**values, "serviceMonitor": {"enabled": True, "basicAuth": user}}
    [endpoint] = one("ServiceMonitor", monitored)["spec"]["endpoints"]
    assert endpoint["path"] == "/tx/metrics"
    assert pod.probe == ""


def test_encrypted_but_open_to_all_probes_and_helm_test_get_their_pages(
    simulator: Simulator, tmp_path: Path
) -> None:
    certificate, key = Authority(tmp_path).issue("tls", "localhost")
    files = {"tls.crt": certificate.read_text(), "tls.key": key.read_text(), "web.yml": "not ours: ours wins"}
    values = merged(
        accounts(simulator),
        {
            "web": {
                "existingSecret": "tls",
                "config": {"tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"}},
            }
        },
    )
    with started(values, tmp_path / "root", {**keys(simulator, ["token"]), "tls": files}) as pod:
        probe = container(values)["readinessProbe"]["httpGet"]
        url = f"{probe['scheme'].lower()}://localhost:{pod.port}{probe['path']}"

        assert requests.get(url, timeout=10, verify=str(tmp_path / "ca.pem")).text == "Ready.\n"
        assert scraped_by_helm_test(pod.port, values).stdout.startswith("200 OK\n")


def test_a_configuration_that_only_the_exporter_can_refuse_is_told_to_whoever_looks_at_the_pod(
    simulator: Simulator, tmp_path: Path
) -> None:
    values = accounts(simulator)
    values = {**values, "config": {**values["config"], "metrics": {"duration_buckets": ["5m", "5m"]}}}
    words, variables = command(values, tmp_path, keys(simulator, ["token"]))
    done = subprocess.run(words, capture_output=True, text=True, env=variables, timeout=30)

    assert done.returncode == 1
    assert "config.yml" in done.stderr
    assert "duration_buckets" in done.stderr
    assert container(values)["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_without_a_configuration_the_secret_s_variables_make_the_account(tmp_path: Path) -> None:
    with started(
        {"secret": {"QENCODE_TASK_TOKENS": "token"}, "web": {"routePrefix": "/tx"}}, tmp_path
    ) as pod:
        assert requests.get(pod.site + pod.probe, timeout=10).text == "Ready.\n"
        assert pod.probe == "/tx/-/ready"
        assert "qencode/default" in pod.process.stderr


def test_as_it_comes_it_runs_the_demo(tmp_path: Path) -> None:
    with started({}, tmp_path) as pod:
        answer = scrape(f"{pod.site}/metrics")

        assert answer.by("provider", "transcoding_up") == {"livepeer": 1, "qencode": 1}
        assert scraped_by_helm_test(pod.port).returncode == 0


# --- The rules ---------------------------------------------------------------------------------------------


def groups(values: Values) -> list[dict[str, Any]]:
    """The rules of the PrometheusRule."""
    found: list[dict[str, Any]] = one("PrometheusRule", values)["spec"]["groups"]
    return found


def alert(name: str, values: Values) -> Mapping[str, Any]:
    """One alert."""
    [found] = [rule for group in groups(values) for rule in group["rules"] if rule.get("alert") == name]
    return dict(found)


def promtool(tool: Callable[[str], str], values: Values, folder: Path) -> str:
    """What promtool says to the rules."""
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups(values)}))
    done = subprocess.run(
        [tool("promtool"), "check", "rules", path], capture_output=True, text=True, timeout=60
    )
    return done.stdout + done.stderr


def test_by_default_the_rules_are_those_of_the_repository() -> None:
    committed = [
        group for name in rules.FILES for group in yaml.safe_load((RULES / name).read_text())["groups"]
    ]

    assert groups(RULED) == committed


def test_promtool_finds_nothing_wrong_with_the_rules(tool: Callable[[str], str], tmp_path: Path) -> None:
    changed = {
        "min_failures": 7,
        "success_objective": 0.95,
        "slow_burn": 12.5,
        "queue_growing_for": "1h30m",
    }
    for values in (
        RULED,
        merged(RULED, {"prometheusRule": {"settings": changed, "additionalAlertLabels": {"a": "b"}}}),
    ):
        count = sum(len(group["rules"]) for group in groups(values))

        assert f"SUCCESS: {count} rules found" in promtool(tool, values, tmp_path)


def test_a_threshold_from_the_values_stands_in_its_alert() -> None:
    settings = {
        "min_failures": 7,
        "success_objective": 0.95,
        "slow_burn": 12.5,
        "queue_growing_for": "1h30m",
    }
    values = merged(RULED, {"prometheusRule": {"settings": settings}})

    assert "increase1h >= 7" in alert("TranscodingFailureRatioFastBurn", values)["expr"]
    assert "(1 - 0.95)" in alert("TranscodingFailureRatioFastBurn", values)["expr"]
    assert "> 12.5 * (1 - 0.95)" in alert("TranscodingFailureRatioSlowBurn", values)["expr"]
    assert alert("TranscodingQueueGrowing", values)["for"] == "1h30m"
    assert (
        groups(values)
        == yaml.safe_load(rules.rules({name: str(value) for name, value in settings.items()}))["groups"]
    )


def test_runbooks_are_where_people_reach_the_exporter_unless_they_are_said_to_be_elsewhere() -> None:
    reached = merged(RULED, {"web": {"externalUrl": "https://video.example.com/tx/"}})
    elsewhere = merged(
        reached, {"prometheusRule": {"settings": {"runbooks_url": "https://wiki.example.com/tx"}}}
    )

    def link(values: Values) -> str:
        return str(alert("TranscodingAccountDown", values)["annotations"]["runbook_url"])

    assert link(reached) == "https://video.example.com/tx/runbooks/TranscodingAccountDown"
    assert link(elsewhere) == "https://wiki.example.com/tx/TranscodingAccountDown"


@pytest.mark.parametrize(
    ("grafana", "of_the_rules", "page", "alerts"),
    [
        ("", "", "", "http://localhost:3000"),
        ("https://one/grafana/", "", "https://one/grafana/", "https://one/grafana"),
        ("", "https://two", "https://two", "https://two"),
        ("https://one", "https://two", "https://one", "https://two"),
    ],
)
def test_the_status_page_and_the_alerts_link_to_one_grafana_unless_each_is_told_its_own(
    grafana: str, of_the_rules: str, page: str, alerts: str
) -> None:
    settings = {"grafana_url": of_the_rules} if of_the_rules else {}
    values = merged(RULED, {"web": {"grafanaUrl": grafana}, "prometheusRule": {"settings": settings}})
    link = str(alert("TranscodingExporterAbsent", values)["annotations"]["dashboard_url"])
    flags = [each for each in container(values)["args"] if each.startswith("--web.grafana-url")]

    assert flags == ([f"--web.grafana-url={page}"] if page else [])
    assert link == f"{alerts}/d/transcoding-exporter"


def test_an_alert_can_be_left_out_and_the_others_labelled() -> None:
    added = {
        "disabledAlerts": ["TranscodingAccountDown"],
        "additionalAlertLabels": {"team": "video", "severity": "page"},
    }
    values = merged(RULED, {"prometheusRule": added})
    before = [rule for group in groups(RULED) for rule in group["rules"]]
    after = [rule for group in groups(values) for rule in group["rules"]]

    assert len(after) == len(before) - 1
    assert "TranscodingAccountDown" not in [rule.get("alert") for rule in after]
    assert {rule["labels"]["team"] for rule in after if "alert" in rule} == {"video"}
    # What an alert says of itself counts more; and what is recorded keeps its labels.
    assert {rule["labels"]["severity"] for rule in after if "alert" in rule} == {
        "info",
        "warning",
        "critical",
    }
    assert not any("labels" in rule for rule in after if "record" in rule)


# --- The dashboards ----------------------------------------------------------------------------------------


def maps(values: Values) -> list[Object]:
    return [each for each in objects(values) if each["kind"] == "ConfigMap"]


def test_the_dashboards_are_those_of_the_repository_byte_for_byte() -> None:
    found = {
        name: text for each in maps({"dashboards": {"enabled": True}}) for name, text in each["data"].items()
    }

    assert found == {path.name: path.read_text() for path in DASHBOARDS}
    assert len(found) == 3


def test_grafana_s_sidecar_finds_them_by_their_label() -> None:
    labels = [each["metadata"]["labels"] for each in maps({"dashboards": {"enabled": True}})]

    assert [each["grafana_dashboard"] for each in labels] == ["1", "1", "1"]


@pytest.mark.parametrize("namespace", ["", "grafana"])
def test_grafana_s_operator_is_led_to_the_same_files_beside_them(namespace: str) -> None:
    values = {"dashboards": {"enabled": True, "namespace": namespace, "grafanaOperator": {"enabled": True}}}
    there = {
        (each["metadata"]["namespace"], each["metadata"]["name"], key)
        for each in maps(values)
        for key in each["data"]
    }
    led = {
        (
            each["metadata"]["namespace"],
            each["spec"]["configMapRef"]["name"],
            each["spec"]["configMapRef"]["key"],
        )
        for each in objects(values)
        if each["kind"] == "GrafanaDashboard"
    }

    assert led == there
    assert {place for place, _, _ in led} == {namespace or NAMESPACE}
