"""The description of the API is true: of whatever it says may be asked, the answers are as it says."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from jsonschema import Draft202012Validator

from exporter import __version__
from exporter.model import TASK_TYPES
from exporter.reporter import Reporter
from exporter.web.app import Site, create_app
from exporter.web.openapi import OPERATIONS, document
from exporter.web.query import TaskQuery
from tests.processes import exporting
from tests.support import DrivenClock, livepeer_config
from tests.support import exporting as watching

SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))

DOCUMENT: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(document("/video")))
"""As it is sent."""

SCHEMAS = DOCUMENT["components"]["schemas"]


def operations() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        assert list(methods) == ["get"]
        yield path, methods["get"]


# --- In use ----------------------------------------------------------------------------------------


def test_given_a_running_exporter_when_schemathesis_asks_whatever_it_can_think_of_then_nothing_contradicts(
    tmp_path: Path,
) -> None:
    with exporting("demo") as (_, url):
        found = subprocess.run(
            [
                SCHEMATHESIS,
                "run",
                f"{url.removesuffix('/metrics')}/api/v1/openapi.json",
                "--checks=all",
                "--mode=all",
                "--max-examples=50",
                "--generation-deterministic",
                "--continue-on-failure",
                "--workers=4",
                "--no-color",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )

    assert found.returncode == 0, found.stdout + found.stderr
    assert "No issues found" in found.stdout
    assert "API Links:    1 covered" in found.stdout, "no answer had a task in it"


def test_the_examples_of_the_documentation_are_answered() -> None:
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    examples = re.findall(r"http://localhost:10477(/api/[^\s']+)", text)
    with exporting("demo") as (_, url):
        answers = [requests.get(url.removesuffix("/metrics") + example, timeout=10) for example in examples]

    assert len(examples) >= 5
    assert [answer.status_code for answer in answers] == [200] * len(examples)


# --- In itself -------------------------------------------------------------------------------------


def test_it_says_what_it_describes_and_where_that_is() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["version"] == __version__
    assert DOCUMENT["servers"] == [{"url": "/video"}]
    assert document()["servers"] == [{"url": "/"}]
    assert DOCUMENT["security"] == [{}, {"basic": []}], "without a password, if none is configured"


def test_it_describes_every_page_of_the_api_and_no_other(clock: DrivenClock, simulator: Any) -> None:
    with watching(clock, livepeer_config(simulator)) as exporter:
        site = Site(exporter.exposition.render, lambda _: None, Reporter(exporter))
        rules = create_app(site).url_map.iter_rules()
        served = {str(rule) for rule in rules if rule.endpoint.startswith("api.")}

    assert {operation.rule for operation in OPERATIONS} == served
    assert [path for path, _ in operations()] == [
        "/api/v1/tasks",
        "/api/v1/tasks/{provider}/{account}/{task}",
        "/api/v1/accounts",
        "/api/v1/status",
        "/api/v1/openapi.json",
    ]


def test_every_operation_parameter_and_attribute_is_explained() -> None:
    told = [(path, operation["summary"]) for path, operation in operations()]
    for path, operation in operations():
        told += [(f"{path} {one['name']}", one["description"]) for one in operation["parameters"]]
    for name, schema in SCHEMAS.items():
        told.append((name, schema["description"]))
        told += [(f"{name}.{key}", one["description"]) for key, one in schema.get("properties", {}).items()]

    assert len(told) > 80
    assert [place for place, text in told if not text.endswith((".", "?"))] == []
    assert [place for place, text in told if "  " in text or "Attributes" in text] == []


def test_the_words_of_an_attribute_are_those_of_its_docstring() -> None:
    task = SCHEMAS["TaskRecord"]

    assert task["description"] == "What is known about one task."
    assert task["properties"]["progress"] == {
        "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}],
        "description": "Ratio from 0 to 1; null if the provider does not tell.",
    }
    for name in ("created", "scheduled", "updated", "finished"):
        assert task["properties"][name] == {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
            "description": "The provider's times; null if it tells none.",
        }
    assert SCHEMAS["State"]["type"] == "string"
    assert sorted(SCHEMAS["State"]["enum"]) == [
        "cancelled",
        "completed",
        "failed",
        "queued",
        "running",
        "unknown",
    ]


def test_the_parameters_of_the_query_are_those_that_are_read() -> None:
    asked = {one["name"]: one for one in DOCUMENT["paths"]["/api/v1/tasks"]["get"]["parameters"]}

    assert tuple(asked) == TaskQuery.__struct_fields__
    assert {one["in"] for one in asked.values()} == {"query"}
    assert asked["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
    assert asked["stalled"]["schema"] == {"type": "boolean"}
    assert asked["state"]["schema"] == {"type": "array", "items": {"$ref": "#/components/schemas/State"}}
    assert asked["account"]["schema"] == {"type": "array", "items": {"type": "string", "minLength": 1}}
    assert set(SCHEMAS["TaskType"]["enum"]) == {kind for kinds in TASK_TYPES.values() for kind in kinds}


def test_every_reference_leads_somewhere() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from ([part["$ref"]] if "$ref" in part else ())
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                yield from references(one)

    found = set(references(DOCUMENT))

    assert found
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize("path", [path for path, _ in operations()])
def test_the_examples_are_as_the_schemas_say(path: str) -> None:
    answers = {**DOCUMENT["paths"][path]["get"]["responses"]}
    answers |= DOCUMENT["components"]["responses"]
    tried = 0
    for answer in answers.values():
        for body in answer.get("content", {}).values():
            if "example" in body:
                schema = {**body["schema"], "components": DOCUMENT["components"]}
                checker = Draft202012Validator.FORMAT_CHECKER
                Draft202012Validator(schema, format_checker=checker).validate(body["example"])
                tried += 1
    assert tried >= 3
