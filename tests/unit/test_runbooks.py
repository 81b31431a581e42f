"""Each alert has a runbook that shows what is received, and whose commands, queries and links hold."""

import re
import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.mixin.settings import SETTINGS, settled
from tests.promql import Meaning, scraped

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(RUNBOOKS.glob("*.md"))

RECORDED = {
    rule["record"]: Meaning(scraped()).labels(rule["expr"])
    for group in yaml.safe_load((ROOT / "prometheus/rules/transcoding-recording.yaml").read_text())["groups"]
    for rule in group["rules"]
}
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load((ROOT / "prometheus/rules/transcoding-alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
}
SECTIONS = ["What you get", "First checks", "What to do", "When to ignore it", "What changes it"]
LONGEST = 75
"""Lines that somebody reads who was woken by it."""


def runbook(alert: str) -> str:
    return (RUNBOOKS / f"{alert}.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, those within lists as well."""
    return re.findall(rf"(?ms)^ *```{language}\n(.*?)^ *```$", text)


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


# --- One for each alert ----------------------------------------------------------------------------------


def test_alerts_and_runbooks_are_one_to_one() -> None:
    assert {page.stem for page in PAGES} - {"README"} == ALERTS.keys()


def test_the_index_has_every_alert_once_with_its_severity_in_the_order_of_the_rules() -> None:
    rows = re.findall(r"(?m)^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", INDEX.read_text())

    assert rows == [(alert, alert, rule["labels"]["severity"]) for alert, rule in ALERTS.items()]


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_has_its_sections_in_their_order_and_is_short(alert: str) -> None:
    text = runbook(alert)

    assert text.startswith(f"# {alert}\n\n")
    assert re.findall(r"(?m)^## (.*)$", text) == SECTIONS
    assert len(text.splitlines()) <= LONGEST
    meaning = text.split("\n\n")[1]
    assert 2 <= len(re.findall(r"[.:](\s|$)", meaning)) <= 6
    assert len(re.findall(r"(?m)^\d\. ", section(text, "First checks"))) == 3


@pytest.fixture(scope="module")
def received() -> Mapping[str, Any]:
    """Of each alert what the first case expects in which it fires, as `prometheus/tests` has it."""
    found = {}
    for path in sorted((ROOT / "prometheus" / "tests").glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["tests"]:
            alert, _, kind = group["name"].partition(" / ")
            if kind == "fires":
                (case,) = group["alert_rule_test"]
                (one,) = case["exp_alerts"]
                found[alert] = {"labels": one["exp_labels"], "annotations": one["exp_annotations"]}
    return found


@pytest.mark.parametrize("alert", ALERTS)
def test_what_a_runbook_says_you_get_is_what_you_get(received: Mapping[str, Any], alert: str) -> None:
    (shown,) = blocks(section(runbook(alert), "What you get"), "yaml")

    assert yaml.safe_load(shown) == {"alert": alert, **received[alert]}


# --- What is in them holds -------------------------------------------------------------------------------


@pytest.mark.parametrize("alert", ALERTS)
def test_the_checks_hold_a_query_and_every_query_reads_what_there_is(alert: str) -> None:
    meaning = Meaning({**scraped(), **RECORDED})

    assert blocks(section(runbook(alert), "First checks"), "promql")
    for query in blocks(runbook(alert), "promql"):
        assert meaning.labels(query), query


@pytest.mark.parametrize("alert", ALERTS)
def test_the_command_that_changes_it_sets_what_the_rule_has(alert: str) -> None:
    used = {
        setting.name
        for setting in SETTINGS
        if re.search(rf"\${{{setting.name}}}", template_of(alert)) and not setting.name.endswith("_url")
    }
    (command,) = blocks(section(runbook(alert), "What changes it"), "sh")
    program, verb, *arguments = shlex.split(command)
    given = dict(text.split("=") for option, text in pairwise(arguments) if option == "--set")

    assert (program, verb, arguments[0], arguments[-2:]) == (
        "transcoding-exporter",
        "rules",
        "--keep",
        ["--directory", "prometheus/rules"],
    )
    # Every alert depends on how long the others last: keep_firing_for belongs to exporter_absent_for.
    assert given.keys() <= used | {"keep_firing_for"}
    defaults = settled({})
    assert all(value != defaults[name] for name, value in settled(given).items() if name in given)


@pytest.mark.parametrize("alert", ALERTS)
def test_what_changes_it_tells_how_it_takes_effect(alert: str) -> None:
    words = " ".join(section(runbook(alert), "What changes it").split()).split("``` ")[-1]
    goes_on = (
        " What would no longer fire keeps firing for `keep_firing_for` (6 minutes),"
        " with its old text and links."
    )

    assert words == (
        "`--keep` keeps your other settings, as those files tell them;"
        " without it, give all of them each time."
        " Then let Prometheus read the rules anew: SIGHUP, or `curl -X POST http://localhost:9090/-/reload`"
        " if it runs with `--web.enable-lifecycle`. With the Helm chart, set it in `prometheusRule.settings`"
        " instead."
    ) + (goes_on if "keep_firing_for" in ALERTS[alert] else "")


def test_how_long_an_alert_goes_on_is_what_the_rules_have_by_default() -> None:
    assert {rule["keep_firing_for"] for rule in ALERTS.values() if "keep_firing_for" in rule} == {"6m"}


def test_whoever_reads_that_the_exporter_is_gone_is_told_to_keep_the_runbooks_elsewhere() -> None:
    # By default it is the exporter that serves them.
    for text in (runbook("TranscodingExporterAbsent"), INDEX.read_text()):
        assert "--set runbooks_url=" in text


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_leads_only_to_what_is_beside_it_wherever_it_is_served(alert: str) -> None:
    links = re.findall(r"\]\((.*?)\)", runbook(alert))

    assert {link.partition("#")[0] for link in links} <= {f"{other}.md" for other in ALERTS}


def template_of(alert: str) -> str:
    text = (ROOT / "exporter" / "mixin" / "templates" / "alerts.yaml").read_text()
    return text.split(f"- alert: {alert}\n")[1].split("- alert: ")[0].replace("${runbooks_url}", "")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((.*?)\)", page.read_text()):
        assert not link.startswith("/"), link
        assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_of_the_log_that_is_named_is_one_that_the_exporter_writes(page: Path) -> None:
    source = "".join(path.read_text() for path in sorted((ROOT / "exporter").rglob("*.py")))

    for event in re.findall(r'event="(.*?)"', page.read_text()):
        assert f'"{event}"' in source, event


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_has_a_language_and_no_line_is_endless(page: Path) -> None:
    text = page.read_text()

    assert len(re.findall(r"(?m)^ *```(promql|sh|yaml)$", text)) == len(re.findall(r"(?m)^ *```$", text))
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", text)
    assert max(len(line) for line in prose.splitlines() if not line.startswith("|")) <= 160
