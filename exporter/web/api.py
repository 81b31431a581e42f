"""The JSON API: what is known about tasks, accounts and the exporter itself."""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from flask import Blueprint, Response, request

from exporter.model import Account, Provider
from exporter.report.board import Board
from exporter.report.records import AccountList, TaskPage
from exporter.report.words import own_tasks_only
from exporter.web.admin import RefusedError, json_answer
from exporter.web.freshness import Reporter
from exporter.web.openapi import DESCRIPTION, EVERY_ACCOUNT, HOW_IT_IS, ONE_TASK, TASKS, document
from exporter.web.query import NoQuery, QueryError, TaskQuery, read_query

_GONE: Final = "the task is not known; it may have ended longer ago than poll.retention"


def json_api(reporter: Reporter, fresh: Callable[[], Board]) -> Blueprint:
    """Return the API.

    Args:
        reporter: Tells what is known.
        fresh: Brings that up to date first, and returns it.
    """
    pages = Blueprint("api", __name__)

    @pages.errorhandler(RefusedError)
    def _refused(error: RefusedError) -> Response:
        return json_answer(error.status, {"error": str(error)})

    @pages.errorhandler(QueryError)
    def _not_understood(error: QueryError) -> Response:
        return json_answer(400, {"error": str(error)})

    @pages.get(TASKS.rule, provide_automatic_options=False)
    def _tasks() -> Response:
        query = read_query(TaskQuery, request.query_string)
        tasks, total = fresh().tasks(query.wish(), query.offset, query.limit)
        return json_answer(
            200, TaskPage(tasks=list(tasks), total=total, offset=query.offset, limit=query.limit)
        )

    @pages.get(ONE_TASK.rule, provide_automatic_options=False)
    def _task(**_: str) -> Response:
        read_query(NoQuery, request.query_string)
        provider, account, task = _place()
        board = fresh()
        there = board.names(provider)
        if account not in there:
            raise RefusedError(404, _with_part(_no_account(provider, there), board))
        # A token is never shown, but who has it may use it.
        found = board.task(Account(provider, account), (task, reporter.label(provider, task)))
        if found is None:
            raise RefusedError(404, _with_part(_GONE, board))
        return json_answer(200, found)

    @pages.get(EVERY_ACCOUNT.rule, provide_automatic_options=False)
    def _accounts() -> Response:
        read_query(NoQuery, request.query_string)
        return json_answer(200, AccountList(accounts=list(fresh().accounts())))

    @pages.get(HOW_IT_IS.rule, provide_automatic_options=False)
    def _status() -> Response:
        read_query(NoQuery, request.query_string)
        fresh()
        return json_answer(200, reporter.status())

    @pages.get(DESCRIPTION.rule, provide_automatic_options=False)
    def _description() -> Response:
        read_query(NoQuery, request.query_string)
        return json_answer(200, document(request.script_root))

    return pages


def _place() -> tuple[Provider, str, str]:
    """Return the provider, the account and the task that the path names."""
    # As it was sent: once it is decoded, a slash in a name looks like a separator.
    sent = request.environ["REQUEST_URI"].partition("?")[0].split("/")[-3:]
    try:
        provider, account, task = (unquote(segment, errors="strict") for segment in sent)
    except UnicodeDecodeError:
        raise RefusedError(404, "the path is not UTF-8; write other characters like %C3%A9") from None
    if provider not in list(Provider):
        raise RefusedError(404, f"there is no such provider; write {' or '.join(Provider)}")
    return Provider(provider), account, task


def _no_account(provider: Provider, there: frozenset[str]) -> str:
    remedy = f"write {', '.join(sorted(there))}" if there else "none is configured"
    return f"there is no account of that name at {provider}; {remedy}"


def _with_part(words: str, board: Board) -> str:
    """Return words about what is missing; what another shard has is not missing there."""
    return "; ".join(filter(None, (words, own_tasks_only(board.part))))
