"""The rules, held by promtool against the cases of each alert; and the cases, against what they are for."""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from exporter.metrics.families import FAMILIES, Kind
from exporter.mixin import rules
from exporter.mixin.settings import SETTINGS
from exporter.mixin.settings import Kind as SettingKind
from exporter.model import PHASES, TASK_TYPES, Endpoint, ErrorReason, FailureReason, Provider

ROOT = Path(__file__).parents[2]
RULES = ROOT / "prometheus" / "rules"
CASES = sorted((ROOT / "prometheus" / "tests").glob("*.yaml"))

KINDS = {"fires", "just does not fire", "restart", "series missing"}
NOTHING_FIRES = "nothing fires / on start-up with only old, finished tasks"

DASHBOARDS = {"transcoding-overview", "transcoding-task", "transcoding-exporter"}

EITHER_SIDE = {
    "success_objective": ("0.989", "0.991"),
    "fast_burn": ("14", "15"),
    "slow_burn": ("5.9", "6.1"),
    "min_failures": ("2", "4"),
    "retries_factor": ("2.7", "3.6"),
    "min_retries": ("4", "6"),
    "queue_growth": ("1.4", "1.7"),
    "min_queue": ("9", "11"),
    "queue_growing_for": ("14m", "16m"),
    "waiting_seconds": ("1799", "1860"),
    "account_down_for": ("4m", "6m"),
    "account_up_ratio": ("0.73", "0.76"),
    "min_account_falls": ("2", "4"),
    "polls_stale_seconds": ("899", "960"),
    "api_slow_factor": ("2.8", "3.2"),
    "api_slow_seconds": ("0.9", "2.5"),
    "api_slow_for": ("14m", "16m"),
    "min_rate_limited": ("2", "4"),
    "unknown_tokens_for": ("14m", "16m"),
    "token_source_down_for": ("9m", "11m"),
    "series_dropped_for": ("14m", "16m"),
    "ledger_degraded_for": ("4m", "6m"),
    "exporter_absent_for": ("4m", "6m"),
    "shards_disagree_for": ("14m", "16m"),
    "watched_twice_for": ("14m", "16m"),
    "reload_failed_for": ("4m", "6m"),
    "keep_firing_for": ("5m", "7m"),
}
"""A little less and a little more than the default of each setting."""

EXTREME = {
    SettingKind.DURATION: ("0", "0s", "1ms", "100w1d1h1m1s1ms"),
    SettingKind.NUMBER: ("0", "0.000001", "999999999999"),
    SettingKind.RATIO: ("0.000001", "0.999999"),
    SettingKind.URL: ("http://x", "https://grafana.example.com:3000/a/b?c=d&e=%7B%22f%22%3A1%7D"),
}

TARGET = {"job", "instance", "pod", "namespace", "cluster", "container"}
"""Labels that do not come from the exporter."""

PromTool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def promtool(tool: Callable[[str], str]) -> PromTool:
    """Runs promtool to its end."""
    program = tool("promtool")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)

    return run


@cache
def read(path: Path) -> Any:
    """A file as it is written, nothing but texts: to YAML itself, 0x20 is a number."""
    return yaml.load(path.read_text(), yaml.BaseLoader)


def groups_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(path)["tests"]
    return found


ALERTS: Mapping[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in read(RULES / "transcoding-alerts.yaml")["groups"]
    for rule in group["rules"]
}
RECORDED: Mapping[str, dict[str, Any]] = {
    rule["record"]: rule
    for group in read(RULES / "transcoding-recording.yaml")["groups"]
    for rule in group["rules"]
}
OF_ALERTS = [(path, group) for path in CASES if path.stem != "recording" for group in groups_of(path)]
"""Each group of cases, with its file."""


def cases(alert: str, kind: str) -> list[dict[str, Any]]:
    """The groups of an alert that are of a kind."""
    return [group for _, group in OF_ALERTS if group["name"].split(" / ")[:2] == [alert, kind]]


def expected(group: Mapping[str, Any]) -> list[bool]:
    """Whether anything is expected to fire, at each of its moments."""
    return [bool(case["exp_alerts"]) for case in group["alert_rule_test"]]


# --- promtool has nothing to say -------------------------------------------------------------------------


def test_promtool_accepts_the_rules_without_a_word_of_doubt(promtool: PromTool) -> None:
    checked = promtool("check", "rules", "--lint=all", *sorted(RULES.iterdir()))

    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == (
        f"Checking {RULES}/transcoding-alerts.yaml\n  SUCCESS: 24 rules found\n\n"
        f"Checking {RULES}/transcoding-recording.yaml\n  SUCCESS: 12 rules found\n\n"
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_case_holds(promtool: PromTool, path: Path) -> None:
    tested = promtool("test", "rules", path)

    assert (tested.returncode, tested.stdout.split(), tested.stderr) == (
        0,
        ["Unit", "Testing:", str(path), "SUCCESS"],
        "",
    )


@pytest.mark.parametrize("kind", EXTREME)
def test_promtool_accepts_the_rules_with_the_most_extreme_settings(
    promtool: PromTool, tmp_path: Path, kind: SettingKind
) -> None:
    for value in EXTREME[kind]:
        # More than all tasks can't fail: the burns and the objective depend on each other.
        burns = {"fast_burn": "1", "slow_burn": "1"}
        given = {setting.name: value for setting in SETTINGS if setting.kind is kind} | burns
        one = tmp_path / "rules.yaml"
        one.write_text(rules.rules(given))

        checked = promtool("check", "rules", "--lint=all", one)

        assert (checked.returncode, checked.stderr) == (0, ""), value
        assert "SUCCESS: 36 rules found" in checked.stdout


# --- The cases are complete ------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_cases_of_all_four_kinds(alert: str) -> None:
    assert {kind for kind in KINDS if cases(alert, kind)} == KINDS
    assert all(any(expected(group)) for group in cases(alert, "fires"))
    assert all(not all(expected(group)) for group in cases(alert, "just does not fire"))


def test_each_case_is_of_an_alert_and_about_that_alert() -> None:
    for path, group in OF_ALERTS:
        if group["name"] == NOTHING_FIRES:
            continue
        alert, kind, *_ = group["name"].split(" / ")
        assert kind in KINDS, f"{path.name}: {group['name']}"
        assert {case["alertname"] for case in group["alert_rule_test"]} == {alert}, group["name"]
        assert alert in ALERTS


def test_names_of_cases_are_unique() -> None:
    names = [group["name"] for path in CASES for group in groups_of(path)]

    assert len(names) == len(set(names))


def test_no_alert_fires_on_start_up_with_only_old_tasks() -> None:
    (group,) = (group for _, group in OF_ALERTS if group["name"] == NOTHING_FIRES)

    assert {case["alertname"] for case in group["alert_rule_test"]} == ALERTS.keys()
    assert not any(expected(group))


@pytest.mark.parametrize("alert", ["TranscodingTaskFailed", "TranscodingTasksFailed"])
def test_the_first_failure_after_a_fresh_start_is_among_the_cases(alert: str) -> None:
    (group,) = (group for group in cases(alert, "fires") if "first failure" in group["name"])

    assert [(case["eval_time"], bool(case["exp_alerts"])) for case in group["alert_rule_test"]] == [
        ("0m", True)
    ]


def test_every_recorded_series_has_a_value_in_one_case_and_none_in_another() -> None:
    (path,) = (path for path in CASES if path.stem == "recording")
    valued: set[str] = set()
    empty: set[str] = set()
    for group in groups_of(path):
        for case in group["promql_expr_test"]:
            (record,) = (record for record in RECORDED if record in case["expr"])
            (valued if case.get("exp_samples") else empty).add(record)

    assert valued == empty == set(RECORDED)


def series_of_the_cases() -> Iterator[tuple[str, promql.VectorSelector]]:
    for path in CASES:
        for group in groups_of(path):
            for series in group["input_series"]:
                selector = promql.parse(series["series"])
                assert isinstance(selector, promql.VectorSelector)
                yield f"{path.stem}: {group['name']}", selector


def exported() -> dict[str, set[str]]:
    """The series that a target has, with their labels."""
    series: dict[str, set[str]] = {"up": set(), "process_start_time_seconds": set()}
    for family in FAMILIES:
        if family.kind is Kind.HISTOGRAM:
            series[f"{family.name}_bucket"] = {*family.labels, "le"}
            series[f"{family.name}_count"] = set(family.labels)
        else:
            series[family.name] = set(family.labels)
    return series


def test_every_series_of_the_cases_is_one_that_the_exporter_has() -> None:
    # One that is misspelt would make a case hold in which nothing is expected to fire.
    known = exported()
    for where, selector in series_of_the_cases():
        assert selector.name in known, where
        labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        assert labels.keys() - TARGET == known[selector.name], f"{where}: {selector.name}"
        assert {"job", "instance"} <= labels.keys(), where
        if "provider" not in labels:
            continue
        provider = Provider(labels["provider"])
        assert labels.get("task_type", TASK_TYPES[provider][0]) in TASK_TYPES[provider], where
        if "phase" in labels:
            state = PHASES[provider][labels["phase"]]
            assert labels.get("state", state) == state, where
        if "endpoint" in labels:
            assert Endpoint(labels["endpoint"]).startswith(provider), where
        if "reason" in labels:
            assert labels["reason"] in {*(ErrorReason if "endpoint" in labels else FailureReason)}, where


# --- An alert tells what its reader needs ----------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_tells_how_bad_it_is_what_it_is_and_where_to_look(alert: str) -> None:
    rule = ALERTS[alert]

    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    assert rule["annotations"]["runbook_url"] == f"http://localhost:10477/runbooks/{alert}"
    assert (ROOT / "docs" / "runbooks" / f"{alert}.md").is_file()
    dashboard = re.match(r"http://localhost:3000/d/([\w-]+)($|\?)", rule["annotations"]["dashboard_url"])
    assert dashboard
    assert dashboard[1] in DASHBOARDS


@pytest.mark.parametrize("alert", ALERTS)
def test_what_is_received_is_a_few_plain_sentences(alert: str) -> None:
    for group in cases(alert, "fires"):
        for case in group["alert_rule_test"]:
            for received in case["exp_alerts"]:
                summary, description = (
                    received["exp_annotations"][name] for name in ("summary", "description")
                )
                assert len(summary) <= 80
                assert len(description) <= 300
                assert description.endswith(".")
                for text in (summary, description):
                    assert not re.search(r"[{}]|<no value>|%!|  |NaN|\n", text)


# --- The cases notice when a threshold is another --------------------------------------------------------


def test_the_neighbours_of_every_threshold_are_known() -> None:
    thresholds = {setting.name for setting in SETTINGS if setting.kind is not SettingKind.URL}

    assert EITHER_SIDE.keys() == thresholds


@pytest.mark.parametrize("setting", EITHER_SIDE)
def test_a_threshold_that_is_a_little_less_or_more_is_noticed(
    promtool: PromTool, tmp_path: Path, setting: str
) -> None:
    for value in EITHER_SIDE[setting]:
        alert, rule = next(with_other_conditions(setting, value))

        assert f"alertname: {alert}" in failures(promtool, tmp_path, rule), value
    assert failures(promtool, tmp_path, ALERTS[alert]) == ""


def failures(promtool: PromTool, folder: Path, rule: Mapping[str, Any]) -> str:
    """What promtool finds wrong when a rule, alone to be quick, is held against the cases of its alert."""
    needed = [recorded for name, recorded in RECORDED.items() if name in rule["expr"]]
    (folder / "alert.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "one", "rules": [*needed, rule]}]})
    )
    found = [(path, group) for path, group in OF_ALERTS if group["name"].startswith(f"{rule['alert']} / ")]
    paths = sorted({path for path, _ in found})
    for path in paths:
        tests = {
            "rule_files": ["alert.yaml"],
            "evaluation_interval": read(path)["evaluation_interval"],
            "tests": [group for at, group in found if at == path],
        }
        (folder / path.name).write_text(yaml.safe_dump(tests))
    tested = promtool("test", "rules", *(folder / path.name for path in paths))
    assert (tested.returncode == 0) == (tested.stderr == "")
    return tested.stderr


def with_other_conditions(setting: str, value: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each alert that fires under other conditions with another setting; its texts are the same."""
    text = rules.rule_files({setting: value})["transcoding-alerts.yaml"]
    for rule in (rule for group in yaml.load(text, yaml.BaseLoader)["groups"] for rule in group["rules"]):
        default = ALERTS[rule["alert"]]
        conditions = {name: rule[name] for name in ("expr", "for", "keep_firing_for") if name in rule}
        if not conditions.items() <= default.items():
            yield rule["alert"], default | conditions
