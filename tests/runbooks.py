"""What the runbooks show of an alert, to be held against what really comes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.alerting import Alert

RUNBOOKS = Path(__file__).parents[1] / "docs" / "runbooks"

_ONE_OF_MANY = (
    "provider",
    "account",
    "task",
    "task_type",
    "phase",
    "state",
    "reason",
    "endpoint",
    "source",
    "instance",
)
"""Labels whose values are an example's."""

_NUMBER = re.compile(r"\b\d+(\.\d+)*(ms|[smhdw]|%)?( \d+[smhd])*(?![\w-])")
_CAUSE = re.compile(r"reason \w+ \(\w+\)")


def as_the_runbook_shows(alert: Alert) -> None:
    """Fail unless an alert has the labels and the texts of its runbook, other names and numbers aside."""
    shown = what_you_get(alert.labels["alertname"])
    labels = {name: value for name, value in alert.labels.items() if name != "alertname"}
    comes = outline(labels, alert.annotations)
    promised = outline(shown["labels"], shown["annotations"])
    assert comes == promised, f"{alert.name}: not as promised: {sorted(comes.items() ^ promised.items())}"


def what_you_get(alertname: str) -> Mapping[str, Any]:
    """The alert that stands as an example in its runbook."""
    text = (RUNBOOKS / f"{alertname}.md").read_text()
    block = re.search(r"(?ms)^## What you get$.*?^```yaml\n(.*?)^```$", text)
    assert block, f"{alertname}.md does not show what you get"
    shown: dict[str, Any] = yaml.safe_load(block[1])
    assert shown["alert"] == alertname
    return shown


def outline(labels: Mapping[str, str], annotations: Mapping[str, str]) -> Mapping[str, str]:
    """Labels and texts without what differs from one alert to another of its name."""
    examples = {name: value for name, value in labels.items() if name in _ONE_OF_MANY}
    fixed = {name: value for name, value in labels.items() if name not in examples}
    texts = {name: _general(text, examples) for name, text in annotations.items()}
    return {**fixed, **{name: f"any {name}" for name in examples}, **texts}


def _general(text: str, examples: Mapping[str, str]) -> str:
    for name, value in sorted(examples.items(), key=lambda item: -len(item[1])):
        text = re.sub(rf"(?<![\w-]){re.escape(value)}(?![\w-])", f"<{name}>", text)
    return _CAUSE.sub("reason <reason> (<endpoint>)", _NUMBER.sub("<number>", text))
