"""Records as the JSON API has them, and the worst that a provider could put into them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from exporter.model import Endpoint, ErrorReason, FailureReason, Outcome, Provider, State
from exporter.report.records import AccountRecord, PollError, StateCounts, TaskRecord
from exporter.terminal.source import Look, urgent

NOW = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
NASTY = "[red]\x1b[2J<script>\r\n\t\x9b31m\u202egnp.\u2066\x00\x7f"
SHOWN = r"[red]\x1b[2J<script>\r\n\t\x9b31m\u202egnp.\u2066\x00\x7f"


def a_task(**fields: Any) -> TaskRecord:
    """A job of Qencode that runs, but for the given fields."""
    return TaskRecord(
        **{
            "provider": Provider.QENCODE,
            "account": "vod",
            "task": "4bd1ac1ba5cc9e2430f420712bb1e0be",
            "task_type": "transcode",
            "phase": "encoding",
            "state": State.RUNNING,
            "stalled": False,
            "history": False,
            "progress": 0.5,
            "retries": 0,
            "warnings": 0,
            "reason": None,
            "message": "",
            "created": None,
            "scheduled": None,
            "updated": None,
            "finished": None,
            "changed": NOW - timedelta(seconds=90),
            "project": "",
            "input_asset": "",
            "output_asset": "",
            "labels": {},
            **fields,
        }
    )


def an_account(**fields: Any) -> AccountRecord:
    """An account that is well, but for the given fields."""
    return AccountRecord(
        **{
            "provider": Provider.QENCODE,
            "account": "vod",
            "up": True,
            "since": NOW - timedelta(minutes=3),
            "outcome": Outcome.SUCCESS,
            "polled": NOW,
            "poll_seconds": 0.1,
            "succeeded": NOW,
            "errors": [],
            "tasks": StateCounts(queued=0, running=1, completed=0, failed=0, cancelled=0, unknown=0),
            "stalled": 0,
            "failed": 0,
            **fields,
        }
    )


def a_look(*tasks: TaskRecord, accounts: tuple[AccountRecord, ...] = (), total: int | None = None) -> Look:
    """What is seen of these tasks."""
    return Look(
        NOW,
        tasks,
        len(tasks) if total is None else total,
        any(map(urgent, tasks)),
        accounts or (an_account(),),
    )


DOWN = an_account(
    up=False,
    outcome=Outcome.ERROR,
    errors=[PollError(endpoint=Endpoint.QENCODE_API, reason=ErrorReason.SERVER, message="HTTP 503", times=2)],
)
FAILED = a_task(
    state=State.FAILED, phase="error", reason=FailureReason.RESOURCES, message="Encoder killed", progress=None
)

NASTY_TASK = a_task(
    account=NASTY,
    task=NASTY,
    task_type=NASTY,
    phase=NASTY,
    state=State.FAILED,
    reason=FailureReason.UNKNOWN,
    message=NASTY,
    project=NASTY,
    input_asset=NASTY,
    output_asset=NASTY,
    labels={NASTY: NASTY},
)
NASTY_ACCOUNT = an_account(
    account=NASTY,
    up=False,
    errors=[PollError(endpoint=Endpoint.QENCODE_API, reason=ErrorReason.API, message=NASTY, times=1)],
)
