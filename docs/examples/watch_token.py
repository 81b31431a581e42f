#!/usr/bin/env python3
"""Give a Qencode job to the exporter.

Usage: watch_token.py FILE TOKEN [LABEL=VALUE ...]

Call it when a job is made, with the `task_token` that Qencode answers to create_task. FILE is what the
exporter knows as `task_tokens_file`. It needs nothing but Python, and several may run at once.
"""

import fcntl
import json
import sys
from pathlib import Path

KEPT = 10_000
"""Jobs in the file, the newest ones: older ones have ended long ago."""


def watch(file: Path, token: str, labels: dict[str, str]) -> None:
    """Add a job to the file, or change its labels."""
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        groups = json.loads(file.read_text()) if file.exists() else []
        others = [group for group in groups if group["targets"] != [token]]
        kept = [*others, {"targets": [token], "labels": labels}][-KEPT:]
        # Renamed into place, so that the exporter never sees half a file.
        new = file.with_name(f".{file.name}.new")
        new.write_text(json.dumps(kept, indent=2) + "\n")
        new.replace(file)


if __name__ == "__main__":
    if len(sys.argv) < 3 or not all("=" in pair for pair in sys.argv[3:]):
        sys.exit(__doc__)
    watch(Path(sys.argv[1]), sys.argv[2], dict(pair.split("=", 1) for pair in sys.argv[3:]))
