"""The vendors' own clients, as they are, work with the simulator: it speaks what they understand."""

from collections.abc import Iterator

import httpx
import livepeer
import pytest
from qencode3.client import Client

from exporter.simulator import Life, SimulatedClock, Simulator


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=1_795_300_000.0, speed=0.0)


@pytest.fixture
def simulator(clock: SimulatedClock) -> Iterator[Simulator]:
    with Simulator(clock=clock) as running:
        yield running


# --- qencode3 --------------------------------------------------------------------------------------

QUERY = (
    '{"query": {"source": "https://example.test/v.mp4", "format": [{"output": "mp4", "size": "320x240"}]}}'
)


def client(simulator: Simulator) -> Client:
    return Client(simulator.qencode.api_key, api_url=simulator.qencode_url)


def test_given_the_qencode_client_when_a_job_is_started_then_it_can_be_followed_to_its_end(
    simulator: Simulator, clock: SimulatedClock
) -> None:
    task = client(simulator).create_task()
    task.custom_start(QUERY)

    assert not task.error, task.message
    assert task.status_url in [f"{url}/v1/status" for url in simulator.master_urls]
    seen = set()
    for _ in range(120):
        clock.advance(5)
        seen.add(task.status()["status"])

    assert task.status()["status"] in {"completed", "saved"}
    assert task.status()["videos"]
    assert seen >= {"queued", "encoding"}


def test_given_the_qencode_client_when_a_job_is_started_by_profile_then_it_runs(
    simulator: Simulator, clock: SimulatedClock
) -> None:
    task = client(simulator).create_task()
    task.start("5a2a846a26e88", "https://example.test/v.mp4")
    clock.advance(600)

    assert not task.error, task.message
    assert task.status()["percent"] == 100.0


def test_given_a_master_that_lost_the_job_when_the_qencode_client_asks_then_it_falls_back_to_the_api(
    simulator: Simulator, clock: SimulatedClock
) -> None:
    # With a slash at its end, as in the client's own default, it asks for `//v1/status`.
    task = Client(simulator.qencode.api_key, api_url=f"{simulator.qencode_url}/").create_task()
    task.custom_start(QUERY)
    clock.advance(60)
    task.status_url = next(
        f"{url}/v1/status" for url in simulator.master_urls if f"{url}/v1/status" != task.status_url
    )

    assert task.status()["status"] in {"queued", "downloading", "encoding"}
    assert [request.target for request in simulator.requests][-1] == "qencode_api"


def test_given_a_wrong_key_when_the_qencode_client_connects_then_it_is_told(simulator: Simulator) -> None:
    refused = Client("wrong", api_url=simulator.qencode_url)

    assert refused.error
    assert refused.access_token is None


# --- livepeer --------------------------------------------------------------------------------------


@pytest.fixture
def connection() -> Iterator[httpx.Client]:
    """The client never closes a connection that it opened itself."""
    with httpx.Client() as client:
        yield client


@pytest.fixture
def studio(simulator: Simulator, connection: httpx.Client) -> livepeer.Livepeer:
    return sdk(simulator, connection)


def sdk(simulator: Simulator, connection: httpx.Client) -> livepeer.Livepeer:
    return livepeer.Livepeer(
        api_key=simulator.livepeer_key, server_url=simulator.livepeer_url, client=connection
    )


def test_given_the_livepeer_client_when_all_tasks_are_asked_then_it_reads_them(
    simulator: Simulator, studio: livepeer.Livepeer
) -> None:
    account = simulator.livepeer.account
    made = {account.add(kind): kind for kind in ("upload", "transcode-file", "clip", "export", "export-data")}
    for task in made:
        account.complete(task)

    answer = studio.task.get_all()

    assert answer.data is not None
    assert {task.id: task.type.value for task in answer.data if task.type} == made
    assert {task.status.phase.value for task in answer.data if task.status} == {"completed"}


def test_given_the_livepeer_client_when_one_task_is_asked_then_it_reads_it(
    simulator: Simulator, studio: livepeer.Livepeer
) -> None:
    account = simulator.livepeer.account
    task = account.add("upload")
    account.schedule(task)
    account.progress(task, 0.5)

    found = studio.task.get(task_id=task).task

    assert found is not None
    assert found.status is not None
    assert (found.id, found.status.phase.value, found.status.progress) == (task, "running", 0.5)


def test_given_life_when_the_livepeer_client_asks_for_each_task_of_today_then_it_reads_it(
    clock: SimulatedClock, connection: httpx.Client
) -> None:
    with Simulator(seed=5, life=Life(backlog=1200), clock=clock) as simulator:
        studio = sdk(simulator, connection)
        rows = simulator.livepeer.account.rows()

        # The client knows no tasks of type import: only older records have it.
        tasks = [task.id for task, _ in rows if task.fixed["type"] != "import"]
        read = [studio.task.get(task_id=task).task for task in tasks]

    assert [task.id for task in read if task is not None] == tasks
