"""Timelines: the world at a moment is a function of that moment."""

from dataclasses import dataclass

import pytest

from exporter.simulator.timeline import Timeline


@dataclass(frozen=True)
class Step:
    at: float
    name: str


A, B, C = Step(10, "a"), Step(20, "b"), Step(20, "c")


@pytest.mark.parametrize(("moment", "holds"), [(9.9, None), (10, A), (19.9, A), (20, C), (1000, C)])
def test_given_steps_when_asked_about_a_moment_then_the_last_begun_holds(
    moment: float, holds: Step | None
) -> None:
    assert Timeline.of([A, B, C]).at(moment) == holds


def test_given_a_plan_when_something_else_happens_then_it_replaces_what_was_planned() -> None:
    timeline = Timeline.of([A, B, C])

    changed = timeline.then(Step(15, "d"))

    assert [step.name for step in changed.steps] == ["a", "d"]
    assert [step.name for step in timeline.steps] == ["a", "b", "c"]
    assert (changed.first, changed.last.name) == (A, "d")


def test_given_two_changes_at_one_moment_when_asked_then_the_later_made_holds() -> None:
    assert Timeline.of([A]).then(B).then(C).at(20) == C


def test_given_no_steps_or_disorder_when_made_then_it_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Timeline.of([])
    with pytest.raises(ValueError, match="order"):
        Timeline.of([B, A])
