"""The rules and what can be set about them, and the command that prints both."""

import re
import shlex
import stat
from pathlib import Path

import pytest
import yaml

from exporter.mixin import rules
from exporter.mixin.settings import SETTINGS, Kind, Setting, SettingError, settled
from tests.processes import run

OTHER = {
    Kind.DURATION: "1h23m",
    Kind.NUMBER: "45.75",
    Kind.RATIO: "0.98765",
    Kind.URL: "https://elsewhere/x",
}
"""A value of each kind that stands nowhere else."""

NAMES = [setting.name for setting in SETTINGS]


def lines(name: str, **given: str) -> list[str]:
    """The lines of a rule file, below the one that tells where it comes from."""
    return rules.rule_files(given)[name].splitlines()[1:]


# --- Settings and templates ------------------------------------------------------------------------------


def test_every_place_in_a_template_is_a_setting_and_every_setting_has_a_place() -> None:
    places = {place for name in rules.FILES for place in re.findall(r"\$\{(.*?)\}", rules.template(name))}

    assert places == set(NAMES)


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_another_value_stands_wherever_its_place_is_and_nowhere_else(setting: Setting) -> None:
    other = OTHER[setting.kind]
    for name in rules.FILES:
        places = [f"${{{setting.name}}}" in line for line in rules.template(name).splitlines()]
        changed = lines(name, **{setting.name: other})

        assert [other in line for line in changed] == places
        assert [line.replace(other, setting.default) for line in changed] == lines(name)


def test_the_objective_stands_in_both_windows_of_both_alerts_and_in_their_texts() -> None:
    text = rules.rules({"success_objective": "0.95"})

    assert text.count("> 14.4 * (1 - 0.95)\n") == 2
    assert text.count("> 6 * (1 - 0.95)\n") == 2
    assert text.count("The objective is that {{ 0.95 | humanizePercentage }} of them end well.") == 2
    assert "0.99" not in text


def test_nothing_is_left_to_fill_in() -> None:
    assert "${" not in rules.rules({})


def test_the_first_line_is_the_command_with_every_setting_that_is_not_at_its_default() -> None:
    given = {"runbooks_url": "https://x/?a=1&b=`2`", "min_queue": "10", "success_objective": "0.95"}
    first = (
        "# Printed by `transcoding-exporter rules --set success_objective=0.95"
        " --set 'runbooks_url=https://x/?a=1&b=`2`'`:"
        " to change a threshold, print it anew with --set NAME=VALUE."
    )

    texts = [rules.rules(given), *rules.rule_files(given).values()]

    assert [text.splitlines()[0] for text in texts] == [first] * 3
    assert [rules.settings_of(text) for text in texts] == [
        {"success_objective": "0.95", "runbooks_url": "https://x/?a=1&b=`2`"}
    ] * 3


def test_of_rules_with_the_defaults_the_first_line_tells_no_setting() -> None:
    text = rules.rules({})

    assert text.startswith("# Printed by `transcoding-exporter rules`: to change a threshold, ")
    assert rules.settings_of(text) == {}


@pytest.mark.parametrize(
    "text",
    ["", "groups: []\n", "# Printed by `transcoding-exporter rules --set 'x=1`: to change a threshold"],
)
def test_what_is_not_the_first_line_of_ours_tells_nothing(text: str) -> None:
    assert rules.settings_of(text) is None


def test_one_file_has_the_groups_of_both_the_recorded_ones_first() -> None:
    groups = yaml.safe_load(rules.rules({}))["groups"]

    assert [(group["name"], len(group["rules"])) for group in groups] == [
        ("transcoding-recording", 12),
        ("transcoding-tasks", 4),
        ("transcoding-fleet", 5),
        ("transcoding-providers", 7),
        ("transcoding-exporter", 8),
    ]


# --- Values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue_growing_for", "0"),
        ("queue_growing_for", "0s"),
        ("queue_growing_for", "90s"),
        ("queue_growing_for", "1h30m"),
        ("queue_growing_for", "2w1d"),
        ("min_queue", "0"),
        ("min_queue", "0.5"),
        ("success_objective", "0.9999"),
        ("grafana_url", "https://grafana.example.com:3000/sub-path"),
    ],
)
def test_a_value_of_its_kind_is_taken_as_it_is_written(name: str, value: str) -> None:
    assert settled({name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("queue_growing_for", "", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("queue_growing_for", "15", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("queue_growing_for", "15 m", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("queue_growing_for", "30m1h", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("queue_growing_for", "-5m", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("queue_growing_for", "\u0665m", "write a duration of Prometheus, like 90s, 5m or 1h30m"),
        ("min_queue", "ten", "write a number, like 3 or 0.5"),
        ("min_queue", "-1", "write a number, like 3 or 0.5"),
        ("min_queue", "1e3", "write a number, like 3 or 0.5"),
        ("min_queue", "1\n", "write a number, like 3 or 0.5"),
        ("success_objective", "0", "write a ratio above 0 and below 1, like 0.99"),
        ("success_objective", "1", "write a ratio above 0 and below 1, like 0.99"),
        ("success_objective", "99", "write a ratio above 0 and below 1, like 0.99"),
        ("success_objective", "99%", "write a ratio above 0 and below 1, like 0.99"),
        ("grafana_url", "grafana:3000", "write a URL that begins with http:// or https://"),
        ("grafana_url", 'http://x"y', "write a URL that begins with http:// or https://"),
        ("grafana_url", "http://x/{{ . }}", "write a URL that begins with http:// or https://"),
        ("grafana_url", "http://x/ #", "write a URL that begins with http:// or https://"),
        ("grafana_url", "http://x/\u2028", "write a URL that begins with http:// or https://"),
    ],
)
def test_what_can_t_be_a_value_is_refused_with_what_to_write(name: str, value: str, remedy: str) -> None:
    with pytest.raises(SettingError) as caught:
        settled({name: value})

    assert str(caught.value) == f"{name}: {value!r} won't do; {remedy}"


@pytest.mark.parametrize(
    ("objective", "burn", "limit"), [("0.93", "fast_burn", "14.3"), ("0.8", "slow_burn", "5")]
)
def test_a_burn_that_more_than_all_tasks_would_have_to_fail_for_is_refused(
    objective: str, burn: str, limit: str
) -> None:
    with pytest.raises(SettingError, match=f"^{burn}: .* write a number below {limit}, or"):
        settled({"fast_burn": "1", "slow_burn": "1", "success_objective": objective, burn: "14.4"})


def test_a_setting_that_does_not_exist_is_refused_with_where_they_are_listed() -> None:
    with pytest.raises(SettingError) as caught:
        settled({"min_que": "3"})

    assert str(caught.value) == (
        "there is no setting 'min_que'; `transcoding-exporter rules --settings` lists them"
    )


# --- The command -----------------------------------------------------------------------------------------


def test_the_command_prints_one_file_that_is_nothing_but_rules() -> None:
    printed = run("rules", "--set", "min_queue=25", "--set", "min_queue=50")

    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == rules.rules({"min_queue": "50"}), "the last value of a name counts"


def test_the_command_lists_every_setting_with_its_default_what_it_says_and_the_alerts_that_it_moves() -> None:
    printed = run("rules", "--settings")

    assert (printed.returncode, printed.stderr) == (0, "")
    listed = [re.split(" {2,}", line) for line in printed.stdout.splitlines()]
    assert [columns[:3] for columns in listed] == [
        [setting.name, setting.default, setting.help] for setting in SETTINGS
    ]
    alerts = {columns[0]: columns[3] for columns in listed}
    assert alerts["min_failures"] == "TranscodingFailureRatioFastBurn, TranscodingFailureRatioSlowBurn"
    assert alerts["waiting_seconds"] == "TranscodingOldestTaskWaiting"
    assert alerts["keep_firing_for"] == "all but TranscodingExporterAbsent"
    assert alerts["grafana_url"] == "all"


def test_no_alert_seems_resolved_before_it_is_told_that_its_exporter_is_gone() -> None:
    defaults = settled({})
    minutes = {
        name: int(defaults[name].removesuffix("m")) for name in ("keep_firing_for", "exporter_absent_for")
    }

    assert minutes["keep_firing_for"] > minutes["exporter_absent_for"]
    alerts = [
        rule
        for group in yaml.safe_load(rules.rules({}))["groups"]
        for rule in group["rules"]
        if "alert" in rule and rule["alert"] != "TranscodingExporterAbsent"
    ]
    assert {rule["keep_firing_for"] for rule in alerts} == {defaults["keep_firing_for"]}


def test_the_command_writes_both_files_into_a_folder_that_it_makes(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "rules"

    written = run("rules", "--set", "min_queue=50", "--directory", str(folder))

    assert (written.returncode, written.stderr) == (0, "")
    assert written.stdout.splitlines() == [
        f"{folder}/transcoding-recording.yaml",
        f"{folder}/transcoding-alerts.yaml",
    ]
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert files == rules.rule_files({"min_queue": "50"})
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444, (
            "Prometheus can read it, whoever it runs as"
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's rules, with an objective and a place of the runbooks of their own."""
    folder = tmp_path / "rules"
    own = ("--set", "success_objective=0.95", "--set", "runbooks_url=https://wiki/x?a=1&b=2")
    assert run("rules", *own, "--directory", str(folder)).returncode == 0
    return folder


def found(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_settings_are_kept_that_are_not_given_anew(folder: Path) -> None:
    changed = run("rules", "--keep", "--set", "keep_firing_for=10m", "--directory", str(folder))
    back = run("rules", "--keep", "--set", "success_objective=0.99", "--directory", str(folder))

    assert [(done.returncode, done.stderr) for done in (changed, back)] == [(0, "")] * 2
    assert found(folder) == rules.rule_files(
        {"keep_firing_for": "10m", "runbooks_url": "https://wiki/x?a=1&b=2"}
    )


def test_settings_that_are_not_kept_are_named_with_the_command_that_brings_them_back(folder: Path) -> None:
    done = run("rules", "--set", "keep_firing_for=10m", "--directory", str(folder))

    assert done.returncode == 0
    assert found(folder) == rules.rule_files({"keep_firing_for": "10m"})
    warning, again = done.stderr.splitlines()
    assert warning == (
        "Warning: back at their defaults: success_objective=0.95, runbooks_url=https://wiki/x?a=1&b=2."
        " To keep them:"
    )
    program, *arguments = shlex.split(again)
    assert program == "transcoding-exporter"
    assert run(*arguments).stderr == ""
    assert found(folder) == rules.rule_files(
        {
            "keep_firing_for": "10m",
            "success_objective": "0.95",
            "runbooks_url": "https://wiki/x?a=1&b=2",
        }
    )


def test_whoever_gives_all_settings_anew_is_not_warned(folder: Path) -> None:
    all_of_them = ("--set", "success_objective=0.97", "--set", "runbooks_url=http://localhost:10477/runbooks")

    done = run("rules", *all_of_them, "--directory", str(folder))

    assert (done.returncode, done.stderr) == (0, "")
    assert found(folder) == rules.rule_files({"success_objective": "0.97"})


def test_where_there_is_nothing_yet_there_is_nothing_to_keep(tmp_path: Path) -> None:
    done = run("rules", "--keep", "--set", "min_queue=50", "--directory", str(tmp_path / "new"))

    assert (done.returncode, done.stderr) == (0, "")
    assert found(tmp_path / "new") == rules.rule_files({"min_queue": "50"})


def test_a_file_that_does_not_tell_its_settings_is_not_written_over_to_keep_them(folder: Path) -> None:
    alerts = folder / "transcoding-alerts.yaml"
    alerts.write_text(alerts.read_text().partition("\n")[2])
    before = found(folder)

    refused = run("rules", "--keep", "--set", "min_queue=50", "--directory", str(folder))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"Error: can't keep the settings of {alerts}: its first line does not tell them\n"
    )
    assert found(folder) == before


def test_a_setting_that_won_t_do_with_a_kept_one_is_refused_and_the_files_stay(folder: Path) -> None:
    before = found(folder)

    refused = run("rules", "--keep", "--set", "fast_burn=20", "--directory", str(folder))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "Invalid value for --set or --keep: fast_burn: 20 times" in refused.stderr
    assert found(folder) == before


def test_to_keep_settings_a_folder_is_needed_that_tells_them() -> None:
    refused = run("rules", "--keep", "--set", "min_queue=50")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--keep needs --directory" in refused.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("min_queue", "'min_queue' is not like NAME=VALUE"),
        ("min_que=3", "there is no setting 'min_que'; `transcoding-exporter rules --settings` lists them"),
        ("min_queue=ten", "min_queue: 'ten' won't do; write a number, like 3 or 0.5"),
        ("min_queue=", "min_queue: '' won't do; write a number, like 3 or 0.5"),
    ],
)
def test_the_command_refuses_a_wrong_setting_and_writes_nothing(
    tmp_path: Path, given: str, message: str
) -> None:
    refused = run("rules", "--set", given, "--directory", str(tmp_path / "rules"))

    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"Invalid value for --set: {message}" in " ".join(refused.stderr.split())
    assert not (tmp_path / "rules").exists()


def test_the_command_tells_where_it_can_t_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    refused = run("rules", "--directory", str(tmp_path / "file" / "rules"))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: can't write to {tmp_path}/file/rules: Not a directory\n"
