"""Given what is known and what an answer says, which transition is that?"""

import pytest
from msgspec.structs import replace

from exporter.model import PHASES, FailureReason, Observation, Provider, State, Task
from exporter.tracking.tally import DEFAULT_BUCKETS, Count, Tally, counts
from exporter.tracking.tracker import Moment, advance

OPENED = 1000.0
NOW = 2000.0


def livepeer(phase: str, updated: float, **fields: object) -> Observation:
    """What Livepeer says about a task `t` of type upload, created and scheduled at 1100."""
    state = PHASES[Provider.LIVEPEER].get(phase, State.UNKNOWN)
    seen = Observation(
        task="t",
        task_type="upload",
        phase=phase,
        state=state,
        dated=updated,
        updated=updated,
        created=1100.0,
        scheduled=1100.0,
        finished=updated if state.terminal else None,
        reason=FailureReason.DESTINATION if state is State.FAILED else None,
    )
    return replace(seen, **fields)


def qencode(phase: str, **fields: object) -> Observation:
    """What Qencode says about a task `t` that is watched since 1100; it tells no times."""
    state = PHASES[Provider.QENCODE].get(phase, State.UNKNOWN)
    seen = Observation(task="t", task_type="transcode", phase=phase, state=state, dated=1100.0, retries=0)
    return replace(seen, **fields)


HISTOGRAMS = {Tally.DURATION, Tally.PHASE_DURATION}


def follow(
    *observations: Observation, opened: float = OPENED, adopted: float = float("-inf")
) -> tuple[Task, dict[Count, float]]:
    """Track a task through observations, a second apart; return what is known and what was counted.

    What histograms count is left to the tests that are about them.
    """
    task: Task | None = None
    counted: dict[Count, float] = {}
    for second, seen in enumerate(observations):
        if transition := advance(task, seen, at(NOW + second), opened, adopted):
            task = transition.after
            for count, number in counts(transition, DEFAULT_BUCKETS):
                if count.tally not in HISTOGRAMS:
                    counted[count] = counted.get(count, 0) + number
    assert task is not None
    return task, counted


def at(now: float, skew: float = 0.0) -> Moment:
    """A moment, at which the provider's clock may be ahead of ours."""
    return Moment(steady=now, page=now + skew)


def entries(phase: str, state: str, task_type: str = "upload") -> Count:
    return Count(Tally.PHASE_ENTRIES, (task_type, phase, state))


FAILED = Count(Tally.FAILURES, ("upload", "destination"))
RETRIED = Count(Tally.RETRIES, ("upload",))


def test_a_task_counts_once_in_each_phase_it_was_seen_in() -> None:
    _, counted = follow(
        livepeer("pending", 1200.0),
        livepeer("waiting", 1300.0, retries=0),
        livepeer("running", 1400.0, retries=0, progress=0.25),
        livepeer("running", 1500.0, retries=0, progress=0.5),
        livepeer("completed", 1600.0, progress=1.0),
    )
    assert counted == {
        entries("pending", "queued"): 1,
        entries("waiting", "queued"): 1,
        entries("running", "running"): 1,
        entries("completed", "completed"): 1,
    }


def test_a_phase_that_nobody_saw_is_not_made_up() -> None:
    _, counted = follow(livepeer("pending", 1200.0), livepeer("completed", 1600.0))
    assert counted == {entries("pending", "queued"): 1, entries("completed", "completed"): 1}


def test_the_same_answer_again_is_no_transition() -> None:
    seen = livepeer("running", 1400.0, progress=0.25)
    task, _ = follow(seen)
    assert advance(task, seen, at(NOW + 9), OPENED) is None


def test_an_older_answer_never_replaces_a_newer_one() -> None:
    task, counted = follow(
        livepeer("failed", 1500.0, retries=2), livepeer("running", 1400.0, retries=2, progress=0.9)
    )
    assert task.seen.phase == "failed"
    assert counted == {entries("failed", "failed"): 1, FAILED: 1, RETRIED: 2}


class TestHistory:
    @pytest.mark.parametrize("phase", ["completed", "failed", "cancelled"])
    def test_what_had_ended_when_the_account_was_opened_counts_for_nothing(self, phase: str) -> None:
        task, counted = follow(livepeer(phase, OPENED, retries=2, warnings=3))
        assert counted == {}
        assert task.ended == OPENED

    def test_what_ended_later_counts_though_it_was_over_when_first_seen(self) -> None:
        _, counted = follow(livepeer("failed", OPENED + 1, retries=2))
        assert counted == {entries("failed", "failed"): 1, FAILED: 1, RETRIED: 2}

    def test_an_active_task_counts_however_old_it_is(self) -> None:
        _, counted = follow(livepeer("running", OPENED - 500, retries=1))
        assert counted == {entries("running", "running"): 1, RETRIED: 1}

    def test_a_qencode_token_that_is_watched_from_the_start_may_have_ended_long_ago(self) -> None:
        task, counted = follow(qencode("completed", dated=OPENED))
        assert counted == {}
        # Qencode tells no times, so the retention counts from now.
        assert task.ended == NOW

    def test_a_qencode_token_that_is_added_later_counts(self) -> None:
        _, counted = follow(qencode("completed", dated=OPENED + 1))
        assert counted == {entries("completed", "completed", "transcode"): 1}

    def test_history_that_comes_back_to_life_counts_from_there(self) -> None:
        _, counted = follow(
            livepeer("failed", OPENED, retries=2),
            livepeer("waiting", 1500.0, retries=0, scheduled=1500.0),
            livepeer("failed", 1600.0, retries=0, scheduled=1500.0),
        )
        assert counted == {entries("waiting", "queued"): 1, entries("failed", "failed"): 1, FAILED: 1}


class TestAdoption:
    """A task that was there at 1500 was another exporter's until then."""

    ADOPTED = 1500.0

    def test_an_active_task_is_known_and_counts_for_nothing(self) -> None:
        task, counted = follow(livepeer("running", 1400.0, retries=1, warnings=2), adopted=self.ADOPTED)
        assert counted == {}
        assert (task.seen.phase, task.retries, task.history) == ("running", 1, False)

    def test_what_happens_to_it_from_then_on_counts(self) -> None:
        _, counted = follow(
            livepeer("running", 1400.0, retries=1),
            livepeer("waiting", 1600.0, retries=2),
            livepeer("failed", 1700.0, retries=2),
            adopted=self.ADOPTED,
        )
        assert counted == {
            entries("waiting", "queued"): 1,
            RETRIED: 1,
            entries("failed", "failed"): 1,
            FAILED: 1,
        }

    def test_one_that_had_ended_by_then_is_history(self) -> None:
        task, counted = follow(livepeer("failed", self.ADOPTED, retries=2), adopted=self.ADOPTED)
        assert counted == {}
        assert task.history
        assert task.ended == self.ADOPTED

    def test_one_that_ended_later_has_ended_here_though_nobody_had_looked_yet(self) -> None:
        task, counted = follow(livepeer("failed", 1501.0, retries=2, warnings=1), adopted=self.ADOPTED)
        assert counted == {entries("failed", "failed"): 1, FAILED: 1}, "its retries lie who knows when"
        assert not task.history

    def test_a_task_that_was_created_later_counts_like_any_other(self) -> None:
        seen = livepeer("waiting", 1600.0, created=1501.0, scheduled=1600.0, retries=1)
        _, counted = follow(seen, adopted=self.ADOPTED)
        assert counted == {entries("waiting", "queued"): 1, RETRIED: 1}

    def test_its_age_counts_by_the_clock_of_the_provider(self) -> None:
        # At our 2000 it is 2100 there: what is 500 seconds old was created at 1600.
        for created, entered in ((1600.0, False), (1601.0, True)):
            seen = livepeer("running", 1900.0, created=created)
            step = advance(None, seen, at(NOW, skew=100.0), OPENED, self.ADOPTED)
            assert step is not None
            assert step.entered is entered

    def test_a_token_that_was_watched_elsewhere_tells_no_times_so_none_is_made_up(self) -> None:
        task, counted = follow(qencode("queued", dated=self.ADOPTED), adopted=self.ADOPTED)
        assert counted == {}
        assert (task.begun, task.entered) == (None, None)

    def test_a_token_that_was_watched_elsewhere_counts_from_then_on(self) -> None:
        dated = {"dated": self.ADOPTED}
        _, counted = follow(qencode("queued", **dated), qencode("encoding", **dated), adopted=self.ADOPTED)
        assert counted == {entries("encoding", "running", "transcode"): 1}


class TestRetries:
    def test_each_retry_of_the_provider_counts_once(self) -> None:
        task, counted = follow(
            livepeer("running", 1200.0, retries=0),
            livepeer("waiting", 1300.0, retries=1),
            livepeer("waiting", 1330.0, retries=1),
            livepeer("running", 1360.0, retries=1),
            livepeer("waiting", 1400.0, retries=2),
        )
        assert counted[RETRIED] == 2
        assert task.retries == 2

    def test_retries_between_two_looks_count_too(self) -> None:
        _, counted = follow(livepeer("running", 1200.0, retries=0), livepeer("running", 1700.0, retries=2))
        assert counted[RETRIED] == 2
        assert counted[entries("running", "running")] == 2, "it entered the phase again, in a new attempt"

    def test_the_last_number_stays_when_completion_drops_it(self) -> None:
        task, counted = follow(livepeer("running", 1200.0, retries=2), livepeer("completed", 1300.0))
        assert task.retries == 2
        assert counted[RETRIED] == 2

    def test_a_missing_number_is_not_a_zero(self) -> None:
        task, counted = follow(
            livepeer("running", 1200.0, retries=1),
            livepeer("running", 1300.0, progress=0.5),
            livepeer("running", 1400.0, retries=1, progress=0.6),
        )
        assert task.retries == 1
        assert counted[RETRIED] == 1

    def test_a_late_error_after_completion_is_a_retry_though_the_number_starts_anew(self) -> None:
        task, counted = follow(
            livepeer("running", 1200.0, retries=1),
            livepeer("completed", 1300.0),
            livepeer("waiting", 1400.0, retries=1),
        )
        assert counted[RETRIED] == 2
        assert task.retries == 1

    def test_qencode_restarts_a_job_by_a_new_one(self) -> None:
        _, counted = follow(qencode("encoding"), qencode("restarted", retries=1))
        assert counted[Count(Tally.RETRIES, ("transcode",))] == 1


class TestRetriedByHand:
    AGAIN = 1450.0

    def test_a_task_that_fails_again_has_failed_twice(self) -> None:
        _, counted = follow(
            livepeer("failed", 1400.0, retries=2),
            livepeer("waiting", 1450.0, retries=0, scheduled=self.AGAIN),
            livepeer("failed", 1500.0, retries=2, scheduled=self.AGAIN),
        )
        assert counted[FAILED] == 2
        assert counted[RETRIED] == 4

    def test_even_if_nobody_looked_in_between(self) -> None:
        _, counted = follow(
            livepeer("failed", 1400.0, retries=2), livepeer("failed", 1500.0, retries=1, scheduled=self.AGAIN)
        )
        assert counted[FAILED] == 2
        assert counted[RETRIED] == 3

    def test_the_retry_by_hand_itself_is_none_of_the_provider(self) -> None:
        task, counted = follow(
            livepeer("failed", 1400.0, retries=2),
            livepeer("waiting", 1450.0, retries=0, scheduled=self.AGAIN),
        )
        assert counted[RETRIED] == 2
        assert task.retries == 0

    def test_a_cancelled_task_tells_no_retries(self) -> None:
        task, counted = follow(
            livepeer("running", 1300.0, retries=1),
            livepeer("cancelled", 1400.0),
            livepeer("completed", 1500.0, scheduled=self.AGAIN),
        )
        assert counted[RETRIED] == 1
        assert task.retries == 0

    def test_the_first_scheduling_is_no_retry(self) -> None:
        _, counted = follow(
            livepeer("pending", 1200.0, scheduled=None), livepeer("waiting", 1300.0, retries=0)
        )
        assert counted == {entries("pending", "queued"): 1, entries("waiting", "queued"): 1}


class TestTerminalPhasesAreNotFinal:
    def test_a_late_success(self) -> None:
        task, counted = follow(livepeer("failed", 1400.0), livepeer("completed", 1500.0, progress=1.0))
        assert counted[FAILED] == 1
        assert counted[entries("completed", "completed")] == 1
        assert task.ended == NOW + 1

    def test_a_task_that_comes_back_is_active_again(self) -> None:
        task, _ = follow(livepeer("completed", 1400.0), livepeer("waiting", 1500.0, retries=1))
        assert task.ended is None

    def test_news_about_an_ended_task_does_not_end_it_again(self) -> None:
        task, _ = follow(qencode("completed"), qencode("completed", warnings=1))
        assert task.ended == NOW


class TestLastChange:
    def test_is_the_time_of_the_provider_if_it_tells_one(self) -> None:
        task, _ = follow(
            livepeer("running", 1400.0, progress=0.25), livepeer("running", 1500.0, progress=0.5)
        )
        assert task.changed == 1500.0

    def test_is_ours_otherwise(self) -> None:
        task, _ = follow(qencode("encoding", progress=0.1), qencode("encoding", progress=0.2))
        assert task.changed == NOW + 1

    def test_is_not_moved_by_an_update_that_changes_neither_phase_nor_progress(self) -> None:
        task, _ = follow(
            livepeer("running", 1400.0, progress=0.25), livepeer("running", 1500.0, progress=0.25)
        )
        assert task.changed == 1400.0
        assert task.seen.updated == 1500.0


def test_a_job_that_stops_in_the_middle_enters_the_same_phase_as_failed() -> None:
    _, counted = follow(
        qencode("encoding"),
        qencode("encoding", state=State.FAILED, reason=FailureReason.SOURCE_MEDIA),
    )
    assert counted == {
        entries("encoding", "running", "transcode"): 1,
        entries("encoding", "failed", "transcode"): 1,
        Count(Tally.FAILURES, ("transcode", "source_media")): 1,
    }


def test_warnings_count_as_they_are_added() -> None:
    _, counted = follow(
        qencode("encoding", warnings=1), qencode("encoding", warnings=1), qencode("saving", warnings=3)
    )
    assert counted[Count(Tally.WARNINGS, ("transcode",))] == 3


class TestDurations:
    @staticmethod
    def spans(*observations: Observation) -> list[tuple[float | None, float | None]]:
        """The duration and the phase duration of each transition, a second apart."""
        task: Task | None = None
        spans = []
        for second, seen in enumerate(observations):
            transition = advance(task, seen, at(NOW + second), OPENED)
            assert transition
            task = transition.after
            spans.append((transition.duration, transition.phase_duration))
        return spans

    def test_are_measured_by_the_providers_times_where_it_tells_them(self) -> None:
        assert self.spans(
            livepeer("pending", 1100.0, scheduled=None),
            livepeer("waiting", 1130.0, scheduled=1130.0, retries=0),
            livepeer("running", 1190.0, scheduled=1130.0, retries=0),
            livepeer("completed", 1400.0, scheduled=1130.0),
        ) == [(None, None), (None, 30.0), (None, 60.0), (300.0, 210.0)]

    def test_are_measured_by_our_steady_clock_where_it_does_not(self) -> None:
        assert self.spans(qencode("queued"), qencode("encoding"), qencode("completed")) == [
            (None, None),
            (None, 1.0),
            (2.0, 1.0),
        ]

    def test_are_left_out_where_the_start_was_not_seen(self) -> None:
        assert self.spans(qencode("encoding"), qencode("saving"), qencode("completed")) == [
            (None, None),
            (None, None),
            (None, 1.0),
        ]
        running = livepeer("running", 1500.0, progress=0.4)
        assert self.spans(running, livepeer("failed", 1600.0))[1] == (500.0, None)

    def test_of_history_are_not_observed(self) -> None:
        assert self.spans(livepeer("completed", OPENED)) == [(None, None)]

    def test_a_task_that_ended_before_it_was_first_seen_has_a_duration(self) -> None:
        assert self.spans(livepeer("completed", 1700.0)) == [(600.0, None)]

    def test_a_task_that_ends_again_has_a_duration_again(self) -> None:
        spans = self.spans(
            livepeer("failed", 1400.0),
            livepeer("waiting", 1500.0, scheduled=1500.0, retries=0),
            livepeer("completed", 1700.0, scheduled=1500.0),
        )
        assert [duration for duration, _ in spans] == [300.0, None, 600.0]

    def test_are_never_negative(self) -> None:
        assert self.spans(livepeer("completed", 1700.0, created=1800.0)) == [(0.0, None)]
        task = follow(qencode("queued"))[0]
        earlier = advance(task, qencode("completed"), at(NOW - 3600), OPENED)
        assert earlier is not None
        assert (earlier.duration, earlier.phase_duration) == (0.0, 0.0)


class TestClocks:
    """The provider's clock is an hour off, or ours is: nothing but ages is compared."""

    @pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
    def test_what_had_ended_by_the_opening_is_history_by_its_age(self, skew: float) -> None:
        ended_before = livepeer("failed", OPENED - 1 + skew)
        ended_after = livepeer("failed", OPENED + 1 + skew)
        history = advance(None, ended_before, at(NOW, skew), OPENED)
        news = advance(None, ended_after, at(NOW, skew), OPENED)
        assert history is not None
        assert news is not None
        assert (history.entered, news.entered) == (False, True)

    @pytest.mark.parametrize("skew", [-3600.0, 0.0, 3600.0])
    def test_the_last_change_is_as_long_ago_as_the_provider_says(self, skew: float) -> None:
        seen = livepeer("running", NOW - 30 + skew)
        transition = advance(None, seen, at(NOW, skew), OPENED)
        assert transition is not None
        assert transition.after.changed == NOW - 30

    def test_a_change_never_moves_back(self) -> None:
        task = follow(qencode("encoding", progress=0.1))[0]
        transition = advance(task, qencode("encoding", progress=0.2), at(NOW - 100), OPENED)
        assert transition is not None
        assert transition.after.changed == NOW
