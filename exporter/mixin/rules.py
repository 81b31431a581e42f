"""Prometheus' rules: templates, filled in with settings. `prometheus/rules` holds them with the defaults."""

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final

from exporter.mixin.settings import settled

FILES: Final = ("transcoding-recording.yaml", "transcoding-alerts.yaml")
"""Names of the rule files, in the order in which they build on each other."""

_HEADER: Final = (
    "# Printed by `transcoding-exporter rules`: to change a threshold, print it anew with --set NAME=VALUE.\n"
)
_PLACE: Final = re.compile(r"\$\{(\w+)\}")


def template(name: str) -> str:
    """Return a rule file with `${name}` in place of each setting."""
    source = files("exporter.mixin") / "templates" / name.removeprefix("transcoding-")
    return source.read_text(encoding="utf-8")


def rule_files(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return the text of each rule file by its name.

    Args:
        given: Settings other than the defaults.

    Raises:
        SettingError: a setting does not exist, or can't be what it is given.
    """
    values = settled(given)
    return {name: _HEADER + _PLACE.sub(lambda place: values[place[1]], template(name)) for name in FILES}


def moved_by(setting: str) -> Sequence[str]:
    """Return the names of the alerts that a setting has a part in, in the order of the rules."""
    alerts = re.split(r"(?m)^ +- alert: ", template("transcoding-alerts.yaml"))[1:]
    return tuple(alert.partition("\n")[0] for alert in alerts if f"${{{setting}}}" in alert)


def rules(given: Mapping[str, str]) -> str:
    """Return all rules as one file. Raises `SettingError`, like `rule_files`."""
    groups = (text.partition("groups:\n")[2] for text in rule_files(given).values())
    return f"{_HEADER}groups:\n{''.join(groups)}"
