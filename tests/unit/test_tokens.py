import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter.config_values import Token
from exporter.model import Account, Provider
from exporter.schema import InvalidValueError, Outside
from exporter.simulator import SimulatedClock
from exporter.tracking.past import Past
from exporter.tracking.token_labels import Labels, custom_labels, is_token
from exporter.tracking.tokens import (
    REFRESH_INTERVAL,
    FileSource,
    FixedSource,
    FormatError,
    GivenSource,
    HttpSource,
    Source,
    SourceError,
    Tokens,
    read_groups,
)
from tests.support import DrivenClock

ACCOUNT = Account(Provider.QENCODE, "vod")
START = 1000.0

Said = Collection[str] | dict[str, Labels] | SourceError | None


class ScriptedSource:
    """A source that says one thing after the other, and then nothing new."""

    def __init__(self, name: str, *script: Said) -> None:
        self.name = name
        self._script = list(script)

    def read(self) -> Mapping[str, Labels] | None:
        said = self._script.pop(0) if self._script else None
        if isinstance(said, SourceError):
            raise said
        if said is None or isinstance(said, dict):
            return said
        return {token: {} for token in said}


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock(SimulatedClock(start=START, speed=0.0))


def since(tokens: Tokens) -> dict[str, float]:
    """Each token with the time since which it is watched."""
    return {token: watched.since for token, watched in tokens.current().items()}


def watch(clock: DrivenClock, *sources: Source) -> Tokens:
    return Tokens(ACCOUNT, sources, clock, clock.steady())


def watch_on(clock: DrivenClock, before: Tokens, *sources: Source) -> Tokens:
    """As after a reload."""
    return Tokens(ACCOUNT, sources, clock, clock.steady(), past=before.past)


def discovery(clock: DrivenClock, bodies: Sequence[bytes | SourceError]) -> HttpSource:
    rest = iter(bodies)

    def fetch() -> bytes:
        body = next(rest)
        if isinstance(body, SourceError):
            raise body
        return body

    return HttpSource(fetch, clock)


# --- several sources ----------------------------------------------------------------------------------


def test_given_several_sources_then_their_tokens_are_watched_since_the_account_was_opened(
    clock: DrivenClock,
) -> None:
    tokens = watch(clock, FixedSource(["a", "b"]), ScriptedSource("file", ["b", "c"]))
    clock.simulated.advance(5)

    assert since(tokens) == {"a": START, "b": START, "c": START}
    assert list(tokens.current()) == ["a", "b", "c"], "they are always asked about in the same order"
    assert tokens.failures == {}


def test_given_a_token_that_comes_later_then_it_is_watched_since_then(clock: DrivenClock) -> None:
    tokens = watch(clock, ScriptedSource("file", ["a"], ["a", "b"]))
    tokens.current()
    clock.simulated.advance(60)

    assert since(tokens) == {"a": START, "b": START + 60}


def test_given_a_token_that_goes_and_comes_back_then_it_is_watched_since_it_came_back(
    clock: DrivenClock,
) -> None:
    tokens = watch(clock, ScriptedSource("file", ["a"], [], ["a"]))
    tokens.current()
    clock.simulated.advance(60)
    assert tokens.current() == {}
    clock.simulated.advance(60)

    assert since(tokens) == {"a": START + 120}


def test_given_a_token_that_leaves_one_of_its_two_sources_then_it_is_watched_on(
    clock: DrivenClock,
) -> None:
    tokens = watch(clock, FixedSource(["a"]), ScriptedSource("file", ["a"], []))
    tokens.current()
    clock.simulated.advance(60)

    assert since(tokens) == {"a": START}


def test_given_a_source_that_fails_then_its_last_good_list_stays_and_the_others_go_on(
    clock: DrivenClock,
) -> None:
    broken = ScriptedSource("file", ["a"], SourceError("it is gone"), ["b"])
    tokens = watch(clock, broken, ScriptedSource("http", ["c"], ["d"]))
    tokens.current()

    assert set(tokens.current()) == {"a", "d"}
    assert tokens.failures == {"file": "it is gone"}
    assert set(tokens.current()) == {"b", "d"}
    assert tokens.failures == {}


def test_given_a_source_whose_first_answer_is_late_then_what_it_brings_was_there_from_the_start(
    clock: DrivenClock,
) -> None:
    tokens = watch(clock, ScriptedSource("http", SourceError("not yet"), ["a"]))
    assert tokens.current() == {}
    clock.simulated.advance(60)

    assert since(tokens) == {"a": START}


# --- after a reload -------------------------------------------------------------------------------------


def test_given_a_reload_then_tokens_that_were_watched_are_watched_since_then_and_new_ones_since_the_reload(
    clock: DrivenClock,
) -> None:
    before = watch(clock, ScriptedSource("file", ["a"], ["a", "b"]))
    before.current()
    clock.simulated.advance(60)
    before.current()
    clock.simulated.advance(60)

    after = watch_on(clock, before, ScriptedSource("file", ["a", "b", "c"]))

    assert since(after) == {"a": START, "b": START + 60, "c": START + 120}


def test_given_a_reload_before_a_source_has_answered_then_what_it_brings_was_there_from_the_start(
    clock: DrivenClock,
) -> None:
    down = SourceError("not yet")
    before = watch(clock, FixedSource(["a"]), ScriptedSource("http", down))
    before.current()
    clock.simulated.advance(60)

    after = watch_on(clock, before, FixedSource(["a"]), ScriptedSource("http", ["b"]))

    assert since(after) == {"a": START, "b": START}


def test_given_reloads_while_a_source_fails_then_its_tokens_are_watched_since_they_were_at_first(
    clock: DrivenClock,
) -> None:
    down = SourceError("not yet")
    before = watch(clock, FixedSource(["a"]), ScriptedSource("http", ["b"]))
    before.current()
    for _ in range(2):
        clock.simulated.advance(60)
        before = watch_on(clock, before, FixedSource(["a"]), ScriptedSource("http", down, ["b", "c"]))
        assert since(before) == {"a": START}

    assert since(before) == {"a": START, "b": START, "c": START + 60}


@pytest.mark.parametrize("other", [SourceError("not yet"), []], ids=["fails", "answers"])
def test_given_a_token_that_comes_back_after_a_reload_then_it_is_watched_since_it_came_back(
    clock: DrivenClock, other: Said
) -> None:
    before = watch(clock, ScriptedSource("file", ["a"]))
    before.current()
    clock.simulated.advance(60)
    after = watch_on(clock, before, ScriptedSource("file", [], ["a"]), ScriptedSource("http", other))
    assert after.current() == {}
    clock.simulated.advance(60)

    assert since(after) == {"a": START + 120}


def test_given_a_source_that_never_answered_and_is_mended_into_another_kind_then_its_tokens_are_history(
    clock: DrivenClock,
) -> None:
    before = watch(clock, ScriptedSource("fixed", ["a"]), ScriptedSource("file", SourceError("no such file")))
    before.current()
    clock.simulated.advance(60)
    # It fails at first, and another reload comes.
    mended = watch_on(
        clock, before, ScriptedSource("fixed", ["a"]), ScriptedSource("http", SourceError("HTTP 500"))
    )
    mended.current()
    clock.simulated.advance(60)
    after = watch_on(clock, mended, ScriptedSource("fixed", ["a"]), ScriptedSource("http", ["b"], ["b", "c"]))

    assert since(after) == {"a": START, "b": START}
    clock.simulated.advance(60)
    assert since(after) == {"a": START, "b": START, "c": START + 180}


def test_given_a_source_that_had_answered_and_is_gone_then_what_another_one_brings_is_new(
    clock: DrivenClock,
) -> None:
    before = watch(clock, ScriptedSource("file", ["a"]))
    before.current()
    clock.simulated.advance(60)

    assert since(watch_on(clock, before, ScriptedSource("http", ["a", "b"]))) == {"a": START, "b": START + 60}


def test_once_all_sources_have_answered_nothing_is_kept_of_tokens_that_left(clock: DrivenClock) -> None:
    before = watch(clock, ScriptedSource("file", ["a", "b"]))
    before.current()
    after = watch_on(clock, before, ScriptedSource("file", ["b"]), ScriptedSource("http", ["c"]))
    after.current()

    assert after.past == Past({"b": START, "c": START}, {})


# --- what is the same, and what is no token ---------------------------------------------------------------


def test_given_sources_that_say_nothing_else_then_the_very_same_tokens_are_returned(
    clock: DrivenClock,
) -> None:
    given: dict[str, Labels] = {"given": {"customer": "acme"}}
    tokens = watch(clock, ScriptedSource("file", ["a"], ["a"], None, ["b"]), GivenSource(lambda: dict(given)))

    first, again, silent, other = (tokens.current() for _ in range(4))
    given["given"] = {"customer": "initech"}
    relabelled = tokens.current()

    assert first is again is silent
    assert (set(first), set(other)) == ({"a", "given"}, {"b", "given"})
    assert other is not relabelled
    assert relabelled["given"].labels == (("customer", "initech"),)


def test_given_texts_that_are_no_tokens_then_they_are_left_out_and_only_their_number_is_logged(
    clock: DrivenClock,
) -> None:
    bad = ["", "a b", "a,b", "x" * 257, "\u00e9", "a\nb"]
    with capture_logs() as logs:
        current = watch(clock, ScriptedSource("file", ["good", *bad])).current()

    assert set(current) == {"good"}
    assert [(line["source"], line["number"]) for line in logs] == [("file", len(bad))]
    assert not [text for text in bad if len(text) > 1 and text in repr(logs)]


# --- the format of file_sd and http_sd ----------------------------------------------------------------


def test_given_groups_then_their_targets_are_the_tokens() -> None:
    groups = [{"targets": ["a", " b "], "labels": {"team": "vod"}}, {"targets": []}, {"targets": ["a"]}]
    assert list(read_groups(groups)) == ["a", "b"]


@pytest.mark.parametrize(
    "value", [None, {}, "a", ["a"], [{}], [{"targets": "a"}], [{"targets": [1]}], [{"targets": None}]]
)
def test_given_anything_else_then_it_is_refused_without_repeating_it(value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_groups(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- targets: [a]\n- targets: [", "line 3: neither JSON nor YAML"),
        ('[{"targets": ["a"]}, {"targets": "b"}]', "Expected `array`, got `str` - at `$[1].targets`"),
        ('[{"targets": [7]}]', "Expected `str`, got `int` - at `$[0].targets[0]`"),
        ("", "Expected `array`, got `null`"),
    ],
)
def test_given_a_file_with_a_mistake_then_its_place_and_what_to_write_are_told(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)

    with pytest.raises(FormatError) as caught:
        FileSource(file).read()

    assert str(caught.value) == f'{file}: {told}; write it like [{{"targets": ["TOKEN"]}}]'


@given(st.text(max_size=4) | st.text(alphabet="a~!, \x7f\n\u00e9", max_size=300))
def test_given_any_text_then_it_is_a_token_to_all_sources_or_to_none(text: str) -> None:
    try:
        in_configuration = Token().parse(text, Outside({}, Path(), Path.read_text)) == text
    except InvalidValueError:
        in_configuration = False
    assert is_token(text) is in_configuration


# --- discovery over HTTP --------------------------------------------------------------------------------


def test_given_a_discovery_then_its_answer_is_good_for_a_while(clock: DrivenClock) -> None:
    source = discovery(clock, [b'[{"targets": ["a"]}]', b'[{"targets": ["b"]}]'])

    assert source.read() == {"a": {}}
    clock.simulated.advance(REFRESH_INTERVAL - 1)
    assert source.read() is None
    clock.simulated.advance(1)
    assert source.read() == {"b": {}}


def test_given_a_discovery_that_fails_then_it_is_not_asked_in_a_storm(clock: DrivenClock) -> None:
    tokens = watch(clock, discovery(clock, [SourceError("HTTP 500"), b"[]"]))

    assert tokens.current() == {}
    assert tokens.current() == {}
    assert tokens.failures == {"task_tokens_http": "HTTP 500"}, "it still fails, as far as anybody knows"
    clock.simulated.advance(REFRESH_INTERVAL)
    tokens.current()
    assert tokens.failures == {}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[", b"\xff", b'[{"targets": ["\xff"]}]', b"[" * 100_000, b'{"targets": []}']
)
def test_given_a_discovery_that_answers_no_list_then_the_source_failed(
    clock: DrivenClock, body: bytes
) -> None:
    with pytest.raises(FormatError, match=r'; write it like \[{"targets": \["TOKEN"\]}\]$'):
        discovery(clock, [body]).read()


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_given_any_answer_of_a_discovery_then_reading_fails_only_as_promised(body: bytes) -> None:
    try:
        found = discovery(DrivenClock(SimulatedClock(start=START, speed=0.0)), [body]).read()
    except SourceError:
        return
    assert found is not None


# --- custom labels ------------------------------------------------------------------------------------


def test_given_labels_of_two_sources_then_a_token_has_both_and_the_later_source_wins(
    clock: DrivenClock,
) -> None:
    tokens = watch(
        clock,
        ScriptedSource("file", {"a": {"customer": "acme", "tier": "gold"}}),
        ScriptedSource("api", {"a": {"tier": "silver"}, "b": {}}),
    )
    current = tokens.current()
    assert current["a"].labels == (("customer", "acme"), ("tier", "silver"))
    assert current["b"].labels == ()


def test_given_labels_that_are_not_meant_for_a_metric_then_they_are_left_out() -> None:
    given = {"__meta_job": "x", "good": "v" * 300, "not-a-name": "x", "0": "x"}
    assert custom_labels(given) == (("good", "v" * 256),)
    assert len(custom_labels({f"label_{number:02}": "" for number in range(40)})) == 16


def test_given_groups_with_labels_then_every_target_has_them() -> None:
    groups = [{"targets": ["a", "b"], "labels": {"customer": "acme"}}, {"targets": ["c"]}]
    assert read_groups(groups) == {"a": {"customer": "acme"}, "b": {"customer": "acme"}, "c": {}}
