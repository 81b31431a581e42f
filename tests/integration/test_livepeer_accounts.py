"""Livepeer's keys and accounts: a key is shown nowhere, and no account suffers from another."""

import pytest

from exporter.assembly import Exporter
from exporter.config import PollConfig, Secret
from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from tests.livepeer_support import POLL, STUDIO, errors, poll
from tests.support import START, DrivenClock, exporting, livepeer_config, samples, total, value


def test_given_a_wrong_key_when_scraped_then_it_is_shown_nowhere(
    simulator: Simulator, clock: DrivenClock, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = livepeer_config(simulator, api_key=Secret("not-a-key-123"))
    with exporting(clock, wrong, poll=POLL) as exporter:
        poll(exporter, simulator)
        assert errors(exporter) == {"auth": 1}
        metrics = str(list(exporter.registry.collect()))
    logged = "".join(capfd.readouterr())
    assert "no token *** found" in logged
    assert "not-a-key-123" not in logged + metrics


@pytest.mark.parametrize("fault", ["suspended", "browser_only", "revoked"])
def test_given_an_account_that_is_shut_out_when_scraped_then_the_reason_is_auth_and_one_request_is_made(
    simulator: Simulator, exporter: Exporter, fault: str
) -> None:
    poll(exporter, simulator)
    if fault == "revoked":
        simulator.livepeer.revoke(simulator.livepeer_key)
    else:
        setattr(simulator.livepeer.account, fault, True)

    assert len(poll(exporter, simulator)) == 1
    assert errors(exporter) == {"auth": 1}
    assert value(exporter, "transcoding_up", **STUDIO) == 0


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET, FaultKind.HANG, FaultKind.TRUNCATED_JSON, FaultKind.RATE_LIMITED]
)
def test_given_two_accounts_when_one_fails_then_the_other_is_fresh(
    clock: DrivenClock, kind: FaultKind
) -> None:
    with (
        Simulator(clock=SimulatedClock(start=START, speed=0.0)) as sick,
        Simulator(clock=SimulatedClock(start=START, speed=0.0)) as well,
    ):
        configs = livepeer_config(sick, name="sick"), livepeer_config(well, name="well")
        quick = PollConfig(min_poll_interval=0, timeout=0.5)
        with exporting(DrivenClock(well.clock), *configs, poll=quick) as exporter:
            task = well.livepeer.account.add("upload")
            stale = sick.livepeer.account.add("upload")
            exporter.refresh(30)
            sick.faults.set("livepeer", Fault(kind))
            for simulator, moved in ((well, task), (sick, stale)):
                simulator.clock.advance(15)
                simulator.livepeer.account.progress(moved, 0.5)
            exporter.refresh(30)

            assert samples(exporter, "transcoding_up", provider="livepeer") == {
                (("account", "sick"),): 0,
                (("account", "well"),): 1,
            }
            assert samples(exporter, "transcoding_task_progress_ratio") == {
                (("account", "well"), ("provider", "livepeer"), ("task", task), ("task_type", "upload")): 0.5
            }
            assert total(exporter, "transcoding_tasks", account="sick", phase="pending") == 1
            assert total(exporter, "transcoding_api_errors_total", account="well") == 0
            assert total(exporter, "transcoding_api_errors_total", account="sick") >= 1


def test_given_two_accounts_at_one_address_when_scraped_then_each_is_asked_with_its_own_key(
    clock: DrivenClock,
) -> None:
    keys = {"key-of-one": "one", "key-of-two": "two"}
    with Simulator(clock=SimulatedClock(start=START, speed=0.0), livepeer_keys=keys) as simulator:
        configs = [livepeer_config(simulator, name=name, api_key=Secret(key)) for key, name in keys.items()]
        added = {name: simulator.livepeer.accounts[key].add("upload") for key, name in keys.items()}
        with exporting(DrivenClock(simulator.clock), *configs, poll=POLL) as exporter:
            exporter.refresh(30)

            assert {
                dict(labels)["account"]: dict(labels)["task"]
                for labels in samples(exporter, "transcoding_task_info", provider="livepeer")
            } == added
