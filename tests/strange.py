"""A server in the place of an exporter, that answers as a test says."""

from typing import Final

import msgspec

from exporter.report.records import AccountList, TaskPage
from tests.records import a_task, an_account
from tests.wire import Asked, Wire, http

STATUS: Final = b"""{
    "version": "1", "started": "2026-11-21T20:00:00Z", "now": "2026-11-21T21:00:00Z",
    "accounts_up": 1, "accounts_down": 0, "stalled": 0, "failed": 0,
    "tasks": {"queued": 0, "running": 0, "completed": 0, "failed": 0, "cancelled": 0, "unknown": 0},
    "config_reload_successful": true, "ledger_degraded": false
}"""


class Strange(Wire):
    """An exporter in which one account has some tasks.

    Attributes:
        account: The account.
        tasks: Its tasks.
        refusal: What is answered instead to whatever is asked; None for nothing.
    """

    def __init__(self) -> None:
        super().__init__(self._told)
        self.account = an_account()
        self.tasks = [a_task()]
        self.refusal: bytes | None = None

    def _told(self, asked: Asked) -> bytes:
        return self.refusal or http(200, self._record(asked))

    def _record(self, asked: Asked) -> bytes:
        if asked.path.endswith("/accounts"):
            return msgspec.json.encode(AccountList(accounts=[self.account]))
        if asked.path.endswith("/status"):
            return STATUS
        if "/tasks/" in asked.path:
            return msgspec.json.encode(self.tasks[0])
        offset, limit = int(asked.query["offset"]), int(asked.query["limit"])
        tasks = self.tasks[offset : offset + limit]
        return msgspec.json.encode(TaskPage(tasks=tasks, total=len(self.tasks), offset=offset, limit=limit))
