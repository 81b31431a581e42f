"""A Livepeer task: what never changes, and its timeline."""

from collections.abc import Iterable, Mapping
from typing import Any

from exporter.simulator.express import compact_json
from exporter.simulator.livepeer_status import LivepeerChange, LivepeerStep, changed, created, milliseconds
from exporter.simulator.timeline import Timeline

_CHANGING = frozenset({"status", "scheduledAt", "output", "deleted"})


class LivepeerTask:
    """One task.

    Args:
        fixed: The fields that never change, as the API shows them, `id` and `createdAt` among them.
        timeline: The changing part over time.

    Attributes:
        fixed: As above.
        timeline: As above; operations replace it.
    """

    __slots__ = ("_rendered", "fixed", "timeline")

    def __init__(self, fixed: Mapping[str, Any], timeline: Timeline[LivepeerStep]) -> None:
        self.fixed = fixed
        self.timeline = timeline
        self._rendered: tuple[LivepeerStep, str] | None = None

    @classmethod
    def scripted(
        cls, fixed: Mapping[str, Any], at: float, script: Iterable[LivepeerChange] = (), late: float = 0.0
    ) -> "LivepeerTask":
        """Make a task that is created at a moment and then follows a script.

        Args:
            fixed: The fields that never change, without `createdAt`.
            at: Seconds since the epoch.
            script: What happens to it, in order of time.
            late: Seconds for which readers do not see its creation.
        """
        steps = [created(at, late)]
        for change in script:
            steps.append(changed(steps[-1], at + change.after, change))
        return cls({**fixed, "createdAt": milliseconds(at)}, Timeline.of(steps))

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> "LivepeerTask":
        """Make a task that is now, and always was, as an answer of the API shows it."""
        step = LivepeerStep(
            at=float("-inf"),
            status=record["status"],
            scheduled_at=record.get("scheduledAt"),
            output=record.get("output"),
            deleted=bool(record.get("deleted")),
        )
        fixed = {name: value for name, value in record.items() if name not in _CHANGING}
        return cls(fixed, Timeline.of([step]))

    @property
    def id(self) -> str:
        """The task's id."""
        return str(self.fixed["id"])

    @property
    def created_at(self) -> int:
        """`createdAt` in milliseconds."""
        return int(self.fixed["createdAt"])

    def seen(self, now: float, lag: float = 0.0) -> LivepeerStep | None:
        """Return the step that readers see at a moment; None while they see no such task.

        Args:
            now: Seconds since the epoch.
            lag: Seconds by which the replica that they read is behind.
        """
        last = self.timeline.last
        if last.at + max(lag, last.late) <= now:
            return last
        for step in reversed(self.timeline.until(now)):
            if step.at + max(lag, step.late) <= now:
                return step
        return None

    def record(self, step: LivepeerStep) -> dict[str, Any]:
        """Return the task as the API shows it at a step."""
        changing = {
            "status": step.status,
            "scheduledAt": step.scheduled_at,
            "output": step.output,
            "deleted": step.deleted or None,
        }
        fields = {**self.fixed, **{name: value for name, value in changing.items() if value is not None}}
        return dict(sorted(fields.items(), key=_stored_order))

    def rendered(self, step: LivepeerStep) -> str:
        """Return the task at a step as compact JSON; the last one made is kept."""
        known = self._rendered
        if known is not None and known[0] is step:
            return known[1]
        text = compact_json(self.record(step))
        self._rendered = (step, text)
        return text


def stored(value: Any) -> Any:
    """Return a document with its keys in the order in which PostgreSQL's jsonb keeps them, at every depth."""
    match value:
        case dict():
            return {key: stored(item) for key, item in sorted(value.items(), key=_stored_order)}
        case list():
            return [stored(item) for item in value]
        case _:
            return value


def _stored_order(item: tuple[str, Any]) -> tuple[int, bytes]:
    """Shorter keys first, then by their bytes: so the recorded answers have them."""
    name = item[0].encode()
    return len(name), name
