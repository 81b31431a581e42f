"""The samples of a family, before they become the objects or the text of a scrape."""

from collections.abc import Iterable
from typing import NamedTuple

from prometheus_client.samples import Exemplar

from exporter.metrics.families import Family

Labels = tuple[str, ...]


class Sample(NamedTuple):
    """One value.

    Attributes:
        labels: In the order of the family's; of a bucket, its upper bound comes last.
        value: The value.
        suffix: What follows the family's name: of a histogram `_bucket`, `_count` or `_sum`.
        exemplar: A task that stands for it.
    """

    labels: Labels
    value: float
    suffix: str = ""
    exemplar: Exemplar | None = None


BUCKET = "_bucket"


class Series(NamedTuple):
    """All samples of one family."""

    family: Family
    samples: Iterable[Sample]

    def names(self, suffix: str) -> Labels:
        """Return the names of the labels of the samples with a suffix."""
        return (*self.family.labels, "le") if suffix == BUCKET else self.family.labels
