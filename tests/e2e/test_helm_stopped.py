"""The chart with no exporter running, which is the step between one number of shards and another."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.helm import CHART, KUBERNETES, Values, check, container, merged, notes, objects, workload
from tests.helm_cluster import prepare
from tests.helm_values import CASES

SHARDED = CASES["sharded"]
STOPPED: Values = {"sharding": {"replicas": 0}}
UPGRADE = f"helm upgrade tx {CHART} --reuse-values --set sharding.replicas="


@pytest.mark.parametrize("name", CASES)
def test_whatever_runs_can_be_stopped_and_no_exporter_is_told_of_no_shards(name: str) -> None:
    values = merged(CASES[name], STOPPED)

    assert workload(values)["spec"]["replicas"] == 0
    assert "SHARD" not in str(container(values))
    assert not [each for each in objects(values) if each["kind"] == "PodDisruptionBudget"]
    assert not [each for each in objects(values) if each["kind"] == "Pod"], "helm test would find nothing"
    for found in objects(values):
        check(found, KUBERNETES[-1])


@pytest.mark.parametrize("name", [each for each in CASES if "sharded" in each or "PostgreSQL" in each])
def test_what_is_stopped_is_the_workload_that_it_was(name: str) -> None:
    before, after = workload(CASES[name]), workload(merged(CASES[name], STOPPED))

    assert (after["kind"], after["metadata"]["name"]) == (before["kind"], before["metadata"]["name"])


def test_the_notes_of_what_is_stopped_say_so_and_how_it_starts_again_and_show_nothing_to_look_at() -> None:
    told = notes(merged(SHARDED, STOPPED))

    assert "IT IS STOPPED" in told
    assert "The volumes stay" in told
    assert "helm upgrade tx CHART --namespace media --reuse-values --set sharding.replicas=NUMBER" in told
    assert "delete pvc ledger-tx-transcoding-exporter-NUMBER" in told
    assert not any(each in told for each in ("It watches", "port-forward", "helm test"))
    assert "The volumes stay" not in notes(STOPPED)
    assert "STOPPED" not in notes(SHARDED)


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What comes of a command in a cluster that is a file."""
    return subprocess.run(
        [folder / "bin" / command.split()[0], *command.split()[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )


def claims(folder: Path) -> set[str]:
    """The names of the claims that there are."""
    found = json.loads((folder / "cluster.json").read_text())["objects"]
    return {name.removeprefix("pvc/ledger-") for name in found if name.startswith("pvc/")}


def test_the_number_of_shards_is_changed_by_the_values_alone_and_the_ledgers_stay(tmp_path: Path) -> None:
    prepare(tmp_path, {"tx": SHARDED})
    three = {f"tx-transcoding-exporter-{number}" for number in (0, 1, 2)}
    assert claims(tmp_path) == three

    stopped = typed(f"{UPGRADE}0 --wait", tmp_path)
    assert stopped.returncode == 0, stopped.stderr
    assert claims(tmp_path) == three

    started = typed(f"{UPGRADE}4", tmp_path)
    assert started.returncode == 0, started.stderr
    assert claims(tmp_path) == three | {"tx-transcoding-exporter-3"}


@pytest.mark.parametrize(
    ("first", "reason"),
    [("kubectl scale statefulset tx-transcoding-exporter --replicas=0", "conflict"), ("", "count the same")],
)
def test_the_cluster_that_the_documents_are_tested_in_takes_no_other_way(
    first: str, reason: str, tmp_path: Path
) -> None:
    prepare(tmp_path, {"tx": SHARDED})
    if first:
        assert typed(first, tmp_path).returncode == 0

    changed = typed(f"{UPGRADE}4", tmp_path)

    assert changed.returncode != 0
    assert reason in changed.stderr
