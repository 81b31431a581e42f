"""Given what is known, which series does Prometheus see?"""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.metrics.collector import TaskCollector
from exporter.metrics.families import FAMILIES, Kind
from exporter.metrics.tasks import choose
from exporter.metrics.telemetry import Telemetry
from exporter.metrics.view import Picture, View
from exporter.model import (
    Account,
    Endpoint,
    ErrorReason,
    FailureReason,
    Observation,
    Outcome,
    Provider,
    State,
    Task,
)
from exporter.tracking.knowledge import Exemplar, Snapshot
from exporter.tracking.tally import Buckets, Count, Tally, observe

VOD = Account(Provider.QENCODE, "vod")
STUDIO = Account(Provider.LIVEPEER, "studio")
NOW = 1000.0
UPLOAD = {"provider": "livepeer", "account": "studio", "task_type": "upload"}


def task(task_id: str, *, changed: float = 50.0, ended: float | None = None, **fields: object) -> Task:
    seen = Observation(
        **{  # type: ignore[arg-type]
            "task": task_id,
            "task_type": "upload",
            "phase": "running",
            "state": State.RUNNING,
            "dated": 1.0,
            **fields,
        }
    )
    return Task(seen=seen, retries=seen.retries, changed=changed, ended=ended)


def registry(
    tasks: Iterable[Task] = (),
    counts: dict[Count, float] | None = None,
    account: Account = STUDIO,
    view: View | None = None,
    exemplars: dict[Count, Exemplar] | None = None,
    to_date: float = 0.0,
) -> CollectorRegistry:
    registry = CollectorRegistry()
    snapshot = Snapshot(account, NOW, tuple(tasks), counts or {}, exemplars or {})
    registry.register(TaskCollector(lambda: Picture((snapshot,), view or View(), to_date)))
    return registry


def test_every_family_follows_the_naming_conventions() -> None:
    for family in FAMILIES:
        assert family.name.startswith("transcoding_")
        assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
        assert not set(family.labels) & {
            "type",
            "job",
            "instance",
            "le",
            "quantile",
            "cluster",
            "region",
            "env",
        }
        assert family.help.endswith(".")
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_every_known_combination_exists_at_zero_before_anything_is_known() -> None:
    empty = registry(account=VOD)
    transcode = {"provider": "qencode", "account": "vod", "task_type": "transcode"}
    for phase, state in (
        ("created", "queued"),
        ("queued", "queued"),
        ("started", "running"),
        ("downloading", "running"),
        ("encoding", "running"),
        ("processing", "running"),
        ("saving", "running"),
        ("completed", "completed"),
        ("saved", "completed"),
        ("error", "failed"),
        ("failed", "failed"),
        ("restarted", "failed"),
        ("encoding", "failed"),
    ):
        labels = {**transcode, "phase": phase, "state": state}
        assert empty.get_sample_value("transcoding_tasks", labels) == 0
        assert empty.get_sample_value("transcoding_task_phase_entries_total", labels) == 0
    for reason in (
        "source_download",
        "source_media",
        "destination",
        "resources",
        "stitch",
        "drm",
        "unknown",
    ):
        labels = {**transcode, "reason": reason}
        assert empty.get_sample_value("transcoding_task_failures_total", labels) == 0
        assert empty.get_sample_value("transcoding_failed_tasks", labels) == 0
    assert empty.get_sample_value("transcoding_retries_total", transcode) == 0
    assert empty.get_sample_value("transcoding_task_warnings_total", transcode) == 0
    assert empty.get_sample_value("transcoding_task_series_dropped", {}) == 0


def test_every_livepeer_type_exists_at_zero() -> None:
    empty = registry()
    for task_type in ("upload", "import", "export", "export-data", "transcode-file", "clip", "other"):
        for phase, state in (
            ("pending", "queued"),
            ("waiting", "queued"),
            ("running", "running"),
            ("completed", "completed"),
            ("failed", "failed"),
            ("cancelled", "cancelled"),
        ):
            labels = {**UPLOAD, "task_type": task_type, "phase": phase, "state": state}
            assert empty.get_sample_value("transcoding_task_phase_entries_total", labels) == 0


def test_a_task_shows_what_is_known_and_leaves_out_what_is_not() -> None:
    shown = registry(
        [
            task("full", progress=0.25, retries=2, created=10.0, scheduled=11.0, updated=12.0, changed=12.0),
            task("bare"),
        ]
    )
    full = {**UPLOAD, "task": "full"}
    bare = {**UPLOAD, "task": "bare"}
    assert shown.get_sample_value("transcoding_task_progress_ratio", full) == 0.25
    assert shown.get_sample_value("transcoding_task_retries", full) == 2
    assert shown.get_sample_value("transcoding_task_created_timestamp_seconds", full) == 10
    assert shown.get_sample_value("transcoding_task_scheduled_timestamp_seconds", full) == 11
    assert shown.get_sample_value("transcoding_task_updated_timestamp_seconds", full) == 12
    assert shown.get_sample_value("transcoding_task_last_change_timestamp_seconds", full) == 12
    assert shown.get_sample_value("transcoding_task_finished_timestamp_seconds", full) is None
    phase = {"phase": "running", "state": "running"}
    assert shown.get_sample_value("transcoding_task_phase", {**full, **phase}) == 1
    for name in ("progress_ratio", "retries", "created_timestamp_seconds", "updated_timestamp_seconds"):
        assert shown.get_sample_value(f"transcoding_task_{name}", bare) is None
    assert shown.get_sample_value("transcoding_task_phase", {**bare, **phase}) == 1


def test_the_info_of_a_task_names_its_project_and_assets() -> None:
    shown = registry([task("t", project="p", input_asset="i", output_asset="o")])
    labels = {**UPLOAD, "task": "t", "project": "p", "input_asset": "i", "output_asset": "o"}
    assert shown.get_sample_value("transcoding_task_info", labels) == 1


def test_tasks_are_summed_by_phase() -> None:
    shown = registry([task("a"), task("b"), task("c", phase="waiting", state=State.QUEUED)])
    running = {**UPLOAD, "phase": "running", "state": "running"}
    waiting = {**UPLOAD, "phase": "waiting", "state": "queued"}
    assert shown.get_sample_value("transcoding_tasks", running) == 2
    assert shown.get_sample_value("transcoding_tasks", waiting) == 1


def test_a_phase_outside_the_documentation_stays_at_zero_once_it_was_seen() -> None:
    shown = registry(counts={Count(Tally.PHASE_ENTRIES, ("upload", "dreaming", "unknown")): 3})
    labels = {**UPLOAD, "phase": "dreaming", "state": "unknown"}
    assert shown.get_sample_value("transcoding_task_phase_entries_total", labels) == 3
    assert shown.get_sample_value("transcoding_tasks", labels) == 0


def test_the_oldest_active_task_leaves_the_ended_ones_out() -> None:
    name = "transcoding_oldest_active_task_created_timestamp_seconds"
    running = {**UPLOAD, "state": "running"}
    shown = registry([task("a", created=30.0), task("b", created=20.0), task("c", created=10.0, ended=40.0)])
    assert shown.get_sample_value(name, running) == 20
    assert registry([task("c", created=10.0, ended=40.0)]).get_sample_value(name, running) is None


class TestTheCap:
    TASKS = (
        task("old", changed=1.0),
        task("new", changed=3.0),
        task("middle", changed=2.0),
        task("ended", changed=9.0, ended=9.0),
    )

    def shown(self, most: int) -> list[str]:
        snapshot = Snapshot(STUDIO, NOW, self.TASKS, {}, {})
        picture = Picture((snapshot,), View(max_task_series=most))
        return sorted(chosen.id for shown in choose(picture) for chosen in shown.tasks)

    def test_takes_the_active_ones_first_and_the_newest_of_them(self) -> None:
        assert self.shown(4) == ["ended", "middle", "new", "old"]
        assert self.shown(3) == ["middle", "new", "old"]
        assert self.shown(2) == ["middle", "new"]
        assert self.shown(0) == []

    def test_tells_how_many_active_ones_it_left_out(self) -> None:
        shown = registry(self.TASKS, view=View(max_task_series=2))
        assert shown.get_sample_value("transcoding_task_series_dropped", {}) == 1
        everything = registry(self.TASKS)
        assert everything.get_sample_value("transcoding_task_series_dropped", {}) == 0

    def test_does_not_touch_the_fleet(self) -> None:
        shown = registry(self.TASKS, view=View(max_task_series=1))
        labels = {**UPLOAD, "phase": "running", "state": "running"}
        assert shown.get_sample_value("transcoding_tasks", labels) == 4


def test_a_task_is_stalled_as_soon_as_its_state_allows_and_not_once_it_has_ended() -> None:
    view = View(stall_after={State.RUNNING: 50.0, State.QUEUED: 51.0})
    shown = registry(
        [
            task("slow", changed=NOW - 50),
            task("brisk", changed=NOW - 49),
            task("queued", changed=NOW - 50, state=State.QUEUED, phase="waiting"),
            task("done", changed=NOW - 90, ended=NOW - 90, state=State.COMPLETED, phase="completed"),
        ],
        view=view,
    )
    stalled = {
        name: shown.get_sample_value("transcoding_task_stalled", {**UPLOAD, "task": name})
        for name in ("slow", "brisk", "queued", "done")
    }
    assert stalled == {"slow": 1, "brisk": 0, "queued": 0, "done": None}
    assert shown.get_sample_value("transcoding_stalled_tasks", {**UPLOAD, "phase": "running"}) == 1


def test_an_upload_that_waits_for_its_file_is_neither_stalled_nor_the_oldest() -> None:
    view = View(stall_after={State.QUEUED: 10.0})
    waiting = {"state": State.QUEUED, "phase": "pending", "changed": NOW - 100, "created": NOW - 100}
    shown = registry(
        [
            task("empty", **waiting),  # type: ignore[arg-type]
            task("cut", **{**waiting, "task_type": "clip"}),  # type: ignore[arg-type]
        ],
        view=view,
    )
    clip = {**UPLOAD, "task_type": "clip"}
    assert shown.get_sample_value("transcoding_task_stalled", {**UPLOAD, "task": "empty"}) == 0
    assert shown.get_sample_value("transcoding_stalled_tasks", {**UPLOAD, "phase": "pending"}) == 0
    assert shown.get_sample_value("transcoding_task_stalled", {**clip, "task": "cut"}) == 1
    oldest = "transcoding_oldest_active_task_created_timestamp_seconds"
    assert shown.get_sample_value(oldest, {**UPLOAD, "state": "queued"}) is None
    assert shown.get_sample_value(oldest, {**clip, "state": "queued"}) == NOW - 100


def test_a_failed_task_is_shown_with_its_reason_and_history_is_not() -> None:
    failed = {"state": State.FAILED, "phase": "failed", "ended": NOW}
    old = task("old", reason=FailureReason.DRM, **failed)  # type: ignore[arg-type]
    shown = registry(
        [
            task("new", reason=FailureReason.DRM, **failed),  # type: ignore[arg-type]
            task("silent", **failed),  # type: ignore[arg-type]
            msgspec.structs.replace(old, history=True),
        ]
    )
    info, fleet = "transcoding_task_failure_info", "transcoding_failed_tasks"
    drm, unknown = {**UPLOAD, "reason": "drm"}, {**UPLOAD, "reason": "unknown"}
    assert shown.get_sample_value(info, {**drm, "task": "new"}) == 1
    assert shown.get_sample_value(info, {**unknown, "task": "silent"}) == 1
    assert shown.get_sample_value(info, {**drm, "task": "old"}) is None
    assert [shown.get_sample_value(fleet, labels) for labels in (drm, unknown)] == [1, 1]


def test_without_per_task_series_only_the_fleet_is_shown() -> None:
    text = generate_latest(registry([task("secretive")], view=View(per_task=False))).decode()
    assert "secretive" not in text
    assert "transcoding_task_progress_ratio" not in text
    assert "transcoding_task_series_dropped 0" in text


@given(st.text(min_size=1), st.text(min_size=1, max_size=64), st.text())
def test_whatever_words_a_provider_uses_the_text_parses_back(name: str, phase: str, project: str) -> None:
    text = generate_latest(registry([task(name, phase=phase, state=State.UNKNOWN, project=project)])).decode(
        errors="replace"
    )
    parsed = {family.name: family for family in text_string_to_metric_families(text)}
    (sample,) = parsed["transcoding_task_phase"].samples
    assert sample.labels["phase"] == phase.encode(errors="replace").decode()
    assert not any(math.isnan(each.value) for family in parsed.values() for each in family.samples)


class TestTelemetry:
    def test_every_error_exists_at_zero_from_the_start(self) -> None:
        registry = CollectorRegistry()
        Telemetry(registry).watch(STUDIO)
        labels = {"provider": "livepeer", "account": "studio"}
        for endpoint in ("livepeer_list", "livepeer_task"):
            for reason in (
                "timeout",
                "connection",
                "tls",
                "auth",
                "rate_limited",
                "server",
                "client",
                "invalid_response",
                "too_large",
                "api",
            ):
                error = {**labels, "endpoint": endpoint, "reason": reason}
                assert registry.get_sample_value("transcoding_api_errors_total", error) == 0
        for outcome in ("success", "partial", "error", "deadline", "skipped"):
            assert registry.get_sample_value("transcoding_polls_total", {**labels, "outcome": outcome}) == 0
        assert registry.get_sample_value("transcoding_up", labels) == 0
        name = "transcoding_poll_last_success_timestamp_seconds"
        assert registry.get_sample_value(name, labels) is None, "0 would say that it was in 1970"

    def test_a_shard_tells_which_it_is_of_how_many(self) -> None:
        alone, last = CollectorRegistry(), CollectorRegistry()
        Telemetry(alone)
        Telemetry(last, shard=2, total_shards=3)
        names = ("transcoding_exporter_shard_ordinal", "transcoding_exporter_total_shards")
        assert [alone.get_sample_value(name) for name in names] == [0, 1]
        assert [last.get_sample_value(name) for name in names] == [2, 3]

    def test_a_poll_that_failed_keeps_the_time_of_the_last_success(self) -> None:
        registry = CollectorRegistry()
        telemetry = Telemetry(registry)
        labels = {"provider": "livepeer", "account": "studio"}
        telemetry.poll_ended(STUDIO, 0.2, up=True, success_at=100.0)
        telemetry.poll_ended(STUDIO, 0.2, up=False, success_at=None)
        assert registry.get_sample_value("transcoding_up", labels) == 0
        name = "transcoding_poll_last_success_timestamp_seconds"
        assert registry.get_sample_value(name, labels) == 100
        assert registry.get_sample_value("transcoding_poll_duration_seconds_count", labels) == 2

    def test_requests_and_errors_are_counted_where_they_belong(self) -> None:
        registry = CollectorRegistry()
        telemetry = Telemetry(registry)
        telemetry.requested(VOD, Endpoint.QENCODE_MASTER, "503", 0.3)
        telemetry.failed(VOD, Endpoint.QENCODE_MASTER, ErrorReason.SERVER)
        telemetry.polled(VOD, Outcome.PARTIAL)
        labels = {"provider": "qencode", "account": "vod"}
        master = {**labels, "endpoint": "qencode_master"}
        requests = registry.get_sample_value("transcoding_api_requests_total", {**master, "code": "503"})
        errors = registry.get_sample_value("transcoding_api_errors_total", {**master, "reason": "server"})
        polls = registry.get_sample_value("transcoding_polls_total", {**labels, "outcome": "partial"})
        slow = {**master, "le": "0.25"}
        fast = {**master, "le": "0.5"}
        assert (requests, errors, polls) == (1, 1, 1)
        assert registry.get_sample_value("transcoding_api_request_duration_seconds_bucket", slow) == 0
        assert registry.get_sample_value("transcoding_api_request_duration_seconds_bucket", fast) == 1


class TestStalled:
    VIEW = View(stall_after={State.QUEUED: 1800.0, State.RUNNING: 600.0})
    NAME = "transcoding_stalled_tasks"

    def stalled(self, phase: str, state: State, idle: float, ended: float | None = None) -> float | None:
        one = task("t", phase=phase, state=state, changed=NOW - idle, ended=ended)
        return registry([one], view=self.VIEW).get_sample_value(self.NAME, {**UPLOAD, "phase": phase})

    def test_is_a_task_that_has_not_changed_for_as_long_as_its_state_allows(self) -> None:
        assert self.stalled("running", State.RUNNING, 599.9) == 0
        assert self.stalled("running", State.RUNNING, 600.0) == 1
        assert self.stalled("waiting", State.QUEUED, 1799.9) == 0
        assert self.stalled("waiting", State.QUEUED, 1800.0) == 1

    def test_is_not_one_that_has_ended(self) -> None:
        assert self.stalled("completed", State.COMPLETED, 9999.0, ended=1.0) is None

    def test_every_active_phase_exists_at_zero(self) -> None:
        empty = registry()
        for phase in ("pending", "waiting", "running"):
            assert empty.get_sample_value(self.NAME, {**UPLOAD, "phase": phase}) == 0


class TestHistograms:
    VIEW = View(buckets=Buckets(duration=(60.0, 600.0), phase_duration=(1.0,)))
    COUNTS: ClassVar[dict[Count, float]] = {
        Count(Tally.DURATION, ("upload", "completed", "60.0")): 2,
        Count(Tally.DURATION, ("upload", "completed", "600.0")): 3,
        Count(Tally.DURATION, ("upload", "completed", "+Inf")): 1,
        Count(Tally.DURATION, ("upload", "completed", "sum")): 1234.5,
    }
    NAME = "transcoding_task_duration_seconds"
    COMPLETED: ClassVar[dict[str, str]] = {**UPLOAD, "state": "completed"}

    def test_are_cumulative(self) -> None:
        shown = registry(counts=self.COUNTS, view=self.VIEW)
        buckets = [
            shown.get_sample_value(f"{self.NAME}_bucket", {**self.COMPLETED, "le": bound})
            for bound in ("60.0", "600.0", "+Inf")
        ]
        assert buckets == [2, 5, 6]
        assert shown.get_sample_value(f"{self.NAME}_count", self.COMPLETED) == 6
        assert shown.get_sample_value(f"{self.NAME}_sum", self.COMPLETED) == 1234.5

    def test_exist_at_zero(self) -> None:
        empty = registry(view=self.VIEW)
        for state in ("completed", "failed", "cancelled"):
            labels = {**UPLOAD, "state": state}
            assert empty.get_sample_value(f"{self.NAME}_count", labels) == 0
            assert empty.get_sample_value(f"{self.NAME}_bucket", {**labels, "le": "+Inf"}) == 0
        phase = {**UPLOAD, "phase": "running"}
        assert empty.get_sample_value("transcoding_task_phase_duration_seconds_count", phase) == 0

    def test_a_value_on_a_bound_belongs_below_it(self) -> None:
        assert dict(observe(Tally.DURATION, ("upload",), 60.0, (60.0, 600.0))) == {
            Count(Tally.DURATION, ("upload", "60.0")): 1,
            Count(Tally.DURATION, ("upload", "sum")): 60.0,
        }
        assert Count(Tally.DURATION, ("upload", "+Inf")) in dict(
            observe(Tally.DURATION, ("upload",), 600.1, (60.0, 600.0))
        )


class TestExemplars:
    FAILURES = Count(Tally.FAILURES, ("upload", "drm"))

    def text(self, task_id: str, **view: Any) -> str:
        shown = registry(
            counts={self.FAILURES: 3},
            exemplars={self.FAILURES: Exemplar(task_id, 1, 100.0)},
            view=View(**view),
            to_date=0.5,
        )
        text: bytes = openmetrics.generate_latest(shown)  # type: ignore[no-untyped-call]
        return text.decode()

    def test_a_failure_names_its_task_in_openmetrics(self) -> None:
        assert '} 3.0 # {task="the one"} 1.0 100.5' in self.text("the one")

    def test_a_task_is_named_as_everywhere(self) -> None:
        assert '# {task="#"} 1.0 100.5' in self.text("secret", label=lambda *_: "#")
        assert "secret" not in self.text("secret", label=lambda *_: "#")

    def test_a_name_too_long_for_an_exemplar_is_left_out(self) -> None:
        assert "# {" not in self.text("x" * 125)
        assert "# {" in self.text("x" * 124)


class TestCustomLabels:
    def info(self, *labels: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        tasks = [task(str(number), labels=each) for number, each in enumerate(labels)]
        (family,) = [each for each in registry(tasks).collect() if each.name == "transcoding_task_info"]
        return [sample.labels for sample in family.samples]

    def test_stand_on_the_info_of_every_task_as_one_stable_set(self) -> None:
        first, second = self.info((("customer", "acme"),), (("tier", "gold"),))
        assert (first["customer"], first["tier"]) == ("acme", "")
        assert (second["customer"], second["tier"]) == ("", "gold")

    def test_one_that_has_the_name_of_ours_is_kept_beside_it(self) -> None:
        (labels,) = self.info((("task", "mine"),))
        assert (labels["task"], labels["exported_task"]) == ("0", "mine")

    def test_two_that_would_have_the_same_name_are_both_kept(self) -> None:
        first, second = self.info((("exported_project", "a"), ("project", "b")), (("le", "c"),))
        assert (first["exported_project"], first["exported_exported_project"]) == ("a", "b")
        assert (second["exported_le"], "le" in second) == ("c", False)

    def test_are_bounded_in_number_over_all_tasks(self) -> None:
        common = ("customer", "acme")
        tasks = [(common, (f"id_{number:03}", "x")) for number in range(100)]
        labels = self.info(*tasks)
        assert {len(each) for each in labels} == {7 + 64}
        assert {each["customer"] for each in labels} == {"acme"}


def test_our_own_times_are_shown_as_dates_of_the_present_clock() -> None:
    shown = registry([task("t", changed=900.0, created=10.0)], to_date=3600.0)
    labels = {**UPLOAD, "task": "t"}
    assert shown.get_sample_value("transcoding_task_last_change_timestamp_seconds", labels) == 4500
    assert shown.get_sample_value("transcoding_task_created_timestamp_seconds", labels) == 10
