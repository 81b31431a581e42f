"""An ordinary prometheus_client Collector over what is known about the tasks."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from exporter.metrics.fleet import fleet
from exporter.metrics.groups import groups_of
from exporter.metrics.samples import Series
from exporter.metrics.tasks import choose, dropped, single_tasks
from exporter.metrics.view import Picture


class TaskCollector(Collector):
    """Shows the tasks of all accounts. Register it in any registry; `Exposition` is faster.

    Args:
        picture: What there is to be shown; called once a scrape.
    """

    def __init__(self, picture: Callable[[], Picture]) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """Yield every family of the fleet, and those of the single tasks if they are wanted."""
        picture = self._picture()
        shown = choose(picture)
        for series in (
            *fleet(picture, groups_of(picture)),
            dropped(picture, shown),
            *single_tasks(picture, shown),
        ):
            yield as_metric(series)


def as_metric(series: Series) -> Metric:
    """Return the series of a family as the official client has them."""
    family = series.family
    metric = Metric(family.base, family.help, family.kind)
    for labels, value, suffix, exemplar in series.samples:
        named = dict(zip(series.names(suffix), labels, strict=True))
        metric.add_sample(f"{family.name}{suffix}", named, value, exemplar=exemplar)
    return metric
