"""The exporter as a service: where it listens, what it tells systemd, and how it ends."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests

from exporter.simulator import Fault, FaultKind, Simulator
from tests.processes import EXPORTER, Process, exporting, free_port, run, running, wait_until
from tests.scraping import scrape
from tests.served import livepeer, qencode, serving, write
from tests.talking import GET, Talk
from tests.wire import Asked, Wire, http

DEMO = (*EXPORTER, "demo")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.livepeer.account.add("upload")
        yield simulator


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for sockets, whose paths may not be long."""
    with TemporaryDirectory() as name:
        yield Path(name)


def urls(process: Process, count: int) -> list[str]:
    """The URLs of the metrics, of which so many are logged."""
    return wait_until(
        lambda: (
            found
            if len(found := re.findall(r'event=listening .*\burl="?([^\s"]+)', process.stderr)) == count
            else None
        ),
        20,
        f"{count} addresses",
    )


def over_unix(path: Path) -> Talk:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(str(path))
    return Talk(connection)


# --- Where it listens ----------------------------------------------------------------------------------


def test_given_several_addresses_then_it_is_found_under_each_of_them(folder: Path) -> None:
    unix = folder / "exporter.sock"
    addresses = ["--web.listen-address=127.0.0.1:0", f"--web.listen-address=[::1]:0,unix:{unix}"]
    with running([*DEMO, *addresses]) as process:
        four, six, file = urls(process, 3)

        assert requests.get(four, timeout=10).ok
        assert six.startswith("http://[::1]:")
        assert requests.get(six, timeout=10).ok
        assert file == f"unix:{unix}"
        with over_unix(unix) as talk:
            assert talk.get("/-/healthy").body == b"Healthy.\n"
            assert b"transcoding_up{" in talk.get("/metrics").body
        assert process.stop()[0] == 0
        assert not unix.exists()


def test_given_addresses_in_the_environment_then_blanks_or_commas_are_between_them() -> None:
    addresses = "127.0.0.1:0 127.0.0.1:0,127.0.0.1:0"
    with running(DEMO, {"TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS": addresses}) as process:
        assert [requests.get(url, timeout=10).status_code for url in urls(process, 3)] == [200, 200, 200]


def test_given_only_a_port_then_it_is_found_over_both_protocols() -> None:
    port = free_port()
    with running([*DEMO, f"--web.listen-address=:{port}"]) as process:
        assert urls(process, 1) == [f"http://localhost:{port}/metrics"]
        for host in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{host}:{port}/-/healthy", timeout=10).ok


def test_given_a_socket_that_a_dead_process_has_left_then_it_is_replaced(folder: Path) -> None:
    unix = folder / "exporter.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(unix))
    with running([*DEMO, f"--web.listen-address=unix:{unix}"]) as process:
        urls(process, 1)
        with over_unix(unix) as talk:
            assert talk.get("/-/healthy").status == 200


def test_given_a_socket_that_somebody_listens_on_then_it_stays_theirs(folder: Path) -> None:
    unix = folder / "exporter.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(unix))
        alive.listen()
        result = run("demo", "--web.listen-address", f"unix:{unix}")

        assert result.returncode == 1
        assert result.stderr == f"Error: can't listen on unix:{unix}: Address already in use\n"
        over_unix(unix).socket.close()


def test_given_a_file_where_the_socket_belongs_then_it_is_left_alone(folder: Path) -> None:
    file = folder / "precious"
    file.write_text("data")
    result = run("demo", "--web.listen-address", f"unix:{file}")

    assert result.returncode == 1
    assert result.stderr == f"Error: can't listen on unix:{file}: there is a file that is no socket\n"
    assert file.read_text() == "data"


def test_given_one_address_that_is_taken_then_no_other_is_left_behind(folder: Path) -> None:
    unix = folder / "exporter.sock"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("demo", f"--web.listen-address=unix:{unix}", f"--web.listen-address={address}")

    assert result.returncode == 1
    assert result.stderr == f"Error: can't listen on {address}: Address already in use\n"
    assert not unix.exists()


# --- Behind a proxy ------------------------------------------------------------------------------------


def test_given_an_external_url_then_everything_is_under_its_path_and_people_are_told(
    tmp_path: Path, simulator: Simulator
) -> None:
    config = write(tmp_path / "config.yml", qencode(simulator, "t0"))
    flags = (
        "--web.external-url=https://x.example.com/tx/",
        "--web.enable-admin-api",
        f"--config.file={config}",
    )
    with exporting("serve", *flags) as (process, url):
        site = url.removesuffix("/tx/metrics")
        assert site != url
        assert requests.get(url, timeout=10).ok
        assert requests.get(f"{site}/tx/-/healthy", timeout=1).text == "Healthy.\n"
        assert requests.get(f"{site}/-/healthy", timeout=1).status_code == 404
        assert requests.get(site, timeout=10).url == f"{site}/tx/"
        tokens = f"{site}/tx/api/v1/qencode/vod/tokens"
        assert requests.put(f"{tokens}/a%2Fb", timeout=10).json()["task"] == "a/b"
        too_large = requests.put(f"{tokens}/t", data=b"x" * 70_000, timeout=10)
        assert (too_large.status_code, list(too_large.json())) == (413, ["error"])
        assert "external_url=https://x.example.com/tx" in process.stderr


def test_given_an_external_url_when_the_demo_starts_then_it_is_what_people_are_to_open() -> None:
    with exporting("demo", "--web.external-url=https://x.example.com/tx") as (process, _):
        first = process.stdout.splitlines()[0]

        assert first == (
            "Open https://x.example.com/tx/ (metrics: https://x.example.com/tx/metrics); Ctrl-C stops."
        )


@pytest.mark.parametrize("flag", ["--web.external-url=example.com", "--web.route-prefix=/<a>"])
def test_given_a_place_that_makes_no_sense_then_it_is_told(flag: str) -> None:
    result = run("demo", flag)

    assert result.returncode == 2
    assert f"Invalid value for '{flag.partition('=')[0]}'" in result.stderr


# --- The web configuration -----------------------------------------------------------------------------


def test_given_a_web_configuration_with_mistakes_then_every_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text("basic_auth_user: {}\nhttp_server_config: {http2: maybe}\n")
    result = run("demo", f"--web.config.file={path}")

    assert (result.returncode, result.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [f"{path}:1", f"{path}:2"]


# --- systemd -------------------------------------------------------------------------------------------


class Systemd:
    """Listens as systemd does for what a service has to say."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening

    def hear(self) -> dict[str, str]:
        """The next message."""
        lines = self._listening.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)


@contextmanager
def systemd(address: str) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(20)
        listening.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        yield Systemd(listening)


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_given_systemd_then_it_is_told_when_we_listen_reload_and_stop(
    tmp_path: Path, simulator: Simulator, folder: Path, kind: str
) -> None:
    address = str(folder / "notify") if kind == "path" else f"@transcoding-exporter-{os.getpid()}"
    config = write(tmp_path / "config.yml", livepeer(simulator))
    flags = ("--web.enable-lifecycle", f"--config.file={config}")
    with systemd(address) as heard, exporting("serve", *flags, NOTIFY_SOCKET=address) as (process, url):
        assert heard.hear() == {"READY": "1"}
        assert scrape(url).status == 200

        for ask in (
            lambda: os.kill(process.pid, signal.SIGHUP),
            lambda: requests.post(url.replace("metrics", "-/reload"), timeout=20),
        ):
            ask()
            reloading = heard.hear()
            assert reloading["RELOADING"] == "1"
            assert int(reloading["MONOTONIC_USEC"]) > 0
            assert heard.hear() == {"READY": "1"}

        assert process.stop()[0] == 0
        assert heard.hear() == {"STOPPING": "1"}


def test_given_systemds_watchdog_then_it_hears_from_us_often_enough(folder: Path) -> None:
    address = str(folder / "notify")
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "200000"}
    with systemd(address) as heard, exporting("demo", **variables):
        said = [heard.hear() for _ in range(4)]

    assert sorted(word for message in said for word in message) == [
        "READY",
        "WATCHDOG",
        "WATCHDOG",
        "WATCHDOG",
    ]


def test_given_systemd_that_is_gone_then_it_serves_all_the_same(folder: Path) -> None:
    with exporting("demo", NOTIFY_SOCKET=str(folder / "nothing")) as (process, url):
        assert scrape(url).status == 200
        assert "systemd can't be told" in process.stderr


# --- The end -------------------------------------------------------------------------------------------


def test_given_a_scrape_under_way_when_told_to_stop_then_it_is_finished(
    tmp_path: Path, simulator: Simulator
) -> None:
    """The provider answers only when the exporter has begun to stop."""
    asked, stopping = threading.Event(), threading.Event()

    def slow(_: Asked) -> bytes:
        asked.set()
        stopping.wait(20)
        return http(200, b"[]", "Content-Type: application/json")

    with Wire(slow) as provider, ThreadPoolExecutor(2) as pool:
        config = write(tmp_path / "config.yml", livepeer(simulator, base_url=provider.url))
        with serving(config) as exporter, Talk.to(exporter.url) as idle:
            assert idle.get("/-/healthy").status == 200
            scraping = pool.submit(scrape, exporter.url, "10")
            assert asked.wait(20)
            ending = pool.submit(exporter.process.stop)
            assert idle.rest() == b""
            stopping.set()
            status, seconds = ending.result()

    assert (status, seconds < 5) == (0, True)
    assert scraping.result().status == 200
    assert scraping.result().value("transcoding_up", provider="livepeer", account="studio") == 1


def test_given_a_scrape_of_a_provider_that_hangs_when_told_to_stop_then_it_is_answered_with_what_is_known(
    tmp_path: Path, simulator: Simulator
) -> None:
    config = write(tmp_path / "config.yml", livepeer(simulator))
    with serving(config) as exporter, ThreadPoolExecutor(1) as scraper:
        assert exporter.scrape().total("transcoding_tasks") == 1
        simulator.requests.clear()
        simulator.faults.set("livepeer", Fault(FaultKind.HANG))
        under_way = scraper.submit(scrape, exporter.url, "60")
        wait_until(lambda: simulator.requests.to("livepeer"), 10, "Livepeer is asked")
        status, seconds = exporter.process.stop()

        assert (status, seconds < 5) == (0, True)
        assert under_way.result().status == 200
        assert under_way.result().total("transcoding_tasks") == 1


def test_when_told_to_stop_then_nobody_new_is_let_in(tmp_path: Path, simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    config = write(tmp_path / "config.yml", livepeer(simulator))
    with serving(config) as exporter, Talk.to(exporter.url) as scraper, Talk.to(exporter.url) as half:
        half.send("GET /-/heal")
        scraper.send(GET.format("/metrics"))
        wait_until(lambda: simulator.requests.to("livepeer"), 10, "Livepeer is asked")
        os.kill(exporter.process.pid, signal.SIGTERM)

        assert half.rest() == b""
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{exporter.site}/-/healthy", timeout=10)
        assert scraper.read().status == 200


def test_when_told_twice_to_stop_then_it_waits_for_nobody(tmp_path: Path, simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    config = write(tmp_path / "config.yml", livepeer(simulator))
    with serving(config) as exporter, Talk.to(exporter.url) as scraper:
        scraper.send(GET.format("/metrics"))
        wait_until(lambda: simulator.requests.to("livepeer"), 10, "Livepeer is asked")
        os.kill(exporter.process.pid, signal.SIGTERM)

        # Which of them comes second is up to the system.
        assert exporter.stop(signal.SIGINT) in (-signal.SIGINT, -signal.SIGTERM)
        assert scraper.rest() == b""


def test_given_many_connections_without_a_request_when_told_to_stop_then_it_ends_at_once() -> None:
    with ExitStack() as stack, exporting("demo") as (process, url):
        for _ in range(50):
            assert stack.enter_context(Talk.to(url)).get("/-/healthy").status == 200
        status, seconds = process.stop()

        assert (status, seconds < 2) == (0, True)
