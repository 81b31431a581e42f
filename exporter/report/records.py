"""What is shown of a task, of an account and of the exporter. The JSON API is made of these types."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from exporter.model import Endpoint, ErrorReason, FailureReason, Outcome, Provider, State

Count = Annotated[int, Meta(ge=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Instant = Annotated[datetime, Meta(tz=True)]


class TaskRecord(Struct, frozen=True, kw_only=True):
    """What is known about one task.

    Attributes:
        provider: Where it runs.
        account: Name of the account in the configuration.
        task: The provider's id, as it may be shown.
        task_type: One of the provider's types, or `other`.
        phase: The provider's own word.
        state: What the phase means.
        stalled: It is active, and phase and progress have not changed for `stall_after`.
        history: It had ended when the account was first watched.
        progress: Ratio from 0 to 1; null if the provider does not tell.
        retries: Retries so far; null if the provider does not tell.
        warnings: Warnings that the provider attached.
        reason: Class of the reason of a failure; null unless it has failed.
        message: The provider's words about an error; empty if there are none.
        created, scheduled, updated, finished: The provider's times; null if it tells none.
        changed: When phase or progress last changed.
        project, input_asset, output_asset: The provider's ids; empty if there are none.
        labels: The custom labels of a Qencode token.
    """

    provider: Provider
    account: str
    task: str
    task_type: str
    phase: str
    state: State
    stalled: bool
    history: bool
    progress: Ratio | None
    retries: Count | None
    warnings: Count
    reason: FailureReason | None
    message: str
    created: Instant | None
    scheduled: Instant | None
    updated: Instant | None
    finished: Instant | None
    changed: Instant
    project: str
    input_asset: str
    output_asset: str
    labels: dict[str, str]


class PollError(Struct, frozen=True, kw_only=True):
    """What a request of the last poll failed of.

    Attributes:
        endpoint: What was asked.
        reason: The class of the error.
        message: The error in words.
        times: How many requests failed so.
    """

    endpoint: Endpoint
    reason: ErrorReason
    message: str
    times: Count


class StateCounts(Struct, frozen=True, kw_only=True):
    """How many tasks are in which state: active ones, and ended ones until their retention is over.

    Attributes:
        queued: Those that wait.
        running: Those that are being worked on.
        completed: Those that ended well.
        failed: Those that failed, those of `history` too; the `failed` that stands beside `tasks` is without.
        cancelled: Those that somebody called off.
        unknown: Those in a phase that is not documented.
    """

    queued: Count
    running: Count
    completed: Count
    failed: Count
    cancelled: Count
    unknown: Count


class AccountRecord(Struct, frozen=True, kw_only=True):
    """How an account is.

    Attributes:
        provider: Where it is.
        account: Its name in the configuration.
        up: Whether its last poll worked; null before the first one has ended.
        since: Since when it is so.
        outcome: How the last poll ended.
        polled: When the last poll ended.
        poll_seconds: How long it took.
        succeeded: When a poll last brought everything.
        errors: What the last poll failed of.
        tasks: Its tasks by state.
        stalled: How many of them are stalled.
        failed: How many of them failed while they were watched, those of `history` left out, as by
            `transcoding_failed_tasks`.
    """

    provider: Provider
    account: str
    up: bool | None
    since: Instant | None
    outcome: Outcome | None
    polled: Instant | None
    poll_seconds: Seconds | None
    succeeded: Instant | None
    errors: list[PollError]
    tasks: StateCounts
    stalled: Count
    failed: Count


class TaskPage(Struct, frozen=True, kw_only=True):
    """Some of the tasks.

    Attributes:
        tasks: The wanted ones, in the wanted order, from `offset` on.
        total: How many there are in all that were asked for.
        offset: How many of them come before these.
        limit: How many at most are shown.
    """

    tasks: list[TaskRecord]
    total: Count
    offset: Count
    limit: Count


class AccountList(Struct, frozen=True, kw_only=True):
    """All accounts that are watched.

    Attributes:
        accounts: Those that are down come first.
    """

    accounts: list[AccountRecord]


class StatusRecord(Struct, frozen=True, kw_only=True):
    """How the exporter is, and what it sees.

    Attributes:
        version: Of the exporter.
        started: When it started.
        now: The present moment by its clock.
        accounts_up, accounts_down: Accounts by how their last poll went; those not yet polled are neither.
        tasks: All tasks by state.
        stalled: How many of them are stalled.
        failed: How many of them failed while they were watched, those of `history` left out, as by
            `transcoding_failed_tasks`.
        config_reload_successful: Whether the configuration was last read without a mistake.
        ledger_degraded: Whether what is new is kept in memory only, because the ledger fails.
        shard: Which one it is, from 0, of the exporters that share the tasks; 0 if it is alone.
        total_shards: How many share them; 1 if it is alone. All that is told is of this one's own tasks.
    """

    version: str
    started: Instant
    now: Instant
    accounts_up: Count
    accounts_down: Count
    tasks: StateCounts
    stalled: Count
    failed: Count
    config_reload_successful: bool
    ledger_degraded: bool
    shard: Count = 0
    total_shards: Annotated[int, Meta(ge=1)] = 1


class ErrorRecord(Struct, frozen=True, kw_only=True):
    """Why a request can't be answered.

    Attributes:
        error: What is wrong, and what to write instead.
    """

    error: str
