"""The commands, run as people and service managers run them: as processes."""

import hashlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from exporter import __version__
from exporter.simulator import Fault, FaultKind, Simulator
from tests.commands import call
from tests.pki import HASH, Authority
from tests.processes import EXPORTER, exporting, free_port, run, running, wait_until
from tests.scraping import openmetrics_families, read, scrape

KEY = "9b5f1c2e-4d3a-4f6b-8a7c-0123456789ab"

BROKEN = """\
    poll: {timeout: ten}
    qencode:
      - name: vod
        task_token: [abc]
    livepeer:
      - name: studio
        api_key_env: NO_SUCH_VARIABLE
    """


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path, simulator: Simulator) -> str:
    """A file with an account of each service; the simulated ones have a task each."""
    (tmp_path / "key").write_text(f"{simulator.livepeer_key}\n")
    token = simulator.qencode.add("encoding", percent=25.0)
    simulator.livepeer.account.add("upload")
    return written(
        tmp_path,
        f"""\
        qencode:
          - name: vod
            task_tokens: [{token}]
            base_url: {simulator.qencode_url}
            allowed_hosts: [127.0.0.1]
        livepeer:
          - name: studio
            api_key_file: key
            base_url: {simulator.livepeer_url}
        """,
    )


def written(folder: Path, text: str) -> str:
    path = folder / "config.yml"
    path.write_text(dedent(text))
    return str(path)


# --- Help --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_when_asked_for_help_then_it_lists_the_commands(flag: str) -> None:
    result = run(flag)

    assert (result.returncode, result.stderr) == (0, "")
    assert "Usage: transcoding-exporter [OPTIONS] COMMAND" in result.stdout
    for command in ("serve", "scrape", "check-config", "demo"):
        assert f"\n  {command} " in result.stdout
    assert "..." not in result.stdout.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("serve", ["--config.file", "--web.listen-address", "--web.telemetry-path", "--log.level"]),
        ("serve", ["--storage.path", "--web.enable-lifecycle", "--web.enable-admin-api"]),
        ("serve", ["--web.config.file", "--web.external-url", "--web.route-prefix", "--web.grafana-url"]),
        ("serve", ["--shard K", "--total-shards N", "--log.format [logfmt|json]"]),
        ("demo", ["--web.listen-address", "--seed", "--speed", "--mood [healthy|ordinary|failing|outage]"]),
        ("scrape", ["--config.file", "--timeout", "--openmetrics", "--log.format [logfmt|json]"]),
        ("check-config", ["--config.file", "--web.config.file", "[FILE]"]),
        ("check-config", ["--storage.path", "--web.listen-address"]),
    ],
)
def test_when_a_command_is_asked_for_help_then_it_lists_its_flags(command: str, flags: list[str]) -> None:
    result = run(command, "--help")

    assert result.returncode == 0
    assert [flag for flag in flags if flag not in result.stdout] == []


def test_when_asked_for_its_version_then_it_tells_it() -> None:
    assert run("--version").stdout == f"transcoding-exporter, version {__version__}\n"


def test_when_run_as_a_module_then_it_is_the_same_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "exporter", "--version"], capture_output=True, text=True, timeout=20
    )

    assert result.stdout == f"transcoding-exporter, version {__version__}\n"


# --- check-config --------------------------------------------------------------------------------------


def test_given_a_good_file_when_checked_then_it_is_ok(config: str) -> None:
    result = run("check-config", config)

    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        "OK: qencode/vod (1 token), livepeer/studio\n",
        "",
    )


def test_given_a_broken_file_when_checked_then_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN)

    result = run("check-config", path)

    assert (result.returncode, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{path}:{line}" for line in (1, 3, 4, 7)]
    keys = ("poll.timeout", "qencode[0]", "qencode[0].task_token", "livepeer[0].api_key_env")
    assert [line.split(": ")[1] for line in lines] == list(keys)
    assert "did you mean task_tokens?" in lines[2]
    assert "NO_SUCH_VARIABLE is not set" in lines[3]


def test_given_no_file_when_checked_then_the_environment_is() -> None:
    result = run("check-config", LIVEPEER_API_KEY=KEY, QENCODE_TASK_TOKENS="one,two")

    assert (result.returncode, result.stdout) == (0, "OK: qencode/default (2 tokens), livepeer/default\n")


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (None, "config.yml:1: qencode[0].task_tokens_file: ", "No such file or directory"),
        ('["token"]', "tokens.json:1: [0]: ", "a single value is written here"),
        ("[[", "tokens.json:2: ", "neither JSON nor YAML"),
    ],
)
def test_given_a_token_file_that_cannot_be_read_when_checked_then_it_is_told_with_its_place(
    tmp_path: Path, content: str | None, place: str, words: str
) -> None:
    if content is not None:
        (tmp_path / "tokens.json").write_text(content)
    path = written(tmp_path, "qencode: [{name: vod, task_tokens_file: tokens.json}]\n")

    result = run("check-config", path)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{tmp_path}/{place}")
    assert words in result.stderr


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_given_a_place_of_the_ledger_when_checked_then_it_counts_instead_of_the_configuration_s(
    tmp_path: Path, way: str
) -> None:
    path = written(
        tmp_path,
        f"""\
        storage: {{url: "sqlite:///{tmp_path}"}}
        qencode: [{{name: vod, task_tokens: [a]}}]
        """,
    )

    def checked(place: str) -> tuple[int, str, str]:
        if way == "flag":
            result = run("check-config", path, f"--storage.path={place}")
        else:
            result = run("check-config", path, TRANSCODING_EXPORTER_STORAGE_PATH=place)
        return result.returncode, result.stdout, result.stderr

    refusal = f"--storage.path: {path} is no ledger; move it away, or name another file\n"
    assert checked(path) == (1, "", refusal)
    assert checked(f"{tmp_path}/ledger.db") == (0, "OK: qencode/vod (1 token)\n", "")
    assert list(tmp_path.iterdir()) == [Path(path)]


def test_given_a_place_of_the_ledger_beside_a_web_configuration_when_checked_then_both_are(
    tmp_path: Path,
) -> None:
    (tmp_path / "web.yml").write_text("nonsense: 1")

    result = run("check-config", f"--web.config.file={tmp_path}/web.yml", f"--storage.path={tmp_path}")

    assert (result.returncode, result.stdout) == (1, "")
    places = [line.partition(": ")[0] for line in result.stderr.splitlines()]
    assert places == ["--storage.path", f"{tmp_path}/web.yml:1"]


WEB_BROKEN = """\
    basic_auth_user: {}
    tls_server_config: {cert_file: no.crt, key_file: no.key}
    """


def test_given_a_good_web_configuration_when_checked_then_it_is_ok_and_says_who_may_come_in(
    tmp_path: Path, config: str
) -> None:
    web, authority = tmp_path / "web.yml", Authority(tmp_path / "pki")
    certificate, key = authority.issue("server", "127.0.0.1")
    tls = f"tls_server_config: {{cert_file: {certificate}, key_file: {key}}}\n"
    for text, door in (
        ("{}", "no TLS, no users"),
        (tls, "TLS, no users"),
        (f"{tls}basic_auth_users: {{alice: {HASH}}}", "TLS, 1 user"),
        (f"basic_auth_users: {{alice: {HASH}, bob: {HASH}}}", "no TLS, 2 users"),
    ):
        web.write_text(text)
        alone = run("check-config", f"--web.config.file={web}")

        assert (alone.returncode, alone.stdout, alone.stderr) == (0, f"OK: {web} ({door})\n", "")
    both = run("check-config", config, f"--web.config.file={web}")
    assert (both.returncode, both.stderr) == (0, "")
    assert both.stdout == f"OK: qencode/vod (1 token), livepeer/studio, {web} (no TLS, 2 users)\n"


def test_given_a_broken_web_configuration_when_checked_then_every_mistake_is_told_with_its_place(
    tmp_path: Path,
) -> None:
    web = tmp_path / "web.yml"
    web.write_text(dedent(WEB_BROKEN))

    result = run("check-config", f"--web.config.file={web}")

    assert (result.returncode, result.stdout) == (1, "")
    unreadable = "cannot be read: No such file or directory; name a file that this process may read"
    assert result.stderr.splitlines() == [
        f"{web}:1: basic_auth_user: unknown key; did you mean basic_auth_users?",
        f"{web}:2: tls_server_config.cert_file: {tmp_path}/no.crt {unreadable}",
        f"{web}:2: tls_server_config.key_file: {tmp_path}/no.key {unreadable}",
    ]


def test_given_mistakes_in_both_files_when_checked_then_all_are_told_at_once(tmp_path: Path) -> None:
    path, web = written(tmp_path, BROKEN), tmp_path / "web.yml"
    web.write_text("nonsense: 1")

    result = run("check-config", f"--config.file={path}", f"--web.config.file={web}")

    assert (result.returncode, result.stdout) == (1, "")
    places = [line.partition(": ")[0].rpartition(":")[0] for line in result.stderr.splitlines()]
    assert set(places[:-1]) == {path}
    assert places[-1] == str(web)


def test_given_a_web_configuration_beside_the_environment_when_checked_then_both_are(tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("{}")

    result = run("check-config", f"--web.config.file={tmp_path}/web.yml", QENCODE_TASK_TOKENS="one,a token")

    assert (result.returncode, result.stdout) == (
        0,
        f"OK: qencode/default (3 tokens), {tmp_path}/web.yml (no TLS, no users)\n",
    )


# --- scrape --------------------------------------------------------------------------------------------


def test_given_accounts_that_are_up_when_scraped_once_then_their_metrics_are_printed(config: str) -> None:
    result = run("scrape", "--config.file", config)

    assert (result.returncode, result.stderr) == (0, "")
    samples = read(result.stdout)
    assert sum(samples["transcoding_up"].values()) == 2
    assert list(samples["transcoding_task_progress_ratio"].values()) == [0.25]
    assert sum(samples["transcoding_tasks"].values()) == 2
    assert sum(samples["transcoding_polls_total"].values()) == 2


def test_given_openmetrics_is_wanted_when_scraped_once_then_it_is_printed(config: str) -> None:
    result = run("scrape", "--openmetrics", "--config.file", config)

    assert {"transcoding_up", "transcoding_task_phase_entries_total"} <= openmetrics_families(
        result.stdout
    ).keys()


def test_given_an_account_that_is_down_when_scraped_once_then_the_exit_status_is_1(
    config: str, simulator: Simulator
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))

    result = run("scrape", "--config.file", config)

    assert result.returncode == 1
    assert sum(read(result.stdout)["transcoding_up"].values()) == 1
    assert len(result.stderr.splitlines()) == 1
    assert "account=livepeer/studio" in result.stderr
    assert "HTTP 502" in result.stderr


def test_given_an_account_that_hangs_when_scraped_once_then_it_is_waited_for_no_longer_than_told(
    config: str, simulator: Simulator
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))

    result = run("scrape", "--timeout", "500ms", "--config.file", config)

    assert result.returncode == 1
    assert "Traceback" not in result.stderr


# --- serve ---------------------------------------------------------------------------------------------


def test_given_a_broken_file_when_served_then_it_refuses_with_the_same_mistakes(tmp_path: Path) -> None:
    path = written(tmp_path, BROKEN)

    served = run("serve", "--config.file", path, "--web.listen-address", "127.0.0.1:0")

    assert (served.returncode, served.stdout) == (1, "")
    assert served.stderr == run("check-config", path).stderr


def test_given_flags_as_environment_variables_when_served_then_they_count(config: str) -> None:
    variables = {
        "TRANSCODING_EXPORTER_CONFIG_FILE": config,
        "TRANSCODING_EXPORTER_WEB_TELEMETRY_PATH": "/video",
        "TRANSCODING_EXPORTER_LOG_LEVEL": "debug",
        "TRANSCODING_EXPORTER_LOG_FORMAT": "json",
    }
    with exporting("serve", **variables) as (process, url):
        assert url.endswith("/video")
        assert scrape(url).total("transcoding_up") == 2
        process.find('("event": "polled")')


def test_given_a_base_url_over_http_when_served_then_it_is_told_at_the_start(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
        qencode:
          - {name: far, task_tokens: [a], base_url: "http://proxy.invalid"}
          - {name: near, task_tokens: [a], base_url: "http://127.0.0.1:1"}
        """,
    )
    with exporting("serve", "--config.file", path) as (process, _):
        process.stop()
        lines = process.stderr.splitlines()

    assert [line.partition(" ")[2] for line in lines if "level=warning" in line] == [
        'level=warning event="tokens travel in clear text; use https" account=qencode/far key=base_url'
    ]


def test_given_json_when_served_then_every_line_is_an_object(config: str, simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))
    arguments = ("serve", "--config.file", config, "--log.level=debug", "--log.format=json")
    with exporting(*arguments) as (process, url):
        scrape(url)
        process.stop()
        written = process.stdout + process.stderr

    events = [json.loads(line) for line in written.splitlines()]
    assert all({"timestamp", "level", "event"} <= event.keys() for event in events)
    assert [event["event"] for event in events if event["level"] == "info"] == ["listening", "stopping"]
    assert [event["account"] for event in events if event["level"] == "warning"] == ["livepeer/studio"]


def test_given_logfmt_when_served_then_every_event_is_one_line(config: str, simulator: Simulator) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))
    with exporting("serve", "--config.file", config) as (process, url):
        scrape(url)
        process.stop()
        lines = process.stderr.splitlines()

    starts = [" ".join(line.split()[1:3]) for line in lines]
    assert starts == ["level=info event=listening", 'level=warning event="poll', "level=info event=stopping"]
    assert all(line.startswith("timestamp=") for line in lines)


def test_given_only_errors_are_wanted_when_all_is_well_then_nothing_is_written(config: str) -> None:
    port = free_port()
    arguments = ("serve", "--config.file", config, "--log.level=error")
    with running([*EXPORTER, *arguments, f"--web.listen-address=127.0.0.1:{port}"]) as process:
        wait_until(lambda: listens(port), 15, "it listens")
        scrape(f"http://127.0.0.1:{port}/metrics")
        process.stop()
        assert process.stdout + process.stderr == ""


# --- Secrets -------------------------------------------------------------------------------------------


def test_given_keys_when_served_then_they_are_in_nothing_that_anybody_can_read(
    tmp_path: Path, simulator: Simulator
) -> None:
    """Livepeer repeats a key that it does not know in its answer."""
    known = simulator.livepeer_key
    (tmp_path / "unknown-key").write_text(KEY)
    path = written(
        tmp_path,
        f"""\
        livepeer:
          - name: known
            api_key_env: STUDIO_KEY
            base_url: {simulator.livepeer_url}
          - name: unknown
            api_key_file: unknown-key
            base_url: {simulator.livepeer_url}
        """,
    )
    arguments = ("serve", "--config.file", path, "--log.level=debug")
    with exporting(*arguments, STUDIO_KEY=known) as (process, url):
        site = url.removesuffix("/metrics")
        seen = [
            requests.get(url, timeout=10).text,
            requests.get(url, headers={"Accept": "application/openmetrics-text"}, timeout=10).text,
            *(requests.get(f"{site}{page}", timeout=10).text for page in ("/", "/-/healthy", "/nowhere")),
            Path(f"/proc/{process.pid}/cmdline").read_text(),
        ]
        process.stop()
        seen += [process.stdout, process.stderr]

    assert {request.status for request in simulator.requests} == {200, 401}
    assert "HTTP 401" in seen[-1]
    assert "no token *** found" in seen[-1]
    assert [text for text in seen if KEY in text or known in text] == []


def test_given_tokens_shown_as_hashes_when_served_then_they_are_in_nothing_that_anybody_can_read(
    tmp_path: Path, simulator: Simulator
) -> None:
    running, unknown = simulator.qencode.add("encoding"), "0123456789abcdef0123456789abcdef"
    path = written(
        tmp_path,
        f"""\
        metrics: {{task_label: hash}}
        qencode:
          - name: vod
            task_tokens: [{running}, "{unknown}"]
            base_url: {simulator.qencode_url}
            allowed_hosts: [127.0.0.1]
        """,
    )
    with exporting("serve", "--config.file", path, "--log.level=debug") as (process, url):
        seen = [requests.get(page, timeout=10).text for page in (url, url.removesuffix("/metrics"))]
        process.stop()
        seen += [process.stdout, process.stderr]

    assert hashlib.sha256(running.encode()).hexdigest()[:12] in seen[0]
    assert hashlib.sha256(unknown.encode()).hexdigest()[:12] in seen[-1]
    assert [text for text in seen if running in text or unknown in text] == []


def test_given_a_key_where_its_variables_name_belongs_when_checked_then_it_is_not_repeated(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, f"livepeer: [{{name: studio, api_key_env: {KEY}}}]")

    result = run("check-config", path)

    assert result.returncode == 1
    assert KEY not in result.stdout + result.stderr


# --- The end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_when_told_to_stop_then_it_ends_well_and_at_once(config: str, number: signal.Signals) -> None:
    with exporting("serve", "--config.file", config) as (process, url):
        scrape(url)
        status, seconds = process.stop(number)

        assert status == 0
        assert seconds < 2
        assert "event=stopping" in process.stderr.splitlines()[-1]


def test_given_a_scrape_that_waits_for_an_account_that_hangs_when_told_to_stop_then_it_ends_well_and_soon(
    config: str, simulator: Simulator
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    with exporting("serve", "--config.file", config) as (process, url), scraping(url, timeout="60"):
        wait_until(lambda: simulator.requests.to("livepeer"), 10, "Livepeer is asked")

        status, seconds = process.stop()

        assert status == 0
        assert seconds < 5
        assert "Traceback" not in process.stderr


def test_given_a_scraper_that_goes_away_when_its_answer_is_ready_then_nothing_is_made_of_it(
    config: str, simulator: Simulator
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.DELAY, seconds=0.5))
    with exporting("serve", "--config.file", config, "--log.level=debug") as (process, url):
        with pytest.raises(requests.Timeout):
            requests.get(url, timeout=0.2)
        process.find("(account=livepeer/studio outcome=success)")

        assert scrape(url).total("transcoding_up") == 2
        assert all(line.startswith("timestamp=") for line in process.stderr.splitlines())


# --- Mistakes ------------------------------------------------------------------------------------------


def test_given_a_port_that_is_taken_when_served_then_the_error_says_so(config: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("serve", "--config.file", config, "--web.listen-address", address)

    assert result.returncode == 1
    assert result.stderr == f"Error: can't listen on {address}: Address already in use\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--web.listen-address", "10477"), "write it like :10477 or 127.0.0.1:10477"),
        (("demo", "--web.listen-address", "nowhere.invalid:0"), "can't listen on nowhere.invalid:0: "),
        (("serve", "--web.listen-address", ":99999"), "':99999' has no port from 0 to 65535; write it like"),
        (("serve", "--web.telemetry-path", "metrics"), "'metrics' is not a path of its own"),
        (("serve", "--web.telemetry-path", "/-/ready"), "'/-/ready' is not a path of its own"),
        (("serve", "--web.telemetry-path", "/<name>"), "'/<name>' is not a path of its own"),
        (("serve", "--config.file", "/no/such/file"), "/no/such/file: cannot be read: No such file"),
        (("serve", "--config.file", "/"), "/: cannot be read: Is a directory"),
        (("serve", "--storage.path", "a?b"), "'a?b' can't hold a question mark"),
        (("serve", "--storage.path", "new/"), "'new/' is the path of a folder; name a file in it"),
        (("serve", "--log.level", "loud"), "'loud' is not one of"),
        (("serve",), "set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS"),
        (("scrape",), "set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS"),
        (("scrape", "--timeout", "1e10"), '"1e10" is not a duration; write it like 30d or 90s'),
        (("check-config", "/no/such/file"), "/no/such/file: cannot be read: No such file"),
        (("demo", "--speed", "-1"), "is not in the range"),
        (("demo", "--speed", "inf"), "is not in the range"),
        (("demo", "--mood", "grumpy"), "'grumpy' is not one of"),
        (("transcode",), "No such command 'transcode'"),
        ((), "Usage: transcoding-exporter"),
    ],
    ids=" ".join,
)
def test_given_a_mistake_when_run_then_it_is_told_in_words(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)

    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "listening" not in result.stderr


@pytest.mark.parametrize("host", ["a..b", ".", f"{'x' * 64}.example", f"{'ß' * 60}.example"])
@pytest.mark.parametrize("command", ["check-config", "serve"])
def test_given_a_host_that_can_be_no_name_then_it_is_refused_by_both(command: str, host: str) -> None:
    refused = call(command, f"--web.listen-address={host}:0", QENCODE_TASK_TOKENS="a")

    assert (refused.status, refused.stdout) == (2, "")
    assert f"'{host}:0' has no name of a host; write it like :10477" in refused.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///x\\0y.db", "the URL holds characters that can't be seen; remove them"),
        ("sqlite:///l.db?timeout=1&timeout=2", "the URL can't be understood"),
    ],
)
@pytest.mark.parametrize(
    "command", [("check-config",), ("serve", "--web.listen-address=127.0.0.1:0", "--config.file")]
)
def test_given_a_database_url_that_is_none_then_it_is_refused_by_both(
    tmp_path: Path, command: tuple[str, ...], url: str, words: str
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(f'{{qencode: [{{name: vod, task_tokens: [a]}}], storage: {{url: "{url}"}}}}')

    refused = call(*command, str(path))
    assert refused.status == 1
    assert words in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("port", ["99999", "65536", "-1", "http", "", "٣", "9" * 5000])
@pytest.mark.parametrize("host", ["", "127.0.0.1", "[::1]"])
def test_given_a_port_that_is_none_when_checked_then_it_is_refused(host: str, port: str) -> None:
    address = f"{host}:{port}"
    flag = call("check-config", f"--web.listen-address={address}", QENCODE_TASK_TOKENS="a")
    variable = call(
        "check-config", QENCODE_TASK_TOKENS="a", TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS=f":1, {address}"
    )

    assert (flag.status, flag.stdout) == (2, "")
    assert "Invalid value for '--web.listen-address'" in flag.stderr
    assert flag.stderr.endswith(
        "(env var: 'TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS'): "
        f"'{address}' has no port from 0 to 65535; "
        "write it like :10477 or 127.0.0.1:10477, or unix:/run/exporter.sock\n"
    )
    assert variable == flag


@pytest.mark.parametrize("address", ["10477", "::1:80", "[::1:80", "[]:80", "unix:", ","])
def test_given_an_address_that_is_none_when_checked_then_it_is_refused(address: str) -> None:
    refused = call("check-config", f"--web.listen-address={address}", QENCODE_TASK_TOKENS="a")

    assert (refused.status, refused.stdout) == (2, "")
    assert "write it like :10477 or 127.0.0.1:10477" in refused.stderr


@pytest.mark.parametrize("address", [":0", ":65535", "localhost:80", "[::1]:80", "unix:/run/a.sock", ":1 :2"])
def test_given_an_address_when_checked_then_it_is_fine(address: str) -> None:
    arguments = ("--storage.path=", f"--web.listen-address={address}")

    assert call("check-config", *arguments, QENCODE_TASK_TOKENS="a").status == 0


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/exporter.sock", "there is no folder {}/file"),
        ("file", "there is a file that is no socket"),
    ],
)
def test_given_a_place_where_no_socket_can_be_then_it_is_refused_by_both(
    tmp_path: Path, place: str, why: str
) -> None:
    (tmp_path / "file").touch()
    address = f"unix:{tmp_path}/{place}"
    arguments = (f"--web.listen-address={address}", "--storage.path=")
    checked = call("check-config", *arguments, QENCODE_TASK_TOKENS="a")
    served = run("serve", *arguments, QENCODE_TASK_TOKENS="a")

    words = f"can't listen on {address}: {why.format(tmp_path)}"
    assert (served.returncode, served.stderr) == (1, f"Error: {words}\n")
    told = f"--web.listen-address: {words}; mend that, or name another address\n"
    assert checked == (1, "", told)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_given_a_folder_that_is_lacking_for_a_socket_then_only_serving_refuses_it(tmp_path: Path) -> None:
    """Something may make it before."""
    address = f"unix:{tmp_path}/nowhere/exporter.sock"
    arguments = (f"--web.listen-address={address}", "--storage.path=")
    checked = call("check-config", *arguments, QENCODE_TASK_TOKENS="a")
    served = run("serve", *arguments, QENCODE_TASK_TOKENS="a")

    assert checked.status == 0
    words = f"Error: can't listen on {address}: there is no folder {tmp_path}/nowhere\n"
    assert (served.returncode, served.stderr) == (1, words)


@pytest.mark.parametrize("address", [":1,:1", "256.1.1.1:0", "[::zz]:0", f"unix:/{'n' * 107}"])
def test_given_an_address_that_can_not_be_used_then_it_is_refused_by_both_in_the_same_words(
    address: str,
) -> None:
    checked, served = (
        call(command, f"--web.listen-address={address}", "--storage.path=", QENCODE_TASK_TOKENS="a")
        for command in ("check-config", "serve")
    )

    assert (checked.status, served.status) == (2, 2)
    assert checked.stderr.replace("check-config", "serve").replace(" [FILE]", "") == served.stderr


def test_given_a_mistake_in_the_environment_when_run_then_the_variable_is_named() -> None:
    result = run("serve", TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS="nonsense")

    assert result.returncode == 2
    assert "TRANSCODING_EXPORTER_WEB_LISTEN_ADDRESS" in result.stderr


# --- demo ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mood", "fails"), [("healthy", False), ("failing", True)])
def test_given_a_mood_when_the_demo_runs_then_its_tasks_fare_so(mood: str, fails: bool) -> None:
    with exporting("demo", "--mood", mood) as (process, url):
        answer = scrape(url)

        assert process.stdout.startswith(
            f"Open {url.removesuffix('metrics')} (metrics: {url}); Ctrl-C stops.\nDemo: "
        )
    assert answer.by("provider", "transcoding_up") == {"qencode": 1, "livepeer": 1}
    for provider in ("qencode", "livepeer"):
        assert answer.total("transcoding_tasks", provider=provider, state="running") > 0
        assert (answer.total("transcoding_tasks", provider=provider, state="failed") > 0) is fails


def test_when_the_demo_is_told_to_stop_then_it_ends_well_and_at_once() -> None:
    with exporting("demo", "--speed", "60") as (process, url):
        scrape(url)
        status, seconds = process.stop(signal.SIGINT)

        assert (status, "Traceback" in process.stderr) == (0, False)
        assert seconds < 2


@contextmanager
def scraping(url: str, timeout: str) -> Iterator[None]:
    """A scrape under way; nobody waits for its answer."""
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n"
        connection.sendall(f"{head}X-Prometheus-Scrape-Timeout-Seconds: {timeout}\r\n\r\n".encode())
        yield


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
