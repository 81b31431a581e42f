"""Who gives the right password gets in, and nobody learns anything else; who asks too often has to wait."""

import base64

import pytest

from exporter.guard.rate_limit import TokenBucket
from exporter.guard.users import Users, Verdict, credentials
from exporter.secret import Secret
from tests.pki import HASH, PASSWORD

COSTLY = HASH.replace("$05$", "$08$")


class Checker:
    """Stands for bcrypt: tells what it was asked."""

    def __init__(self, *, right: bool = False) -> None:
        self.right = right
        self.costs: list[int] = []

    def __call__(self, _password: bytes, hashed: bytes) -> bool:
        self.costs.append(int(hashed[4:6]))
        return self.right

    @property
    def work(self) -> int:
        """Rounds of bcrypt: each step of the cost doubles them."""
        return sum(2**cost for cost in self.costs)


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


ALICE = basic("alice", PASSWORD)


@pytest.mark.parametrize("version", ["2a", "2b", "2y"])
def test_the_right_password_is_let_in_and_no_other(version: str) -> None:
    users = Users({"alice": Secret(HASH.replace("2y", version)), "bob": Secret(COSTLY)})

    assert users.look_at(ALICE) is Verdict.RIGHT
    assert users.look_at(ALICE.replace("Basic", "bAsIc")) is Verdict.RIGHT
    for user, password in (("alice", "u*u"), ("bob", PASSWORD), ("carol", PASSWORD), ("", ""), ("alice", "")):
        assert users.look_at(basic(user, password)) is Verdict.WRONG, (user, password)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic !",
        "Basic YQ==",
        "Bearer YTpi",
        "Basic YTo\u00e9",
        "Basic /zpi",
        "Basic YTpiAA==",
    ],
)
def test_a_header_that_makes_no_sense_is_wrong_without_a_look(header: str | None) -> None:
    checker = Checker(right=True)
    users = Users({"a": Secret(HASH)}, checker)

    assert users.known(header)
    assert users.look_at(header) is Verdict.WRONG
    assert checker.costs == []


def test_who_does_not_exist_is_wrong_whatever_the_password() -> None:
    users = Users({"alice": Secret(HASH)}, Checker(right=True))

    assert users.look_at(basic("bob", "any")) is Verdict.WRONG
    assert users.look_at(basic("alice", "any")) is Verdict.RIGHT


def test_a_password_may_hold_colons_and_any_letters() -> None:
    assert credentials(basic("zoë", "a:b:ü")) == ("zoë", "a:b:ü".encode())


def test_a_password_longer_than_bcrypt_looks_at_counts_by_its_beginning() -> None:
    # Of 72 times "a".
    hashed = "$2b$04$......................UaUp2CqHXn14N7RprrzoDsNv91ahi36"
    users = Users({"alice": Secret(hashed)})

    assert users.look_at(basic("alice", "a" * 72)) is Verdict.RIGHT
    assert users.look_at(basic("alice", "a" * 100)) is Verdict.RIGHT
    assert users.look_at(basic("alice", "a" * 71)) is Verdict.WRONG


@pytest.mark.parametrize("right", [True, False])
def test_what_became_of_a_password_is_remembered(right: bool) -> None:
    checker = Checker(right=right)
    users = Users({"alice": Secret(HASH)}, checker)
    assert not users.known(ALICE)

    first = users.look_at(ALICE)

    assert users.known(ALICE)
    assert users.look_at(ALICE) is first
    assert checker.costs == [5]
    assert not users.known(basic("alice", "other"))


def test_a_flood_of_wrong_passwords_does_not_push_out_the_right_one() -> None:
    users = Users({"alice": Secret(HASH)}, lambda password, _: password == PASSWORD.encode())
    users.look_at(ALICE)

    for number in range(1500):
        users.look_at(basic("alice", str(number)))

    assert users.known(ALICE)
    assert not users.known(basic("alice", "0"))
    assert users.known(basic("alice", "1499"))


@pytest.mark.parametrize("user", ["alice", "bob", "nobody"])
def test_who_does_not_exist_takes_the_same_work_as_who_does(user: str) -> None:
    checker = Checker()
    users = Users({"alice": Secret(HASH), "bob": Secret(COSTLY)}, checker)

    users.look_at(basic(user, "wrong"))

    assert checker.work == 2**8


# --- The rate limit --------------------------------------------------------------------------------------


@pytest.fixture
def seconds() -> list[float]:
    """The time that passes, as the only item."""
    return [1000.0]


def test_a_burst_is_let_through_and_then_one_each_interval(seconds: list[float]) -> None:
    bucket = TokenBucket(2.0, 3, lambda: seconds[0])

    assert [bucket.take() for _ in range(4)] == [0, 0, 0, 2.0]
    seconds[0] += 1.5
    assert bucket.take() == 0.5
    seconds[0] += 0.5
    assert [bucket.take(), bucket.take()] == [0, 2.0]


def test_a_bucket_that_rests_holds_no_more_than_its_burst(seconds: list[float]) -> None:
    bucket = TokenBucket(2.0, 3, lambda: seconds[0])
    seconds[0] += 3600

    assert [bucket.take() > 0 for _ in range(5)] == [False, False, False, True, True]
