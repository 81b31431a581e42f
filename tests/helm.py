"""The chart as Helm's own engine renders it, what Kubernetes would say, and its pod as a process."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.processes import ANY_PORT, EXPORTER, Process, running

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "transcoding-exporter"
CRDS = ROOT / "tests" / "data" / "crds"

RELEASE, NAMESPACE = "tx", "media"
NAME = "tx-transcoding-exporter"

Values = Mapping[str, Any]
Object = Mapping[str, Any]

# The package has each version twice: once for strict schemas.
KUBERNETES: Sequence[str] = [*dict.fromkeys(kubernetes_validate.utils.all_versions())][-3:]
"""The newest versions of Kubernetes that kubernetes-validate knows."""

_WORKLOADS = ("StatefulSet", "Deployment")


@cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def files(values: Values | None = None) -> Mapping[str, str]:
    """What each template becomes, by its path below `templates`; nothing of those that become nothing."""
    return _files(json.dumps(values or {}))


@cache
def _files(values: str) -> Mapping[str, str]:
    given = json.loads(values)
    chart().validate_schema(given)
    return rendered_by(chart(), given)


def rendered_by(loaded: helm_python.Chart, values: Values | None = None) -> Mapping[str, str]:
    """What each template of a chart becomes."""
    texts = loaded.render(dict(values or {}), name=RELEASE, namespace=NAMESPACE)
    return {path.partition("/templates/")[2]: text for path, text in texts.items() if text.strip()}


def notes(values: Values | None = None) -> str:
    """What whoever installs it is told."""
    return files(values)["NOTES.txt"]


def objects(values: Values | None = None) -> list[Object]:
    """All objects, the helm test's pod among them."""
    return [*_objects(json.dumps(values or {}))]


@cache
def _objects(values: str) -> Sequence[Object]:
    texts = [text for path, text in _files(values).items() if path != "NOTES.txt"]
    return [found for text in texts for found in yaml.load_all(text, yaml.CSafeLoader) if found]


def one(kind: str, values: Values | None = None, name: str = NAME) -> Object:
    """The object of a kind and a name."""
    [found] = [each for each in objects(values) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def workload(values: Values | None = None) -> Object:
    """The StatefulSet or the Deployment."""
    [found] = [each for each in objects(values) if each["kind"] in _WORKLOADS]
    return found


def pod(values: Values | None = None) -> Mapping[str, Any]:
    """The spec of the exporter's pod."""
    spec: Mapping[str, Any] = workload(values)["spec"]["template"]["spec"]
    return spec


def container(values: Values | None = None) -> Mapping[str, Any]:
    """The exporter's container."""
    [found] = [each for each in pod(values)["containers"] if each["name"] == "exporter"]
    return dict(found)


def pods(rendered: Sequence[Object]) -> list[tuple[Mapping[str, str], Mapping[str, Any]]]:
    """Labels and spec of every pod there would be."""
    templates = [each["spec"]["template"] for each in rendered if each["kind"] in _WORKLOADS]
    plain = [each for each in rendered if each["kind"] == "Pod"]
    return [(each["metadata"]["labels"], each["spec"]) for each in (*templates, *plain)]


def refusal(values: Values) -> str:
    """What Helm says to values that it refuses."""
    with pytest.raises(helm_python.HelmError) as refused:
        objects(values)
    return str(refused.value)


def findings(values: Values | None = None) -> list[str]:
    """What the linter says, but for what is only information."""
    report = helm_python.lint(CHART, dict(values or {}), strict=True, namespace=NAMESPACE)
    return [*report["errors"], *(each["error"] for each in report["messages"] if each["severity"] > 1)]


def check(found: Object, version: str) -> None:
    """Fail unless a version of Kubernetes would take an object, or its custom resource's own schema does."""
    _check(json.dumps(found, sort_keys=True), version)


@cache
def _check(text: str, version: str) -> None:
    found = json.loads(text)
    own = CRDS / f"{found['kind'].lower()}.json"
    if own.exists():
        Draft202012Validator(json.loads(own.read_text())).validate(found)
    else:
        kubernetes_validate.validate(found, version, strict=True)


# --- A pod without Kubernetes ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pod:
    """The exporter's container, run as a process with its volumes in a folder."""

    process: Process
    folder: Path
    port: int
    probe: str

    @property
    def site(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def command(
    values: Values, folder: Path, secrets: Mapping[str, Mapping[str, str]]
) -> tuple[list[str], dict[str, str]]:
    """Lay the volumes out below a folder as a kubelet does; return the command and its variables.

    Args:
        values: The chart's.
        folder: Where the root of the container is.
        secrets: The content of Secrets that the chart does not make, by name and key.
    """
    made = {
        each["metadata"]["name"]: {key: b64decode(text).decode() for key, text in each["data"].items()}
        for each in objects(values)
        if each["kind"] == "Secret"
    }
    known = {**secrets, **made}
    mounts = {each["name"]: each["mountPath"] for each in container(values)["volumeMounts"]}
    for volume, path in mounts.items():
        place = folder / path.removeprefix("/")
        place.mkdir(parents=True)
        for name, content in _projected(values, volume, known):
            (place / name).write_text(content)
    words = [*container(values)["args"], ANY_PORT]
    inside = re.compile(rf"=(?=(?:{'|'.join(mounts.values())})/)")
    words = [inside.sub(f"={folder}", word) for word in words]
    return [*EXPORTER, *words], _variables(values, known)


def _projected(
    values: Values, volume: str, secrets: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    for each in pod(values)["volumes"]:
        if each["name"] == volume and "projected" in each:
            for source in each["projected"]["sources"]:
                yield from secrets[source["secret"]["name"]].items()


def _variables(values: Values, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    variables = {}
    for each in container(values).get("env", ()):
        if "value" in each:
            variables[each["name"]] = each["value"]
        elif "secretKeyRef" in each["valueFrom"]:
            key = each["valueFrom"]["secretKeyRef"]
            if key["key"] in secrets[key["name"]] or not key.get("optional"):
                variables[each["name"]] = secrets[key["name"]][key["key"]]
    return variables


@contextmanager
def started(
    values: Values,
    folder: Path,
    secrets: Mapping[str, Mapping[str, str]] | None = None,
    **of_the_pod: str,
) -> Iterator[Pod]:
    """The exporter as its container would run it, with the variables that are the pod's own."""
    words, variables = command(values, folder, secrets or {})
    with running(words, variables | of_the_pod) as process:
        port = int(process.find(r'\burl="?https?://[^\s"]+?:(\d+)'))
        probe = container(values)["readinessProbe"].get("httpGet", {}).get("path", "")
        yield Pod(process, folder, port, probe)


def merged(*layers: Values) -> Values:
    """The values of several files, as Helm lays one over the other."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
            result[key] = merged(result[key], value) if both else value
    return result
