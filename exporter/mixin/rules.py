"""Prometheus' rules: templates, filled in with settings. `prometheus/rules` holds them with the defaults."""

import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

from exporter.mixin.settings import SETTINGS, settled

FILES: Final = ("transcoding-recording.yaml", "transcoding-alerts.yaml")
"""Names of the rule files, in the order in which they build on each other."""

_HEADER: Final = "# Printed by `{}`: to change a threshold, print it anew with --set NAME=VALUE.\n"
_PRINTED_BY: Final = re.compile(r"# Printed by `transcoding-exporter rules(| .*)`: to change a threshold")
_PLACE: Final = re.compile(r"\$\{(\w+)\}")


def template(name: str) -> str:
    """Return a rule file with `${name}` in place of each setting."""
    source = files("exporter.mixin") / "templates" / name.removeprefix("transcoding-")
    return source.read_text(encoding="utf-8")


def command(given: Mapping[str, str]) -> str:
    """Return what is typed to print the rules with these settings; those at their defaults are left out."""
    others = [
        f"{setting.name}={given[setting.name]}"
        for setting in SETTINGS
        if given.get(setting.name, setting.default) != setting.default
    ]
    return shlex.join(["transcoding-exporter", "rules", *(word for one in others for word in ("--set", one))])


def settings_of(text: str) -> Mapping[str, str] | None:
    """Return the settings, other than the defaults, that a rule file was printed with.

    They are None if its first line does not tell: it is not ours, or somebody has written in it.
    """
    printed_by = _PRINTED_BY.match(text)
    if not printed_by:
        return None
    try:
        words = shlex.split(printed_by[1])
    except ValueError:
        return None
    return {name: value for name, given, value in (word.partition("=") for word in words) if given}


def rule_files(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the text of each rule file by its name.

    The first line of each is the command that prints it.

    Args:
        given: Settings other than the defaults.

    Raises:
        SettingError: a setting does not exist, or can't be what it is given.
    """
    values = settled(given)
    header = _HEADER.format(command(given))
    return {name: header + _PLACE.sub(lambda place: values[place[1]], template(name)) for name in FILES}


def moved_by(setting: str) -> Sequence[str]:
    """Return the names of the alerts that a setting has a part in, in the order of the rules."""
    alerts = re.split(r"(?m)^ +- alert: ", template("transcoding-alerts.yaml"))[1:]
    return tuple(alert.partition("\n")[0] for alert in alerts if f"${{{setting}}}" in alert)


def rules(given: Mapping[str, str]) -> str:
    """Return all rules as one file. Raises `SettingError`, like `rule_files`."""
    groups = (text.partition("groups:\n")[2] for text in rule_files(given).values())
    return f"{_HEADER.format(command(given))}groups:\n{''.join(groups)}"
