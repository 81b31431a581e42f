"""`helm` and `kubectl` as far as the documents use them: Helm's own engine, and a cluster that is a file.

What the engine refuses fails, and so does what Kubernetes would not do: take an object that it does not know,
change what it never changes or what is somebody else's, or find what is not there. And so do shards of two
numbers at once.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import helm_python
import yaml

from tests.helm import KUBERNETES, ROOT, Object, check, merged

_STATE = Path("cluster.json")
_FIXED = ("volumeClaimTemplates", "serviceName", "podManagementPolicy", "selector")


@dataclass
class Cluster:
    """What there is.

    Attributes:
        releases: The values of each release.
        objects: The objects by `kind/name`, the kind in small letters; of claims, only their labels.
        scaled: How many replicas `kubectl` gave an object, by its `kind/name`.
    """

    releases: dict[str, Any] = field(default_factory=dict)
    objects: dict[str, Any] = field(default_factory=dict)
    scaled: dict[str, int] = field(default_factory=dict)

    def find(self, name: str) -> Object:
        """The object of that kind and name."""
        if name not in self.objects:
            sys.exit(f"there is no {name}, only {', '.join(sorted(self.objects))}")
        found: Object = self.objects[name]
        return found

    def apply(self, found: Object) -> None:
        """Take an object over, and what a controller makes of it."""
        check(found, KUBERNETES[-1])
        name = f"{found['kind'].lower()}/{found['metadata']['name']}"
        spec, before = found.get("spec", {}), self.objects.get(name, {}).get("spec", {})
        if found["kind"] == "StatefulSet" and before:
            changed = [each for each in _FIXED if spec.get(each) != before.get(each)]
            if changed:
                sys.exit(f"{name}: updates to statefulset spec for {', '.join(changed)} are forbidden")
            self._check_replicas(name, before["replicas"], spec["replicas"])
        self.objects[name] = found
        for template in spec.get("volumeClaimTemplates", ()):
            for number in range(spec["replicas"]):
                claim = f"pvc/{template['metadata']['name']}-{found['metadata']['name']}-{number}"
                self.objects.setdefault(claim, template["metadata"]["labels"])

    def _check_replicas(self, name: str, before: int, after: int) -> None:
        # Since version 4, Helm applies on the server, where each field has an owner.
        if self.scaled.get(name, after) != after:
            sys.exit(f'{name}: conflict with "kubectl" with subresource "scale": .spec.replicas')
        if 0 < before != after > 0:
            sys.exit(f"{name}: for a while, pods of {before} shards and of {after} count the same")


def install(cluster: Cluster, name: str, chart: str, values: Mapping[str, Any]) -> None:
    """Install a release, or upgrade it."""
    with helm_python.Chart.load(chart) as loaded:
        loaded.validate_schema(dict(values))
        texts = loaded.render(dict(values), name=name, namespace="media")
    rendered = (text for path, text in texts.items() if not path.endswith("NOTES.txt"))
    for text in rendered:
        for found in yaml.safe_load_all(text):
            if found:
                cluster.apply(found)
    cluster.releases[name] = values


def helm(cluster: Cluster, arguments: Sequence[str]) -> None:
    """Do what `helm` does."""
    parser = argparse.ArgumentParser("helm", allow_abbrev=False)
    parser.add_argument("command", choices=["install", "upgrade", "uninstall"])
    parser.add_argument("name")
    parser.add_argument("chart", nargs="?")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--values", action="append", default=[])
    parser.add_argument("--reuse-values", action="store_true")
    parser.add_argument("--wait", action="store_true")
    given = parser.parse_args(arguments)
    helm_python.validate_release_name(given.name)
    if (given.command == "install") == (given.name in cluster.releases):
        sys.exit(f"the releases are: {', '.join(cluster.releases)}")
    if given.command == "uninstall":
        del cluster.releases[given.name]
        cluster.objects = {name: each for name, each in cluster.objects.items() if "pvc/" in name}
        return
    layers = [cluster.releases[given.name]] if given.reuse_values else []
    layers += [helm_python.values_from_yaml(Path(file).read_text()) for file in given.values]
    layers += [helm_python.parse_set_string(text) for text in given.set]
    install(cluster, given.name, given.chart, merged(*layers))


def kubectl(cluster: Cluster, arguments: Sequence[str]) -> None:
    """Do what `kubectl` does."""
    parser = argparse.ArgumentParser("kubectl", allow_abbrev=False)
    parser.add_argument("command", choices=["create", "delete", "patch", "scale"])
    parser.add_argument("kind", choices=["secret", "pvc", "statefulset"])
    parser.add_argument("name", nargs="*")
    parser.add_argument("--from-file", action="append", default=[])
    parser.add_argument("--selector")
    parser.add_argument("--cascade", choices=["orphan"])
    parser.add_argument("--patch", type=json.loads)
    parser.add_argument("--replicas", type=int)
    given = parser.parse_args(arguments)
    name = f"{given.kind}/{given.name[-1] if given.name else ''}"
    match given.command:
        case "create":
            cluster.objects[name] = {Path(file).name: Path(file).read_text() for file in given.from_file}
        case "delete" if given.selector:
            label = tuple(given.selector.split("="))
            gone = [each for each, labels in cluster.objects.items() if label in labels.items()]
            for each in gone or sys.exit(f"nothing has the label {given.selector}"):
                del cluster.objects[each]
        case "delete":
            cluster.find(name)
            del cluster.objects[name]
        case "scale":
            cluster.find(name)["spec"]["replicas"] = cluster.scaled[name] = given.replicas
        case "patch":
            cluster.find(name)


def prepare(folder: Path, releases: Mapping[str, Mapping[str, Any]], claims: Sequence[str] = ()) -> None:
    """Make a cluster in a folder, and the programs `helm` and `kubectl` in its `bin`.

    Args:
        folder: Where they are called.
        releases: What is installed: the values of each by its name.
        claims: What is left of shards that are gone.
    """
    cluster = Cluster(objects={f"pvc/{claim}": {} for claim in claims})
    for name, values in releases.items():
        install(cluster, name, str(ROOT / "helm" / "transcoding-exporter"), values)
    (folder / _STATE).write_text(json.dumps(asdict(cluster)))
    (folder / "bin").mkdir(exist_ok=True)
    for program in _PROGRAMS:
        script = folder / "bin" / program
        words = " ".join(["exec", quote(sys.executable), "-m", __name__, program, '"$@"'])
        script.write_text(f"#!/bin/sh\nPYTHONPATH={quote(str(ROOT))} {words}\n")
        script.chmod(0o755)


_PROGRAMS: Mapping[str, Callable[[Cluster, Sequence[str]], None]] = {"helm": helm, "kubectl": kubectl}

if __name__ == "__main__":
    _, called, *rest = sys.argv
    state = Cluster(**json.loads(_STATE.read_text()))
    _PROGRAMS[called](state, rest)
    _STATE.write_text(json.dumps(asdict(state)))
