"""The examples that compose.yaml starts: each file is checked by the program that reads it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator

from tests.alerting import ALONE, ROOT, alertmanager, prometheus, with_destinations
from tests.processes import run, wait_until

Tool = Callable[[str], str]

SCHEMA = json.loads((ROOT / "tests" / "data" / "schemas" / "compose-spec.json").read_text())
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: Mapping[str, Any] = yaml.safe_load(TEXT)
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
ALERTMANAGER_YML = ROOT / "prometheus" / "alertmanager.yml"
GROUPS = {
    "transcoding-recording",
    "transcoding-tasks",
    "transcoding-fleet",
    "transcoding-providers",
    "transcoding-exporter",
}


def mounts(service: str) -> dict[str, Path]:
    """The files and folders of ours that a container sees, by where it sees them."""
    parts = [volume.split(":") for volume in SERVICES[service]["volumes"]]
    return {inside: ROOT / outside for outside, inside, *_ in parts if outside.startswith("./")}


def laid_out(service: str, folder: Path) -> Path:
    """Copy what a container sees to where it sees it, below a folder."""
    for inside, outside in mounts(service).items():
        place = folder / inside.removeprefix("/")
        if outside.is_dir():
            shutil.copytree(outside, place)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(outside, place)
    return folder


def ports(service: str) -> dict[str, str]:
    """The container's ports by the address at which they can be reached from outside."""
    published = (port.rpartition(":") for port in SERVICES[service]["ports"])
    return {address: inside for address, _, inside in published}


def check(*command: str) -> str:
    """Run a program that must be content; return what it says."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def own_example() -> Mapping[str, Any]:
    """The override that a comment shows, for whoever has tasks to watch."""
    lines = re.findall(r"(?m)^#   (.*)$", TEXT[TEXT.index("#   services:") :])
    example: dict[str, Any] = yaml.safe_load("\n".join(lines))
    return example


# --- The file ------------------------------------------------------------------------------------------


def test_the_file_is_what_the_specification_says() -> None:
    Draft202012Validator(SCHEMA).validate(COMPOSE)

    assert SERVICES.keys() == {"exporter", "prometheus", "alertmanager", "grafana"}


def test_the_override_that_a_comment_shows_is_valid_too_and_of_a_service_that_exists() -> None:
    Draft202012Validator(SCHEMA).validate(own_example())

    assert own_example()["services"].keys() == {"exporter"}


def test_whatever_is_mounted_is_there() -> None:
    found = {service: {inside for inside, outside in mounts(service).items()} for service in SERVICES}

    assert [path for service in SERVICES for path in mounts(service).values() if not path.exists()] == []
    assert found == {
        "exporter": set(),
        "prometheus": {"/etc/prometheus/prometheus.yml", "/etc/prometheus/rules"},
        "alertmanager": {"/etc/alertmanager/alertmanager.yml"},
        "grafana": {"/etc/grafana/provisioning", "/var/lib/grafana/dashboards"},
    }


def test_whatever_is_ours_is_mounted_to_be_read_only() -> None:
    written = [
        volume
        for service in SERVICES.values()
        for volume in service["volumes"]
        if volume.startswith("./") and not volume.endswith(":ro")
    ]
    assert written == []


def test_every_volume_with_a_name_is_declared() -> None:
    used = [volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]]

    assert {name for name in used if not name.startswith("./")} == COMPOSE["volumes"].keys()


def test_every_image_of_others_has_a_version() -> None:
    images = {service["image"] for service in SERVICES.values() if "build" not in service}

    assert [image for image in images if not re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image)] == []


def test_every_port_is_for_this_machine_only_and_where_the_links_of_the_alerts_lead() -> None:
    assert {service: ports(service) for service in SERVICES} == {
        "exporter": {"127.0.0.1:10477": "10477"},
        "prometheus": {"127.0.0.1:9090": "9090"},
        "alertmanager": {"127.0.0.1:9093": "9093"},
        "grafana": {"127.0.0.1:3000": "3000"},
    }
    rules = (ROOT / "prometheus" / "rules" / "transcoding-alerts.yaml").read_text()
    assert set(re.findall(r"http://[\w.:-]+", rules)) == {"http://localhost:3000", "http://localhost:10477"}


def test_the_exporter_has_no_rights_that_it_does_not_need() -> None:
    exporter = SERVICES["exporter"]

    assert exporter["read_only"] is True
    assert exporter["cap_drop"] == ["ALL"]
    assert exporter["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(
    "command",
    [
        SERVICES["exporter"]["command"],
        own_example()["services"]["exporter"]["command"],
        *re.findall(r"`command: \[(.*?)\]`", TEXT),
    ],
)
def test_the_commands_of_the_exporter_are_such(command: list[str] | str) -> None:
    words = command.split(", ") if isinstance(command, str) else command

    assert run(*words, "--help").returncode == 0


# --- Prometheus ----------------------------------------------------------------------------------------


def test_prometheus_yml_and_the_rules_are_right_where_the_container_sees_them(
    tool: Tool, tmp_path: Path
) -> None:
    config = laid_out("prometheus", tmp_path) / "etc" / "prometheus" / "prometheus.yml"

    said = check(tool("promtool"), "check", "config", "--lint-fatal", str(config))

    assert "2 rule files found" in said
    assert re.findall(r"(\d+) rules found", said) == ["24", "12"]


def test_prometheus_asks_and_tells_services_that_are_there() -> None:
    config = yaml.safe_load((ROOT / "prometheus" / "prometheus.yml").read_text())
    (job,), (alerts,) = config["scrape_configs"], config["alerting"]["alertmanagers"]

    assert job == {"job_name": "transcoding", "static_configs": [{"targets": ["exporter:10477"]}]}
    assert alerts == {"static_configs": [{"targets": ["alertmanager:9093"]}]}


def test_prometheus_starts_as_it_does_there_and_loads_all_rules(tool: Tool, tmp_path: Path) -> None:
    config = laid_out("prometheus", tmp_path) / "etc" / "prometheus" / "prometheus.yml"
    config.write_text(re.sub(r"(exporter|alertmanager):\d+", "127.0.0.1:1", config.read_text()))
    with prometheus(tool("prometheus"), config, *extra(tmp_path, "prometheus")) as (process, url):
        found = requests.get(f"{url}/api/v1/rules", timeout=10).json()["data"]["groups"]

        assert {group["name"] for group in found} == GROUPS
        assert sum(len(group["rules"]) for group in found) == 36
        assert {rule["health"] for group in found for rule in group["rules"]} <= {"ok", "unknown"}
        assert [line for line in process.stderr.splitlines() if "level=info" not in line] == []
        check(*health_check(tool, "prometheus", "http://127.0.0.1:9090", url))


# --- Alertmanager --------------------------------------------------------------------------------------


def test_alertmanager_yml_is_right_as_it_stands_and_with_its_destinations(tool: Tool, tmp_path: Path) -> None:
    text = with_destinations(ALERTMANAGER_YML.read_text())
    (tmp_path / "alertmanager.yml").write_text(text)

    assert "3 receivers" in check(tool("amtool"), "check-config", str(ALERTMANAGER_YML))
    assert "3 receivers" in check(tool("amtool"), "check-config", str(tmp_path / "alertmanager.yml"))
    assert [len(receiver["webhook_configs"]) for receiver in yaml.safe_load(text)["receivers"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "critical"), ("warning", "default"), ("info", "info")]
)
def test_a_severity_has_its_receiver(tool: Tool, severity: str, receiver: str) -> None:
    config = f"--config.file={ALERTMANAGER_YML}"

    said = check(tool("amtool"), "config", "routes", "test", config, f"severity={severity}")

    assert said.strip() == receiver


def test_what_holds_back_and_what_is_held_back_are_alerts_of_ours() -> None:
    rules = yaml.safe_load((ROOT / "prometheus" / "rules" / "transcoding-alerts.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}

    assert set(re.findall(r"Transcoding\w+", ALERTMANAGER_YML.read_text())) < alerts


HOLDING_BACK = {
    "TranscodingAccountDown": "TranscodingTaskStalled",
    "TranscodingFailureRatioFastBurn": "TranscodingFailureRatioSlowBurn",
    "TranscodingTaskStalled": "TranscodingOldestTaskWaiting",
    "TranscodingExporterAbsent": "TranscodingShardsDisagree",
}
"""One that is held back for each that does so."""

NAMESPACES: Sequence[Mapping[str, str]] = ({"namespace": "video"}, {"namespace": "staging"}, {})


def test_an_alert_holds_back_others_of_its_own_namespace_only_and_those_without_one_each_other(
    tool: Tool, tmp_path: Path
) -> None:
    rules = yaml.safe_load(ALERTMANAGER_YML.read_text())["inhibit_rules"]
    assert [rule["source_matchers"] for rule in rules] == [[f"alertname = {name}"] for name in HOLDING_BACK]
    alerts = [
        labels(number, source, **namespace)
        for number, source in enumerate(HOLDING_BACK)
        for namespace in ({"namespace": "video"}, {})
    ] + [
        labels(number, target, **namespace)
        for number, target in enumerate(HOLDING_BACK.values())
        for namespace in NAMESPACES
    ]
    (tmp_path / "alertmanager.yml").write_text(ALERTMANAGER_YML.read_text())
    program = tool("prometheus-alertmanager")
    with alertmanager(program, tmp_path / "alertmanager.yml", ALONE) as (_, url):
        told = [{"labels": each} for each in alerts]
        requests.post(f"{url}/api/v2/alerts", json=told, timeout=10).raise_for_status()

        def held_back() -> set[tuple[str, str]]:
            answer = requests.get(f"{url}/api/v2/alerts", timeout=10).json()
            held = [alert["labels"] for alert in answer if alert["status"]["inhibitedBy"]]
            return {(each["alertname"], each.get("namespace", "")) for each in held}

        there = {(target, space) for target in HOLDING_BACK.values() for space in ("video", "")}
        wait_until(lambda: held_back() >= there, 30, "alerts are held back")

        assert held_back() == there


def labels(pair: int, alert: str, **of_the_site: str) -> Mapping[str, str]:
    """What an alert has that one of its pair may hold back, or be held back by; no other pair has its job."""
    task = {"task_type": "upload", "state": "queued"}
    account = {"provider": "livepeer", "account": "studio"}
    return {
        "alertname": alert,
        "severity": "warning",
        "job": f"pair-{pair}",
        **account,
        **task,
        **of_the_site,
    }


def test_alertmanager_starts_as_it_does_there(tool: Tool, tmp_path: Path) -> None:
    config = laid_out("alertmanager", tmp_path) / "etc" / "alertmanager" / "alertmanager.yml"
    program = tool("prometheus-alertmanager")
    with alertmanager(program, config, *extra(tmp_path, "alertmanager")) as (process, url):
        status = requests.get(f"{url}/api/v2/status", timeout=10).json()

        assert status["cluster"]["status"] == "disabled"
        assert [line for line in process.stderr.splitlines() if "level=info" not in line] == []
        check(*health_check(tool, "alertmanager", "http://127.0.0.1:9093", url))


def extra(folder: Path, service: str) -> list[str]:
    """The flags of a service that don't say where it keeps what."""
    flags: list[str] = SERVICES[service]["command"]
    places = [flag for flag in flags if re.match(r"--(config\.file|storage(\.tsdb)?\.path)=", flag)]
    assert len(places) == 2
    assert (folder / places[0].partition("=/")[2]).is_file(), "the configuration is where it looks for it"
    return [flag for flag in flags if flag not in places]


def health_check(tool: Tool, service: str, there: str, here: str) -> list[str]:
    """The command that tells whether a container is healthy, for a process of this machine."""
    _, program, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert any(argument.startswith(there) for argument in arguments)
    return [tool(program), *(argument.replace(there, here) for argument in arguments)]


# --- Grafana -------------------------------------------------------------------------------------------


def test_grafana_is_given_prometheus_and_alertmanager_at_their_ports() -> None:
    (file,) = mounts("grafana")["/etc/grafana/provisioning"].glob("datasources/*.yaml")
    content = yaml.safe_load(file.read_text())

    assert content["apiVersion"] == 1
    assert {(source["type"], source["url"]) for source in content["datasources"]} == {
        ("prometheus", "http://prometheus:9090"),
        ("alertmanager", "http://alertmanager:9093"),
    }
    assert [source["type"] for source in content["datasources"] if source.get("isDefault")] == ["prometheus"]


def test_grafana_finds_the_dashboards_where_they_are_mounted_and_begins_with_one() -> None:
    (file,) = mounts("grafana")["/etc/grafana/provisioning"].glob("dashboards/*.yaml")
    content = yaml.safe_load(file.read_text())
    folder = mounts("grafana")["/var/lib/grafana/dashboards"]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert content["apiVersion"] == 1
    assert [provider["type"] for provider in content["providers"]] == ["file"]
    assert [provider["options"]["path"] for provider in content["providers"]] == [str(home.parent)]
    assert str(home.parent) == "/var/lib/grafana/dashboards"
    assert (folder / home.name).is_file()
