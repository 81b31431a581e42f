"""`python -m benchmarks`, or `make bench`."""

# ruff: noqa: T201 - it prints a table

import json
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import structlog

from benchmarks import carrying, crowd, go_client, ledger, memory, packing, plain, rendering, startup, steady
from benchmarks.figures import Figure, NotComparedError, missed
from benchmarks.scale import FULL, SMOKE, Scale
from benchmarks.table import HEAD, line
from exporter import __version__


class Part(NamedTuple):
    """A part of a run."""

    what: str
    measure: Callable[[Scale], Iterator[Figure]]


PARTS: Final[Mapping[str, Part]] = {
    "a": Part("text of a scrape; theirs: prometheus_client, of the same samples", rendering.measure),
    "go": Part("text of a scrape; theirs: Go's client; not with --smoke", go_client.measure),
    "b": Part("a scrape that polls; theirs: with a tenth of the tracked tasks", steady.measure),
    "c": Part("first and later scrapes; theirs: benchmarks/plain_exporter.py", plain.measure),
    "d": Part("memory of a tracked task", memory.measure),
    "e": Part("start-up and imports", startup.measure),
    "f": Part("50 scrapes a second from 8 clients", crowd.measure),
    "g": Part("commits of the ledger; theirs: the whole poll", ledger.measure),
    "gzip": Part("libraries for gzip; theirs: zlib", packing.measure),
    "load": Part("what one exporter carries, for docs/scaling.md; not with --smoke", carrying.measure),
}

LEGEND: Final = (
    "Ours and theirs are medians, the ratio is that of the pairs: how many times better ours is (≥), or how"
    "\nmany times as much it needs (<). A line without a bar promises nothing."
)

RESULTS: Final = Path(__file__).with_name("results.json")


@click.command(epilog="\b\nParts:\n" + "\n".join(f"  {name:<4}  {part.what}" for name, part in PARTS.items()))
@click.option("--smoke", is_flag=True, help="Under a minute; fails only if a bar is missed by half.")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    default=RESULTS,
    help="Where the figures go, instead of benchmarks/results.json.",
)
@click.option("--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="Only these; else all.")
def main(*, smoke: bool, path: Path, parts: Sequence[str]) -> None:
    """Measure how fast and how frugal the exporter is, against other ways in the same run.

    The exit code is 1 if a bar is missed. With --smoke only if by half; and seconds that are compared with
    nothing are then shown, but not judged, because they depend on the machine.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    scale = SMOKE if smoke else FULL
    about = _about(smoke=smoke)
    print(", ".join(f"{key} {value}" for key, value in about.items()), HEAD, sep="\n", flush=True)
    figures = []
    for part in parts or PARTS:
        try:
            for figure in PARTS[part].measure(scale):
                print(line(figure), flush=True)
                figures.append(figure)
        except NotComparedError as error:
            print(error, flush=True)
    print(LEGEND)
    path.write_text(
        json.dumps({**about, "figures": [_record(figure) for figure in figures]}, indent=2) + "\n"
    )
    failed = missed(figures, smoke=smoke)
    for figure in failed:
        print(f"missed: {figure.metric}", file=sys.stderr)
    sys.exit(bool(failed))


def _about(*, smoke: bool) -> Mapping[str, Any]:
    """Return where and when this is measured."""
    return {
        "exporter": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "scale": "smoke" if smoke else "full",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor())


def _record(figure: Figure) -> Mapping[str, Any]:
    return {**asdict(figure), "met": None if figure.bar.limit is None else figure.met()}


if __name__ == "__main__":
    main()
