"""The description of the JSON API in OpenAPI's words, made of the types that the API is made of. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from exporter import __version__
from exporter.model import Provider
from exporter.report.records import AccountList, ErrorRecord, StatusRecord, TaskPage, TaskRecord
from exporter.web.examples import ACCOUNTS, PAGE, STATUS, TASK
from exporter.web.query import Name, TaskQuery
from exporter.web.schemas import REFERENCE, schemas

BASE: Final = "/api/v1"

JSON: Final = "application/json"


class TaskPlace(Struct, frozen=True):
    """Where a task is found. Whatever is special in a path is percent-encoded, a slash too: `%2F`.

    Attributes:
        provider: Where it runs.
        account: Name of the account in the configuration.
        task: The task as it is shown, or Qencode's token where `task_label: hash` hides it.
    """

    provider: Provider
    account: Name
    task: Name


@dataclass(frozen=True, slots=True)
class Operation:
    """What one can ask for.

    Attributes:
        id: Its name.
        path: Its place below `BASE`; what stands in braces is a field of `place`.
        summary: What is answered, in a line.
        answer: The type of the answer; None if it is this description.
        example: An answer.
        query: The parameters of the query; None if there are none.
        place: The parameters of the path; None if there are none.
        links: How an answer leads to other operations.
    """

    id: str
    path: str
    summary: str
    answer: type[Struct] | None = None
    example: Struct | None = None
    query: type[Struct] | None = None
    place: type[Struct] | None = None
    links: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """The path as Flask wants it."""
        return BASE + re.sub(r"\{(\w+)\}", r"<\1>", self.path)


_FIRST_TASK: Final = {
    "operationId": "getTask",
    "description": "The first task of the page, by itself.",
    "parameters": {name: f"$response.body#/tasks/0/{name}" for name in TaskPlace.__struct_fields__},
}

TASKS: Final = Operation(
    "listTasks",
    "/tasks",
    "Active tasks, and ended ones until their retention is over.",
    answer=TaskPage,
    example=PAGE,
    query=TaskQuery,
    links={"firstTask": _FIRST_TASK},
)
ONE_TASK: Final = Operation(
    "getTask",
    "/tasks/{provider}/{account}/{task}",
    "One task.",
    answer=TaskRecord,
    example=TASK,
    place=TaskPlace,
)
EVERY_ACCOUNT: Final = Operation(
    "listAccounts", "/accounts", "All accounts, those that are down first.", AccountList, ACCOUNTS
)
HOW_IT_IS: Final = Operation(
    "getStatus", "/status", "How the exporter is, and what it sees.", StatusRecord, STATUS
)
DESCRIPTION: Final = Operation("getDescription", "/openapi.json", "This description.")

OPERATIONS: Final = (TASKS, ONE_TASK, EVERY_ACCOUNT, HOW_IT_IS, DESCRIPTION)

_ABOUT: Final = """\
What the exporter knows about transcoding tasks, for scripts and dashboards.

Before it answers, it lets the polls start that are due, and waits for them for at most two seconds; what
takes longer shows in a later answer. So it is as new as `poll.min_poll_interval` and the providers allow.

Dates are in UTC, as in RFC 3339. An error is told as `{"error": "…"}`. A parameter that is not known, or a
value that makes no sense, is refused. `HEAD` is answered like `GET`, and any other method with 405."""


def document(path: str = "") -> Mapping[str, Any]:
    """Return the description.

    Args:
        path: What comes before `BASE` in a URL, like `/transcoding`.
    """
    answers = [operation.answer for operation in OPERATIONS if operation.answer]
    asked = [kind for operation in OPERATIONS for kind in (operation.query, operation.place) if kind]
    known = schemas([*answers, *asked, ErrorRecord])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "transcoding-exporter",
            "summary": "Tasks at Qencode and Livepeer Studio.",
            "description": _ABOUT,
            "version": __version__,
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": path or "/"}],
        # Whether a password is wanted is for --web.config.file to say.
        "security": [{}, {"basic": []}],
        "paths": {f"{BASE}{each.path}": {"get": _operation(each, known)} for each in OPERATIONS},
        "components": {
            "schemas": {name: one for name, one in known.items() if name not in _names(asked)},
            "responses": _ERRORS,
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "A user in the file of `--web.config.file`, if there are any.",
                }
            },
        },
    }


def _names(kinds: list[type[Struct]]) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in kinds)


def _operation(operation: Operation, known: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    body: dict[str, Any] = {"schema": {"type": "object"}}
    if operation.answer:
        body["schema"] = {"$ref": REFERENCE.format(name=operation.answer.__name__)}
        body["example"] = msgspec.to_builtins(operation.example)
    good: dict[str, Any] = {"description": operation.summary, "content": {JSON: body}}
    if operation.links:
        good["links"] = operation.links
    errors = {"400": "BadRequest", "401": "Unauthorized", "429": "TooManyRequests", "500": "Bug"}
    if operation.place:
        errors["404"] = "NotFound"
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": [*_path(operation.place, known), *_query(operation.query, known)],
        "responses": {
            "200": good,
            **{status: {"$ref": f"#/components/responses/{errors[status]}"} for status in sorted(errors)},
        },
    }


def _path(place: type[Struct] | None, known: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": about, "schema": schema}
        for name, about, schema in _fields(place, known)
    ]


def _query(query: type[Struct] | None, known: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        {"name": name, "in": "query", "description": about, "schema": schema}
        for name, about, schema in _fields(query, known)
    ]


def _fields(
    kind: type[Struct] | None, known: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return the names, the descriptions and the schemas of the fields of a type."""
    if kind is None:
        return []
    return [
        (name, schema["description"], {key: value for key, value in schema.items() if _tells(key, value)})
        for name, schema in known[kind.__name__]["properties"].items()
    ]


def _tells(key: str, value: object) -> bool:
    # A parameter that is empty unless it is given needs no word about it.
    return key != "description" and not (key == "default" and value in ((), ""))


def _error(about: str, example: str) -> Mapping[str, Any]:
    schema = {"$ref": REFERENCE.format(name=ErrorRecord.__name__)}
    return {"description": about, "content": {JSON: {"schema": schema, "example": {"error": example}}}}


def _refusal(about: str, header: str, header_about: str) -> Mapping[str, Any]:
    return {
        "description": about,
        "headers": {header: {"description": header_about, "schema": {"type": "string"}}},
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }


_ERRORS: Final = {
    "BadRequest": _error(
        "A parameter is not known, or its value makes no sense.",
        "limit can't be '0': write a whole number from 1 to 1000",
    ),
    "NotFound": _error(
        "There is no such account or no such task.",
        "there is no account of that name at livepeer; write studio",
    ),
    "Bug": _error("A mistake of ours.", "a bug; the log says more"),
    "Unauthorized": _refusal(
        "A user name and its password are wanted.", "WWW-Authenticate", "How to send them."
    ),
    "TooManyRequests": _refusal(
        "More requests have come than `rate_limit` allows.", "Retry-After", "Seconds to wait."
    ),
}
