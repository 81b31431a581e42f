"""Livepeer Studio's API for tasks, as its own open-source server was recorded answering it.

Only API keys by `Authorization: Bearer` are known; the dashboard's JWT and HTTP Basic are not.
"""

import re
from urllib.parse import unquote

from exporter.simulator.answer import Answer, Request
from exporter.simulator.express import (
    compact_json,
    express_answer,
    express_error,
    next_link,
)
from exporter.simulator.livepeer_query import BadFilterError, QueryError, Row, select
from exporter.simulator.livepeer_world import LivepeerAccount, LivepeerWorld

_AUTHORIZATION = re.compile(r"\s*(\w+)\s+(.+)")
_TASK = re.compile(r"/api/task/([^/]+)/?")
_LIST = frozenset({"/api/task", "/api/task/"})


class LivepeerService:
    """Answers requests about the tasks of a world."""

    def __init__(self, world: LivepeerWorld) -> None:
        self._world = world

    def target(self, path: str) -> str:
        """Return `livepeer_task` for one task, else `livepeer_list`."""
        return "livepeer_task" if _TASK.fullmatch(path) else "livepeer_list"

    def answer(self, request: Request) -> Answer:
        """Return what the server answers."""
        account = self._authorized(request)
        if isinstance(account, Answer):
            return account
        if request.method in {"GET", "HEAD"}:
            if request.path in _LIST:
                return _list(request, account)
            task = _TASK.fullmatch(request.path)
            if task:
                return self._task(request, account, unquote(task[1]))
        return express_error(request, 404, "not found")

    def _authorized(self, request: Request) -> LivepeerAccount | Answer:
        """Return whose key it is, or the refusal; the order of the checks is the server's."""
        header = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if not header:
            return express_error(request, 401, "request is not authenticated")
        scheme, key = header[1], header[2].strip()
        if scheme.lower() != "bearer":
            return express_error(request, 401, f"unsupported authorization header scheme: {scheme}")
        account = self._world.accounts.get(key)
        if account is None:
            # The real server echoes the key, too.
            return express_error(request, 401, f"no token {key} found")
        if account.suspended:
            return express_error(request, 403, "user is suspended")
        origin = request.headers.get("origin")
        if origin:
            reason = f"credentials do not allow CORS access from origin {origin}"
            return express_error(request, 403, reason)
        if account.browser_only:
            return express_error(request, 403, "access forbidden for restricted CORS API tokens")
        return account

    def _task(self, request: Request, account: LivepeerAccount, task: str) -> Answer:
        found = self._world.owner(task)
        if found is None:
            return express_error(request, 404, "not found")
        owner, row = found
        if owner is not account:
            reason = "user can only request information on their own tasks"
            return express_error(request, 403, reason)
        uncleanable = _uncleanable([row])
        if uncleanable:
            return _crashed(request, uncleanable)
        return express_answer(request, 200, row[0].rendered(row[1]).encode())


def _list(request: Request, account: LivepeerAccount) -> Answer:
    try:
        page = select(account.rows(), request.query)
    except BadFilterError as error:
        return express_error(request, 400, f"error parsing filters: {error}")
    except QueryError:
        return express_error(request, 500, "Internal server error: error")
    headers = []
    if page.cursor is not None:
        if request.query.get("count"):
            headers.append(("X-Total-Count", str(page.total)))
        headers.append(next_link(request, page.cursor))
    uncleanable = _uncleanable(page.rows)
    if uncleanable:
        return _crashed(request, uncleanable, *headers)
    body = "[" + ",".join(task.rendered(step) for task, step in page.rows) + "]"
    return express_answer(request, 200, body.encode(), *headers)


def _uncleanable(rows: list[Row]) -> str | None:
    """Return the field over which the server stumbles while it cleans secrets from parameters, if any."""
    for task, _ in rows:
        name = task.fixed.get("type")
        if name in {"upload", "transcode-file"} and "params" not in task.fixed:
            return str(name)
    return None


def _crashed(request: Request, name: str, *headers: tuple[str, str]) -> Answer:
    body = compact_json({"message": f"Cannot read properties of undefined (reading '{name}')"})
    return express_answer(request, 500, body.encode(), *headers, ("content-language", "en"))
