"""The generated files of the chart."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exporter.mixin.settings import SETTINGS
from helm.readme import readme
from helm.schema import values_schema
from helm.values import read

CHART: Final = Path(__file__).with_name("transcoding-exporter")
"""The folder of the chart."""

_RULE_SETTINGS: Final = (
    "# Written by `python -m helm`: the defaults that exporter/mixin/settings.py declares.\n"
)


def generated() -> Mapping[str, str]:
    """Return the text of each generated file by its path in the chart."""
    values = read((CHART / "values.yaml").read_text(encoding="utf-8"))
    settings = "".join(f"{setting.name}: {json.dumps(setting.default)}\n" for setting in SETTINGS)
    return {
        "values.schema.json": json.dumps(values_schema(values), indent=2, ensure_ascii=False) + "\n",
        "README.md": readme((CHART / "README.md").read_text(encoding="utf-8"), values),
        "rule-settings.yaml": _RULE_SETTINGS + settings,
    }
