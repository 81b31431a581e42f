"""The dashboards as the files that Grafana is provisioned with."""

import json
from collections.abc import Mapping

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import exporter, overview, task


def dashboard_files() -> Mapping[str, str]:
    """Return the text of each dashboard by the name of its file."""
    boards = (overview.dashboard(), task.dashboard(), exporter.dashboard())
    return {f"{board.uid}.json": json.dumps(board, cls=JSONEncoder, indent=2) + "\n" for board in boards}
