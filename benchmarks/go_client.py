"""Part go: the text of a scrape, against Go's official client (`client_golang/main.go`)."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry

from benchmarks.figures import Figure, NotComparedError, Pair, Unit, at_least, compared
from benchmarks.rendering import SERIES_A_TASK, TEXT, Cost, World, cost, text
from benchmarks.scale import SMOKE, Scale
from exporter.metrics.exposition import Exposition

_SOURCE: Final = Path(__file__).with_name("client_golang")
_PATIENCE: Final = 300


def measure(scale: Scale) -> Iterator[Figure]:
    """Render everything for the first time, and with 1 % changed: Go's client writes all of it each time.

    Raises:
        NotComparedError: it can't be built, or there is no time to.
    """
    tasks = round(scale.series / SERIES_A_TASK)
    fresh: list[Pair] = []
    changed: list[Pair] = []
    with TemporaryDirectory() as name:
        program = _build(Path(name), scale)
        world = World(tasks, seed=0)
        exposition = Exposition(world.picture, CollectorRegistry())
        told = Path(name) / "text"
        told.write_bytes(text(exposition, TEXT))
        with _running(program, told) as go:
            for seed in range(scale.rounds):
                new = Exposition(World(tasks, seed).picture, CollectorRegistry())
                fresh.append((_cpu(new), go.turn().cpu))
                world.change(0.01)
                changed.append((_cpu(exposition), go.turn().cpu))
            what = f"rendering {go.series:,} series, text, against Go's client"
    yield compared("go", f"{what}, everything new: CPU", Unit.SECONDS, fresh, at_least(1.0))
    yield compared("go", f"{what}, 1 % of the tasks changed: CPU", Unit.SECONDS, changed, at_least(1.0))


class _Go:
    """The program: for each line that it gets, it renders once."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.series = 0

    def turn(self) -> Cost:
        assert self._process.stdin  # noqa: S101 - both were asked for
        assert self._process.stdout  # noqa: S101
        print(file=self._process.stdin, flush=True)
        series, wall, cpu = self._process.stdout.readline().split()
        self.series = int(series)
        return Cost(float(wall), float(cpu))


def _build(folder: Path, scale: Scale) -> Path:
    whom = "prometheus/client_golang: not compared"
    if scale is SMOKE:
        raise NotComparedError(f"{whom}, building it takes longer than a smoke run may.")
    go = shutil.which("go")
    if go is None:
        raise NotComparedError(f"{whom}, there is no Go here.")
    program = folder / "client"
    built = subprocess.run(  # noqa: S603 - our own
        [go, "build", "-C", str(_SOURCE), "-o", str(program), "."],
        stderr=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE,
    )
    if built.returncode:
        raise NotComparedError(f"{whom}, it can't be built:\n{built.stderr.rstrip()}")
    return program


@contextmanager
def _running(program: Path, told: Path) -> Iterator[_Go]:
    with subprocess.Popen(  # noqa: S603
        [program, told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Go(process)
        finally:
            process.kill()


def _cpu(exposition: Exposition) -> float:
    return cost(lambda: text(exposition, TEXT)).cpu
