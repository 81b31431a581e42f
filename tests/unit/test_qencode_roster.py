"""Given the watched tokens and what is known, which are due, and which tasks have lost their token?"""

from collections.abc import Collection, Iterable, Mapping

from hypothesis import given
from hypothesis import strategies as st

from exporter.model import Observation, State, Task
from exporter.providers.qencode_roster import Roster
from exporter.tracking.tokens import WatchedToken

TOKENS = st.sets(st.sampled_from("abcdef"))


class Known:
    """What is known: tasks that are active and tasks that have ended."""

    def __init__(self, active: Iterable[str] = (), ended: Iterable[str] = ()) -> None:
        seen = {one: Observation(one, "transcode", "encoding", State.RUNNING, 0.0) for one in active}
        self.active: Mapping[str, Task] = {one: Task(seen[one], retries=None, changed=0.0) for one in seen}
        self.tasks: Collection[str] = {*active, *ended}
        self.position = None

    def task(self, task_id: str) -> Task | None:
        return self.active.get(task_id)

    def ended_before(self, moment: float, most: int) -> tuple[str, ...]:
        return ()


def watching(tokens: Iterable[str]) -> Mapping[str, WatchedToken]:
    return {token: WatchedToken(0.0) for token in tokens}


def test_active_tasks_and_tokens_that_nobody_answered_for_are_due() -> None:
    roster = Roster()
    known = Known(active="b", ended="c")

    roster.update(watching("abc"), known, 1.0)

    assert list(roster.due(known)) == ["b", "a"]


def test_a_task_that_came_back_to_life_is_due_again() -> None:
    roster, tokens = Roster(), watching("a")
    roster.update(tokens, Known(ended="a"), 1.0)

    alive = Known(active="a")
    roster.update(tokens, alive, 2.0)

    assert list(roster.due(alive)) == ["a"]


def test_a_task_that_lost_its_token_left_when_that_was_first_seen_and_is_not_due() -> None:
    roster, known = Roster(), Known(active="ab")
    roster.update(watching("ab"), known, 1.0)

    fewer = watching("b")
    for moment in (2.0, 3.0):
        roster.update(fewer, known, moment)

    assert roster.left == {"a": 2.0}
    assert list(roster.due(known)) == ["b"]


def test_a_token_that_comes_back_has_not_left() -> None:
    roster, known = Roster(), Known(active="a")
    for tokens, moment in (("a", 1.0), ("", 2.0), ("a", 3.0)):
        roster.update(watching(tokens), known, moment)

    assert roster.left == {}
    assert list(roster.due(known)) == ["a"]


def test_after_a_reload_a_token_that_had_left_has_left_since_then() -> None:
    before, known = Roster(), Known(active="abc")
    for tokens, moment in (("abc", 1.0), ("bc", 2.0)):
        before.update(watching(tokens), known, moment)

    after = Roster(before.left)
    after.update(watching("c"), known, 3.0)

    assert after.left == {"a": 2.0, "b": 3.0}


def test_a_forgotten_task_whose_token_stays_is_due_again() -> None:
    roster, tokens = Roster(), watching("a")
    roster.update(tokens, Known(ended="a"), 1.0)

    roster.forgotten(["a", "never watched"])
    roster.update(tokens, Known(), 2.0)

    assert list(roster.due(Known())) == ["a"]


class Reads:
    """A collection that tells how often it was gone through."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._tokens = frozenset(tokens)
        self.times = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        self.times += 1
        return iter(self._tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._tokens

    def __len__(self) -> int:
        return len(self._tokens)


def test_while_the_list_of_tokens_stays_nobody_goes_through_all_that_is_known() -> None:
    roster, known, tokens = Roster(), Known(active="a", ended="b"), watching("ab")
    known.tasks = reads = Reads("ab")
    roster.update(tokens, known, 1.0)
    before = reads.times

    for moment in (2.0, 3.0):
        roster.update(tokens, known, moment)
        assert list(roster.due(known)) == ["a"]

    assert reads.times == before


@given(st.lists(st.tuples(st.booleans(), TOKENS, TOKENS, TOKENS)))
def test_whatever_changes_what_is_due_and_what_left_is_what_a_look_at_everything_says(
    steps: list[tuple[bool, set[str], set[str], set[str]]],
) -> None:
    roster, tokens = Roster(), watching("")
    answered: set[str] = set()
    for anew, wanted, active, ended in steps:
        if anew:
            tokens = watching(wanted)
        # Only what is watched is answered, and what is known stays known.
        answered |= (active | ended) & tokens.keys()
        known = Known(active & answered, answered - active)
        roster.update(tokens, known, 1.0)

        assert set(roster.due(known)) == {one for one in tokens if one not in answered or one in active}
        assert roster.left.keys() == answered - tokens.keys()
