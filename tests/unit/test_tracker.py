"""Given what is known and what an answer says, which transition is that?"""

from dataclasses import replace

import pytest

from exporter.model import PHASES, FailureReason, Observation, Provider, State, Task
from exporter.tracking.tally import Count, Tally, counts
from exporter.tracking.tracker import advance

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
    return replace(seen, **fields)  # type: ignore[arg-type]


def qencode(phase: str, **fields: object) -> Observation:
    """What Qencode says about a task `t` that is watched since 1100; it tells no times."""
    state = PHASES[Provider.QENCODE].get(phase, State.UNKNOWN)
    seen = Observation(task="t", task_type="transcode", phase=phase, state=state, dated=1100.0, retries=0)
    return replace(seen, **fields)  # type: ignore[arg-type]


def follow(*observations: Observation, opened: float = OPENED) -> tuple[Task, dict[Count, int]]:
    """Track a task through observations, a second apart; return what is known and what was counted."""
    task: Task | None = None
    counted: dict[Count, int] = {}
    for second, seen in enumerate(observations):
        if transition := advance(task, seen, NOW + second, opened):
            task = transition.after
            for count, number in counts(transition):
                counted[count] = counted.get(count, 0) + number
    assert task is not None
    return task, counted


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
    assert advance(task, seen, NOW + 9, OPENED) is None


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
