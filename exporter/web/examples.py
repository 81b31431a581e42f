"""Answers of the JSON API as they can be, for its description."""

from datetime import UTC, datetime, timedelta
from typing import Final

from exporter import __version__
from exporter.model import Endpoint, ErrorReason, Outcome, Provider, State
from exporter.report.records import (
    AccountList,
    AccountRecord,
    PollError,
    StateCounts,
    StatusRecord,
    TaskPage,
    TaskRecord,
)

_NOW: Final = datetime(2026, 11, 21, 21, 0, tzinfo=UTC)
_COUNTS: Final = StateCounts(queued=3, running=1, completed=12, failed=1, cancelled=0, unknown=0)

TASK: Final = TaskRecord(
    provider=Provider.LIVEPEER,
    account="studio",
    task="3e5f21ab-8a6e-4d3b-9f0c-6f0a3c1b7d52",
    task_type="upload",
    phase="running",
    state=State.RUNNING,
    stalled=False,
    history=False,
    progress=0.42,
    retries=0,
    warnings=0,
    reason=None,
    message="",
    created=_NOW - timedelta(minutes=4),
    scheduled=_NOW - timedelta(minutes=4),
    updated=_NOW - timedelta(seconds=7),
    finished=None,
    changed=_NOW - timedelta(seconds=7),
    project="",
    input_asset="",
    output_asset="9b1de0a4-5a0f-4b7e-8c55-2f1f7f5e6d10",
    labels={},
)

PAGE: Final = TaskPage(tasks=[TASK], total=17, offset=0, limit=1)

ACCOUNTS: Final = AccountList(
    accounts=[
        AccountRecord(
            provider=Provider.LIVEPEER,
            account="studio",
            up=False,
            since=_NOW - timedelta(minutes=2),
            outcome=Outcome.ERROR,
            polled=_NOW - timedelta(seconds=12),
            poll_seconds=0.31,
            succeeded=_NOW - timedelta(minutes=2, seconds=15),
            errors=[
                PollError(
                    endpoint=Endpoint.LIVEPEER_LIST,
                    reason=ErrorReason.SERVER,
                    message="HTTP 503",
                    times=1,
                )
            ],
            tasks=_COUNTS,
            stalled=0,
            failed=1,
        )
    ]
)

STATUS: Final = StatusRecord(
    version=__version__,
    started=_NOW - timedelta(hours=30),
    now=_NOW,
    accounts_up=0,
    accounts_down=1,
    tasks=_COUNTS,
    stalled=0,
    failed=1,
    config_reload_successful=True,
    ledger_degraded=False,
    shard=1,
    total_shards=3,
)
