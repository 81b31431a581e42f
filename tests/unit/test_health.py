"""Given how the polls of an account went, how is the account?"""

from exporter.health import MAX_ERRORS, Health, HealthError
from exporter.model import Endpoint, ErrorReason, Outcome


def error(message: str) -> HealthError:
    return HealthError(Endpoint.LIVEPEER_LIST, ErrorReason.SERVER, message, 1)


def test_before_the_first_poll_nothing_is_said() -> None:
    assert Health() == Health(None, None, None, None, None, None, ())


def test_a_partial_poll_works_and_is_no_whole_one() -> None:
    whole = Health().after(Outcome.SUCCESS, at=10.0, seconds=0.5)
    partial = whole.after(Outcome.PARTIAL, at=20.0, seconds=0.7, errors=(error("503"),))
    assert (partial.up, partial.since) == (True, 10.0)
    assert (partial.polled, partial.seconds, partial.succeeded) == (20.0, 0.7, 10.0)
    assert partial.errors == (error("503"),)


def test_it_is_down_since_the_first_poll_that_did_not_work() -> None:
    down = Health().after(Outcome.SUCCESS, at=10.0, seconds=1.0)
    for at in (20.0, 30.0):
        down = down.after(Outcome.ERROR, at=at, seconds=1.0)
    assert (down.up, down.since, down.succeeded) == (False, 20.0, 10.0)
    assert down.after(Outcome.SUCCESS, at=40.0, seconds=1.0).since == 40.0


def test_while_a_poll_is_late_it_is_down_and_the_last_poll_stays_the_last() -> None:
    late = Health().after(Outcome.SUCCESS, at=10.0, seconds=1.0).late(15.0).late(18.0)
    assert (late.up, late.since, late.outcome, late.polled) == (False, 15.0, Outcome.DEADLINE, 10.0)


def test_only_so_many_errors_are_kept() -> None:
    many = tuple(error(str(number)) for number in range(MAX_ERRORS + 3))
    assert Health().after(Outcome.ERROR, at=1.0, seconds=1.0, errors=many).errors == many[:MAX_ERRORS]
