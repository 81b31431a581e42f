"""A new configuration while the exporter runs: accounts come, change and go, the others don't notice."""

import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exporter.simulator import Fault, FaultKind, Simulator
from tests.processes import exporting, wait_until
from tests.scraping import scrape
from tests.served import Served, counters, execute, livepeer, of, qencode, serving, write
from tests.status_server import StatusServer, statuses

ON = "--web.enable-lifecycle"
VOD = {"provider": "qencode", "account": "vod"}
STUDIO = {"provider": "livepeer", "account": "studio"}
RELOADED = "transcoding_exporter_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yml"


# --- Who may ask for it --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_given_no_flag_when_asked_to_reload_then_it_refuses(
    simulator: Simulator, path: Path, method: str
) -> None:
    with serving(write(path, qencode(simulator, "t1"))) as exporter:
        write(path, qencode(simulator, "t1"), livepeer(simulator))
        answer = exporter.reload(method)

        assert answer.status_code == 403
        assert "--web.enable-lifecycle" in answer.text
        assert exporter.scrape().total("transcoding_up", account="studio") == 0
        assert "livepeer" not in exporter.scrape().by("provider", "transcoding_up")


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_given_the_flag_when_asked_to_reload_then_the_new_configuration_is_in_force(
    simulator: Simulator, path: Path, method: str
) -> None:
    with serving(write(path, qencode(simulator, "t1")), ON) as exporter:
        write(path, qencode(simulator, "t1"), livepeer(simulator))
        answer = exporter.reload(method)

        assert (answer.status_code, answer.text) == (200, "Reloaded.\n")
        assert exporter.scrape().by("account", "transcoding_up") == {"vod": 1, "studio": 1}


def test_given_the_flag_when_the_reload_is_only_looked_at_then_nothing_is_reloaded(
    simulator: Simulator, path: Path
) -> None:
    with serving(write(path, qencode(simulator, "t1")), ON) as exporter:
        write(path, livepeer(simulator))

        assert exporter.reload("GET").status_code == 405
        assert exporter.scrape().by("account", "transcoding_up") == {"vod": 1}


def test_given_no_flag_when_sighup_comes_then_the_new_configuration_is_in_force(
    simulator: Simulator, path: Path
) -> None:
    with serving(write(path, qencode(simulator, "t1"))) as exporter:
        write(path, livepeer(simulator))
        hang_up(exporter.process.pid)
        exporter.process.find('(event="configuration reloaded" accounts=livepeer/studio)')

        assert exporter.scrape().by("account", "transcoding_up") == {"studio": 1}


def test_given_the_demo_when_sighup_comes_or_it_is_asked_to_reload_then_it_goes_on() -> None:
    with exporting("demo", ON) as (process, url):
        before = scrape(url)
        hang_up(process.pid)
        hang_up(process.pid)
        demo = Served(process, url)
        assert demo.reload().status_code == 200
        after = demo.scrape()

        assert after.by("provider", "transcoding_up") == {"qencode": 1, "livepeer": 1}
        assert demo.loaded() == 1
        assert after.total("transcoding_polls_total") >= before.total("transcoding_polls_total") > 0
        assert demo.stop() == 0
        assert "Traceback" not in process.stderr


# --- The web configuration -----------------------------------------------------------------------------

WEB_LOADED = "transcoding_exporter_web_config_last_reload_successful"


def test_given_no_web_configuration_then_nothing_in_it_is_wrong(simulator: Simulator, path: Path) -> None:
    with serving(write(path, qencode(simulator, "t1"))) as exporter:
        assert exporter.scrape().value(WEB_LOADED) == 1


def test_given_a_web_configuration_that_is_refused_then_a_metric_says_so_until_it_is_mended(
    simulator: Simulator, path: Path, tmp_path: Path
) -> None:
    web = tmp_path / "web.yml"
    web.write_text("http_server_config: {headers: {X-Frame-Options: deny}}\n")
    with serving(write(path, qencode(simulator, "t1")), f"--web.config.file={web}") as exporter:
        assert exporter.scrape().value(WEB_LOADED) == 1
        web.write_text("nonsense: 1\n")
        wait_until(lambda: exporter.scrape().value(WEB_LOADED) == 0, 20, "the metric tells of the mistake")
        assert exporter.loaded() == 1, "the other configuration has none"
        web.write_text("{}\n")
        wait_until(lambda: exporter.scrape().value(WEB_LOADED) == 1, 20, "the metric tells that it is mended")


# --- Accounts come, change and go ----------------------------------------------------------------------


def test_when_accounts_come_change_and_go_then_what_is_known_about_the_others_stays(
    simulator: Simulator, path: Path
) -> None:
    """Nobody answers after the reload: whatever is still there was not learned anew."""
    stays, changes = simulator.qencode.add("queued"), simulator.qencode.add("queued")
    simulator.livepeer.account.add("upload")
    accounts = (qencode(simulator, stays), qencode(simulator, changes, name="other"))
    with serving(write(path, *accounts, livepeer(simulator)), ON) as exporter:
        exporter.scrape()
        for token in (stays, changes):
            simulator.qencode.fail(token)
        before = exporter.scrape()
        assert before.total("transcoding_task_failures_total", account="vod") == 1
        for target in ("qencode_api", "qencode_master", "livepeer"):
            simulator.faults.set(target, Fault(FaultKind.HANG))

        changed = qencode(simulator, changes, "a-new-token", name="other", base_url="http://127.0.0.1:1")
        write(path, accounts[0], changed, qencode(simulator, "t", name="new"))
        assert exporter.reload().status_code == 200
        after = exporter.scrape(timeout="1.5")

        for account in ("vod", "other"):
            assert of(account, after) == of(account, before)
        assert set(after.by("account", "transcoding_up")) == {"vod", "other", "new"}


def test_when_an_account_goes_then_all_its_series_are_gone_at_the_next_scrape(
    simulator: Simulator, path: Path
) -> None:
    simulator.livepeer.account.add("upload")
    stays = qencode(simulator, simulator.qencode.add("queued"))
    gone = qencode(simulator, "unknown", name="gone", task_tokens_http=simulator.tokens_url)
    with serving(write(path, stays, gone, livepeer(simulator)), ON) as exporter:
        assert accounts(exporter.scrape().samples) == {"vod", "gone", "studio"}
        write(path, stays)
        exporter.reload()

        assert accounts(exporter.scrape().samples) == {"vod"}


def test_given_a_poll_that_runs_when_its_account_goes_then_it_does_not_bring_its_series_back(
    simulator: Simulator, path: Path
) -> None:
    token = simulator.qencode.add("queued")
    simulator.livepeer.account.add("upload")
    simulator.faults.set("livepeer", Fault(FaultKind.DELAY, seconds=2))
    config = write(path, qencode(simulator, token), livepeer(simulator))
    with serving(config, ON, "--log.level=debug") as exporter:
        exporter.scrape(timeout="1")
        write(path, qencode(simulator, token))
        exporter.reload()
        exporter.process.find('(event="poll ended by a new configuration")')

        assert accounts(exporter.scrape().samples) == {"vod"}


@pytest.mark.parametrize("storage", ["", "ledger.db"])
def test_given_an_account_that_went_when_it_comes_again_then_its_counters_go_on(
    simulator: Simulator, path: Path, storage: str
) -> None:
    token = simulator.qencode.add("queued")
    flag = f"--storage.path={path.with_name(storage) if storage else ''}"
    with serving(write(path, qencode(simulator, token), livepeer(simulator)), ON, flag) as exporter:
        exporter.scrape()
        simulator.qencode.set(token, "encoding")
        before = exporter.scrape()
        assert before.total("transcoding_task_phase_entries_total", account="vod") == 2

        write(path, livepeer(simulator))
        exporter.reload()
        exporter.scrape()
        simulator.qencode.fail(token)
        write(path, qencode(simulator, token), livepeer(simulator))
        exporter.reload()
        after = exporter.scrape()

        assert {key: counters("vod", after)[key] for key in counters("vod", before) if key[0] in SAFE} == {
            key: value for key, value in counters("vod", before).items() if key[0] in SAFE
        }
        assert after.total("transcoding_task_failures_total", account="vod") == 1
        assert after.total("transcoding_task_phase_entries_total", account="vod") == 3


SAFE = {"transcoding_task_phase_entries_total"}
"""Each of its series stands for a phase: what was counted of one does not move when the task goes on."""


# --- A changed account ---------------------------------------------------------------------------------


def test_given_a_key_that_was_rotated_when_reloaded_then_the_new_one_is_used(
    simulator: Simulator, path: Path
) -> None:
    key = path.with_name("key")
    key.write_text("the-old-key\n")
    simulator.livepeer.new_account("studio", "the-old-key").add("upload")
    with serving(write(path, livepeer(simulator, api_key_file="key")), ON) as exporter:
        before = exporter.scrape()
        assert before.value("transcoding_up", **STUDIO) == 1
        simulator.livepeer.revoke("the-old-key")
        simulator.livepeer.new_account("studio", "the-new-key")
        key.write_text("the-new-key\n")
        assert exporter.scrape().value("transcoding_up", **STUDIO) == 0
        exporter.reload()
        after = exporter.scrape()

        assert after.value("transcoding_up", **STUDIO) == 1
        assert counters("studio", after) == counters("studio", before)
        assert of("studio", after).keys() == of("studio", before).keys()
        assert "-key" not in exporter.process.stderr
    assert simulator.requests[-1].headers["authorization"] == "Bearer the-new-key"


def test_given_new_tokens_when_reloaded_then_they_are_watched_beside_the_old(
    simulator: Simulator, path: Path
) -> None:
    old, new = simulator.qencode.add("queued"), simulator.qencode.add("queued")
    with serving(write(path, qencode(simulator, old)), ON) as exporter:
        exporter.scrape()
        simulator.qencode.set(old, "encoding")
        exporter.scrape()
        write(path, qencode(simulator, old, new))
        exporter.reload()
        after = exporter.scrape()

        phases = after.by("phase", "transcoding_task_phase_entries_total", account="vod")
        assert {phase: number for phase, number in phases.items() if number} == {"queued": 2, "encoding": 1}
        assert set(after.by("task", "transcoding_task_phase")) == {old, new}


def test_given_a_new_address_when_reloaded_then_it_is_asked_and_knowledge_goes_on(
    simulator: Simulator, path: Path
) -> None:
    # One has not started, so that it has no master yet; the other is asked about at its own.
    waiting, running = simulator.qencode.add("created"), simulator.qencode.add("encoding")
    with (
        StatusServer(lambda asked: statuses(**{one: {"status": "saving"} for one in asked})) as elsewhere,
        serving(write(path, qencode(simulator, waiting, running)), ON) as exporter,
    ):
        exporter.scrape()
        simulator.requests.clear()
        write(path, qencode(simulator, waiting, running, base_url=elsewhere.url))
        exporter.reload()
        after = exporter.scrape()

        assert elsewhere.calls == [(waiting,)]
        assert [each.form for each in simulator.requests.to("qencode_master")] == [{"task_tokens": running}]
        assert simulator.requests.to("qencode_api") == []
        phases = after.by("phase", "transcoding_task_phase_entries_total", account="vod")
        assert {phase: number for phase, number in phases.items() if number} == {
            "created": 1,
            "encoding": 1,
            "saving": 1,
        }


def test_given_a_source_of_tokens_that_went_when_reloaded_then_its_series_is_gone(
    simulator: Simulator, path: Path
) -> None:
    token = simulator.qencode.add("queued")
    config = write(path, qencode(simulator, token, task_tokens_http=simulator.tokens_url))
    with serving(config, ON) as exporter:
        up = exporter.scrape().by("source", "transcoding_token_source_up")
        assert up == {"task_tokens": 1, "task_tokens_http": 1, "api": 1}
        write(path, qencode(simulator, token))
        exporter.reload()

        assert set(exporter.scrape().by("source", "transcoding_token_source_up")) == {"task_tokens", "api"}


# --- Polls that run --------------------------------------------------------------------------------------


def test_given_a_poll_that_runs_when_its_account_is_as_before_then_it_goes_on(
    simulator: Simulator, path: Path
) -> None:
    released = threading.Event()

    def answer(_: Sequence[str]) -> bytes:
        released.wait(20)
        return statuses(t1={"status": "encoding"})

    with StatusServer(answer) as api:
        account = qencode(simulator, "t1", base_url=api.url)
        with serving(write(path, account), ON) as exporter:
            exporter.scrape(timeout="0.8")
            write(path, account, livepeer(simulator))
            exporter.reload()
            assert exporter.scrape(timeout="0.8").by("task", "transcoding_task_phase") == {}
            assert api.calls == [("t1",)], "it was joined, not begun anew"
            released.set()

            assert exporter.scrape().by("task", "transcoding_task_phase") == {"t1": 1}


def test_given_a_poll_that_runs_when_its_account_changes_then_it_writes_nothing_after_that(
    simulator: Simulator, path: Path
) -> None:
    released = threading.Event()

    def answer(tokens: Sequence[str]) -> bytes:
        if len(api.calls) > 1:
            return statuses(t1={"status": "encoding"})
        released.wait(20)
        return statuses(t1={"status": "error", "error": 1, "error_description": "it failed"})

    with StatusServer(answer) as api:
        account = qencode(simulator, "t1", base_url=api.url)
        with serving(write(path, account), ON, "--log.level=debug") as exporter:
            exporter.scrape(timeout="0.8")
            write(path, account, poll={"min_poll_interval": "0s", "concurrency": 7})
            exporter.reload()
            assert exporter.scrape().by("phase", "transcoding_task_phase") == {"encoding": 1}
            released.set()
            exporter.process.find('(event="poll ended by a new configuration")')
            after = exporter.scrape()

            assert after.by("phase", "transcoding_task_phase") == {"encoding": 1}
            assert after.total("transcoding_task_failures_total") == 0


def test_given_a_scrape_that_waits_when_its_account_goes_then_it_waits_no_longer(
    simulator: Simulator, path: Path
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HANG))
    with (
        serving(write(path, qencode(simulator, "t1"), livepeer(simulator)), ON) as exporter,
        ThreadPoolExecutor() as threads,
    ):
        waiting = threads.submit(exporter.scrape, "20")
        wait_until(lambda: simulator.requests.to("livepeer") or None, 10, "Livepeer is asked")
        write(path, qencode(simulator, "t1"))
        exporter.reload()

        assert waiting.result(timeout=30).seconds < 10


# --- A configuration with mistakes -------------------------------------------------------------------


@pytest.mark.parametrize("way", ["POST", "SIGHUP"])
def test_given_a_broken_configuration_when_reloaded_then_it_is_refused_and_the_old_one_stays(
    simulator: Simulator, path: Path, way: str
) -> None:
    token = simulator.qencode.add("queued")
    good = qencode(simulator, token)
    with serving(write(path, good), ON) as exporter:
        first = exporter.scrape()
        loaded_at = first.value(RELOADED)
        assert loaded_at
        assert exporter.loaded() == 1
        write(
            path,
            livepeer(simulator, api_key="sk-very-secret-1", lookback="long"),
            poll={"timeout": "ten"},
            storage={"url": "mysql://exporter:very-secret-2@db/ledger"},
        )
        if way == "POST":
            answer = exporter.reload()
            assert answer.status_code == 500
            told = answer.text
        else:
            hang_up(exporter.process.pid)
            exporter.process.find("(storage.url)")
            told = exporter.process.stderr

        for place in ("poll.timeout", "livepeer[0].lookback", "storage.url"):
            assert f"{path}:1: {place}: " in told
            assert place in exporter.process.stderr
        assert "very-secret" not in told + exporter.process.stderr
        after = exporter.scrape()
        assert exporter.loaded() == 0
        assert after.value(RELOADED) == loaded_at
        assert of("vod", after) == of("vod", first)
        assert after.by("account", "transcoding_up") == {"vod": 1}

        write(path, good)
        assert exporter.reload().status_code == 200
        assert exporter.loaded() == 1
        assert (exporter.scrape().value(RELOADED) or 0) > loaded_at


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"qencode: [", b"{}"])
def test_given_a_file_that_is_no_configuration_when_reloaded_then_it_is_refused(
    simulator: Simulator, path: Path, content: bytes | None
) -> None:
    with serving(write(path, qencode(simulator, "t1")), ON) as exporter:
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        answer = exporter.reload()

        assert answer.status_code == 500
        assert str(path) in answer.text
        assert exporter.loaded() == 0
        assert exporter.scrape().by("account", "transcoding_up") == {"vod": 1}
        assert "Traceback" not in exporter.process.stderr


def test_given_a_ledger_that_fails_when_an_account_is_added_then_nothing_changes_and_later_it_works(
    simulator: Simulator, path: Path
) -> None:
    ledger = path.with_name("ledger.db")
    token = simulator.qencode.add("queued")
    with serving(write(path, qencode(simulator, token)), ON, f"--storage.path={ledger}") as exporter:
        exporter.scrape()
        execute(ledger, "ALTER TABLE accounts RENAME TO hidden")
        # The account that stays changes, too: it must not be left half changed.
        changed = (qencode(simulator, token, "t2"), livepeer(simulator))
        write(path, *changed)
        answer = exporter.reload()

        assert answer.status_code == 500
        assert str(ledger) in answer.text
        assert exporter.loaded() == 0
        assert accounts(exporter.scrape().samples) == {"vod"}
        execute(ledger, "ALTER TABLE hidden RENAME TO accounts")
        simulator.qencode.set(token, "encoding")
        assert exporter.scrape().by("phase", "transcoding_task_phase") == {"encoding": 1}

        assert exporter.reload().status_code == 200
        assert exporter.scrape().by("account", "transcoding_up") == {"vod": 1, "studio": 1}


# --- What needs a restart --------------------------------------------------------------------------------


def test_given_what_a_running_exporter_cannot_change_when_reloaded_then_it_says_so_until_it_is_undone(
    simulator: Simulator, path: Path
) -> None:
    account = qencode(simulator, simulator.qencode.add("queued"))
    with serving(write(path, account, storage={"url": "memory://"}), ON, "--storage.path=") as exporter:
        before = exporter.scrape()
        changed = {"duration_buckets": ["1s"], "phase_duration_buckets": ["1s"]}
        for times in (1, 2):
            write(path, account, metrics=changed)
            assert exporter.reload().status_code == 200
            keys = re.findall(r'event="changed, but takes effect.*key=(\S+)', exporter.process.stderr)
            assert keys == ["metrics.duration_buckets", "metrics.phase_duration_buckets"] * times
        assert buckets(exporter.scrape().samples) == buckets(before.samples)

        write(path, account, storage={"url": "memory://"})
        assert exporter.reload().status_code == 200
        assert len(re.findall("takes effect only", exporter.process.stderr)) == 4


def test_given_another_ledger_when_reloaded_then_it_says_that_this_needs_a_restart(
    simulator: Simulator, path: Path
) -> None:
    account = qencode(simulator, "t1")
    urls = [f"sqlite:///{path.with_name(name)}" for name in ("one.db", "two.db")]
    config = write(path, account, storage={"url": urls[0]})
    with exporting("serve", f"--config.file={config}") as (process, url):
        write(path, account, storage={"url": urls[1]})
        hang_up(process.pid)
        process.find('takes effect only at the next start" key=(storage.url)')
        scrape(url)

        assert path.with_name("one.db").exists()
        assert not path.with_name("two.db").exists()


def test_given_other_settings_when_reloaded_then_they_are_in_force_at_once(
    simulator: Simulator, path: Path
) -> None:
    account = qencode(simulator, simulator.qencode.add("queued"))
    with serving(write(path, account), ON) as exporter:
        assert exporter.scrape().by("phase", "transcoding_task_phase") == {"queued": 1}
        write(path, account, metrics={"per_task": False})
        exporter.reload()
        assert exporter.scrape().by("phase", "transcoding_task_phase") == {}
        assert "takes effect only" not in exporter.process.stderr


# --- At once ----------------------------------------------------------------------------------------------


def test_given_eight_scrapers_when_reloaded_again_and_again_then_no_scrape_fails_and_no_series_blinks(
    simulator: Simulator, path: Path
) -> None:
    stays = qencode(simulator, simulator.qencode.add("queued"))
    comes = qencode(simulator, simulator.qencode.add("queued"), name="comes")
    simulator.livepeer.account.add("upload")
    both = (stays, comes, livepeer(simulator))
    with serving(write(path, *both), ON) as exporter, ThreadPoolExecutor() as threads:
        expected = of("vod", exporter.scrape())
        ended = threading.Event()
        scrapers = [threads.submit(scrapes_until, ended, exporter.url) for _ in range(8)]
        for number in range(20):
            changed = {"min_poll_interval": "0s", "concurrency": 1 + number % 2}
            write(path, *(both if number % 3 else (stays,)), poll=changed)
            assert exporter.reload().status_code == 200
        ended.set()
        seen = [known for scraper in scrapers for known in scraper.result(timeout=60)]

        assert len(seen) > 20
        assert [known for known in seen if known != expected] == []
        assert "Traceback" not in exporter.process.stderr


def test_when_several_ask_to_reload_at_once_then_all_is_well_and_the_last_configuration_is_in_force(
    simulator: Simulator, path: Path
) -> None:
    config = write(path, qencode(simulator, "t1"), livepeer(simulator))
    with serving(config, ON) as exporter, ThreadPoolExecutor(8) as threads:
        write(path, qencode(simulator, "t1"))
        answers = list(threads.map(lambda _: exporter.reload().status_code, range(16)))

        assert answers == [200] * 16
        assert accounts(exporter.scrape().samples) == {"vod"}
        assert "Traceback" not in exporter.process.stderr


def scrapes_until(ended: threading.Event, url: str) -> list[object]:
    seen: list[object] = []
    while not ended.is_set():
        answer = scrape(url)
        assert answer.status == 200
        seen.append(of("vod", answer))
    return seen


def hang_up(pid: int) -> None:
    os.kill(pid, signal.SIGHUP)


def accounts(samples: object) -> set[str]:
    """Every account that any series names."""
    assert isinstance(samples, dict)
    return {
        value
        for of_name in samples.values()
        for labels in of_name
        for name, value in labels
        if name == "account"
    }


def buckets(samples: object) -> set[str]:
    assert isinstance(samples, dict)
    return {dict(labels)["le"] for labels in samples["transcoding_task_duration_seconds_bucket"]}
