"""The documents say what the code does: what is generated is up to date, what is linked is there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from docs.generator.commands import options as flags
from docs.generator.config_facts import AT_START, EXAMPLES, WEB_EXAMPLES
from docs.generator.configuration import Key, keys
from docs.generator.metric_facts import FACTS
from docs.generator.pages import pages
from docs.generator.series import OfAccount, OfTask, of_account, of_task
from exporter import __version__
from exporter.assembly import Exporter
from exporter.cli import main
from exporter.config import Config, parse
from exporter.guard.files import Files
from exporter.guard.web_config import WebConfig, load
from exporter.metrics.families import FAMILIES, Family, Kind
from exporter.model import (
    PHASES,
    TASK_TYPES,
    Endpoint,
    ErrorReason,
    FailureReason,
    MediaKind,
    Outcome,
    Provider,
    State,
)
from exporter.providers.failures import classify
from exporter.startup import stored
from tests.markdown import ROOT, Link, anchors, documents, links, table
from tests.pki import Authority
from tests.scraping import text_families

METRICS = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

LINKS = [link for document in documents() for link in links(document)]

VALUES: dict[str, set[str]] = {
    "provider": set(Provider),
    "task_type": {name for names in TASK_TYPES.values() for name in names},
    "phase": {phase for phases in PHASES.values() for phase in phases},
    "state": set(State),
    "kind": set(MediaKind),
    "endpoint": set(Endpoint),
    "outcome": set(Outcome),
    "source": {"task_tokens", "task_tokens_file", "task_tokens_http", "api"},
    "reason": {*FailureReason, *ErrorReason},
}
"""What a label can be, where that is a closed set."""

ACCOUNTS: Mapping[str, Mapping[str, Any]] = {
    "qencode": {"name": "vod", "task_tokens": ["token"]},
    "livepeer": {"name": "studio", "api_key": "key"},
}
"""The least that makes an account of each provider."""


# --- What is generated -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["metrics.md", "configuration.md"])
def test_a_generated_page_is_what_the_code_says(page: str) -> None:
    committed = (ROOT / "docs" / page).read_text(encoding="utf-8")

    assert committed == pages()[page], f"docs/{page} is out of date; run `make generate`"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_has_a_section_with_its_help(family: Family) -> None:
    section = re.search(rf"(?ms)^### {family.name}$(.*?)^##", METRICS)

    assert section, "docs/metrics.md has no section of it"
    assert family.help in section[1]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_sample_of_a_family_could_be_one(family: Family) -> None:
    line = FACTS[family.name].sample

    assert len(line.splitlines()) == 1
    (parsed,) = text_families(f"# TYPE {family.name} {family.kind}\n{line}\n").values()
    (sample,) = parsed.samples
    bucket = {"le"} if family.kind is Kind.HISTOGRAM else set()
    assert sample.name == family.name + ("_bucket" if bucket else "")
    assert set(sample.labels) == {*family.labels, *bucket}
    for name, value in sample.labels.items():
        assert name not in VALUES or value in VALUES[name], f"{name} can't be {value}"
    if "phase" in sample.labels and "state" in sample.labels:
        provider = Provider(sample.labels["provider"])
        assert PHASES[provider][sample.labels["phase"]] == sample.labels["state"]


@pytest.mark.parametrize("label", sorted({label for family in FAMILIES for label in family.labels}))
def test_every_label_and_every_value_of_a_closed_set_is_explained(label: str) -> None:
    (row,) = (row for row in table("docs/metrics.md", "Labels") if f"`{label}`" in row[0].split(", "))

    assert {f"`{value}`" for value in VALUES.get(label, ())} <= set(re.findall(r"`[^`]+`", row[1]))


def test_the_number_of_series_is_that_of_the_families() -> None:
    # Qencode's account: 12 phases, 7 of which a job can also fail in, 7 reasons, 4 kinds of media; 16 lines a
    # histogram. Asking: 3 endpoints with a histogram of 11 lines, 2 codes and 10 reasons each.
    entries, reasons, media, histogram = 12 + 7, 7, 4, 16
    fleet = 2 * entries + 2 * reasons + 2 * media + 2 + (3 + 7) * histogram + 7
    up, last_success, polls, poll_duration, unknown, sources = 1, 1, 5, 13, 1, 2
    asking = 3 * (11 + 2 + 10) + up + last_success + polls + poll_duration + unknown + sources

    assert of_account(Provider.QENCODE) == OfAccount(fleet, asking)


@pytest.mark.parametrize(
    ("provider", "series"), [(Provider.QENCODE, OfTask(6, 5, 6)), (Provider.LIVEPEER, OfTask(9, 9, 9))]
)
def test_a_task_has_as_many_series_as_its_provider_tells_things(provider: Provider, series: OfTask) -> None:
    assert of_task(provider) == series


# --- The configuration -----------------------------------------------------------------------------------


def written(path: str, value: str) -> str:
    """A configuration in which a key has a value, and little else is said."""
    section, key, *below = path.split(".")
    given = yaml.safe_load(value)
    mapping = {key: {below[0]: given} if below else given}
    if section not in ACCOUNTS:
        return yaml.safe_dump({"livepeer": [ACCOUNTS["livepeer"]], section: mapping})
    # There can be one kind of API key only.
    account = {name: text for name, text in ACCOUNTS[section].items() if not key.startswith(name)}
    return yaml.safe_dump({section: [{**account, **mapping}]})


def read(path: str, value: str) -> Config:
    environ = {"LIVEPEER_API_KEY": "key"}
    return parse(written(path, value), "config.yml", environ, ROOT, lambda _: "the text of a file")


@pytest.mark.parametrize("path", [key.path for key in keys(Config) if "." in key.path])
def test_every_key_has_a_row_with_an_example_that_is_accepted(path: str) -> None:
    section, _, key = path.partition(".")
    rows = {row[0]: row for row in table("docs/configuration.md", section)}

    assert f"`{EXAMPLES[path]}`" == rows[f"`{key}`"][3]
    assert read(path, EXAMPLES[path])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    authority = Authority(tmp_path_factory.mktemp("web"))
    authority.issue("tls", "localhost")
    return authority.folder


@pytest.mark.parametrize("key", [key for key in keys(WebConfig) if not key.section], ids=lambda key: key.path)
def test_every_key_of_the_web_configuration_has_a_row_with_an_example(key: Key, folder: Path) -> None:
    section, _, name = key.path.partition(".")
    heading = section if name else "The file of --web.config.file"
    rows = {row[0]: row for row in table("docs/configuration.md", heading)}
    example = WEB_EXAMPLES[key.path]

    assert f"`{example}`" == rows[f"`{name or section}`"][3]
    if "…" not in example:
        (folder / "web.yml").write_text(yaml.safe_dump(web_config(key.path.split("."), example)))
        load(folder / "web.yml", Files())


def web_config(path: Sequence[str], example: str) -> dict[str, Any]:
    """A web configuration in which a key has a value, with what it can't be without."""
    config: dict[str, Any] = {
        "tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"},
        "rate_limit": {"burst": 1},
    }
    section = config
    for name in path[:-1]:
        section = section.setdefault(name, {})
    if path[-1].startswith("client_"):
        section |= {"client_ca_file": "ca.pem", "client_auth_type": "RequireAndVerifyClientCert"}
    section[path[-1]] = yaml.safe_load(example)
    return config


def test_no_example_is_of_a_key_that_does_not_exist() -> None:
    assert EXAMPLES.keys() <= {key.path for key in keys(Config)}
    assert WEB_EXAMPLES.keys() <= {key.path for key in keys(WebConfig)}


def test_what_takes_effect_at_the_next_start_is_what_a_reload_says_so_of() -> None:
    before = stored(read("poll.timeout", "10s"), "")
    told = set()
    for path in (path for path in EXAMPLES if path.split(".")[0] not in ACCOUNTS):
        after = read(path, EXAMPLES[path])
        exporter = Exporter(before)
        with capture_logs() as logs:
            exporter.reconfigure(after if path == "storage.url" else stored(after, ""))
        exporter.close()
        told |= {entry["key"] for entry in logs if "next start" in entry["event"]}

    assert told == set(AT_START)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_flag_of_a_command_is_listed_with_its_environment_variable(command: str) -> None:
    documented = re.search(rf"(?ms)^### {command}$(.*?)(^### |\Z)", CONFIGURATION)

    assert documented, "docs/configuration.md does not have it"
    for flag in flags(main.commands[command]):
        (row,) = (line for line in documented[1].splitlines() if line.startswith(f"| `{flag.opts[0]}`"))
        assert f"`{flag.envvar}`" in row or flag.envvar is None


# --- What is written by hand -----------------------------------------------------------------------------


def test_the_phases_of_each_state_are_those_that_we_know() -> None:
    rows = table("docs/providers.md", "Phases and states")
    documented = {
        (provider, phase.strip("`"), state.strip("`"))
        for state, *columns in rows
        for provider, cell in zip((Provider.QENCODE, Provider.LIVEPEER), columns, strict=True)
        for phase in filter(None, cell.split(", "))
    }

    assert documented == {(name, phase, PHASES[name][phase]) for name in PHASES for phase in PHASES[name]}


def test_the_words_of_a_failure_reason_are_told_by_it() -> None:
    rows = {row[0].strip("`"): row[1] for row in table("docs/providers.md", "Why tasks fail")}

    assert set(rows) == set(FailureReason)
    for reason, words in rows.items():
        for word in words.partition(";")[0].split(", ") if reason != "unknown" else ["anything else"]:
            assert classify(f"it says: {word}") == reason
    assert classify("it says: HTTP status 503") == "source_download"


def test_the_newest_version_in_the_changelog_is_ours() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert next(version for version in versions if version != "Unreleased") == __version__


@pytest.mark.parametrize(
    "name", re.findall(r"`((?:exporter|tests|grafana)/[\w./-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
)
def test_what_a_contributor_is_sent_to_is_there(name: str) -> None:
    to_be_made = {
        "exporter/providers/acme_answer.py",
        "exporter/providers/acme.py",
        "exporter/simulator/acme.py",
    }
    assert (ROOT / name).exists() or name in to_be_made


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link}-{link.path}")
def test_a_link_leads_somewhere(link: Link) -> None:
    target = (ROOT / link.file).parent / link.path if link.path else ROOT / link.file

    assert target.exists(), f"{link}: there is no {link.path}"
    if link.heading:
        assert link.heading in anchors(str(target.resolve().relative_to(ROOT)))
