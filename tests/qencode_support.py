"""What the tests of the Qencode account `vod` share: its series in short words."""

from collections import Counter

from exporter.assembly import Exporter
from exporter.config import PollConfig
from exporter.simulator import Request, Simulator
from tests.support import samples, value

VOD = {"provider": "qencode", "account": "vod"}
EVERY_TIME = PollConfig(min_poll_interval=0)


def progress(exporter: Exporter, token: str) -> float | None:
    labels = {**VOD, "task": token, "task_type": "transcode"}
    return value(exporter, "transcoding_task_progress_ratio", **labels)


def phase(exporter: Exporter, token: str) -> tuple[str, str] | None:
    """The phase and the state of a task; None if it has no series."""
    found = samples(exporter, "transcoding_task_phase", **VOD, task=token, task_type="transcode")
    assert len(found) <= 1
    return next(((dict(key)["phase"], dict(key)["state"]) for key in found), None)


def entries(exporter: Exporter) -> dict[str, float]:
    """The phases that were entered, and how often; `phase!` if in failure."""
    counted: Counter[str] = Counter()
    for key, number in samples(exporter, "transcoding_task_phase_entries_total", **VOD).items():
        labels = dict(key)
        counted[labels["phase"] + ("!" if labels["state"] == "failed" else "")] += int(number)
    return dict(+counted)


def errors(exporter: Exporter) -> dict[tuple[str, str], float]:
    """The errors counted, by endpoint and reason."""
    found = samples(exporter, "transcoding_api_errors_total", **VOD)
    return {(dict(key)["endpoint"], dict(key)["reason"]): number for key, number in found.items() if number}


def outcomes(exporter: Exporter) -> dict[str, float]:
    found = samples(exporter, "transcoding_polls_total", **VOD)
    return {dict(key)["outcome"]: number for key, number in found.items() if number}


def up(exporter: Exporter) -> float | None:
    return value(exporter, "transcoding_up", **VOD)


def unknown(exporter: Exporter) -> float | None:
    return value(exporter, "transcoding_unknown_tokens", **VOD)


def asked(request: Request) -> list[str]:
    return request.form["task_tokens"].split(",")


def scrape(exporter: Exporter, simulator: Simulator) -> list[Request]:
    """Let a quarter of a minute pass, scrape, and return the requests that this led to."""
    simulator.clock.advance(15)
    simulator.requests.clear()
    exporter.refresh(10)
    return list(simulator.requests)


def targets(requests: list[Request]) -> dict[str, int]:
    return dict(Counter(request.target for request in requests))
