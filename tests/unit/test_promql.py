"""The reading of queries by which rules and dashboards are checked."""

import pytest

from tests.promql import RATE_INTERVAL, Meaning, QueryError, Selector, selectors

SERIES = {
    "up": frozenset({"job"}),
    "tasks": frozenset({"job", "task", "phase"}),
    "seconds_bucket": frozenset({"job", "le"}),
}


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("up", {"job"}),
        ("time() - tasks", {"job", "task", "phase"}),
        ("sum(tasks)", set()),
        ("sum by (phase) (tasks)", {"phase"}),
        ("sum without (phase) (tasks)", {"job", "task"}),
        ("topk(3, tasks)", {"job", "task", "phase"}),
        ('count_values("is", tasks)', {"is"}),
        ('count_values by (job) ("is", tasks)', {"job", "is"}),
        ('count_values without (task) ("is", tasks)', {"job", "phase", "is"}),
        ('count_values without () ("is", up) * ignoring (is) group_left () up', {"job", "is"}),
        ("histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5m])))", set()),
        ("sum by (job) (tasks) * up", {"job"}),
        ("tasks * on (job) group_left () up", {"job", "task", "phase"}),
        ("sum by (task) (tasks) * on (task) group_left (phase) tasks", {"task", "phase"}),
        ("tasks * on (job) up", {"job"}),
        ("tasks and on (job) up", {"job", "task", "phase"}),
        ("tasks unless ignoring (task, phase) up", {"job", "task", "phase"}),
        ("up or tasks", {"job", "task", "phase"}),
        ('label_replace(up, "host", "$1", "job", "(.*)")', {"job", "host"}),
        ('label_join(tasks, "both", "/", "job", "task")', {"job", "task", "phase", "both"}),
        ("max_over_time((sum by (job) (tasks))[$__range:15s])", {"job"}),
    ],
)
def test_the_labels_of_a_result(query: str, labels: set[str]) -> None:
    assert Meaning(SERIES).labels(query) == labels


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("tusks", "there is no series tusks"),
        ('{job="a"}', "there is no series "),
        ('up{phase="a"}', "up has no label phase"),
        ('rate(up{phase="a"}[5m])', "up has no label phase"),
        ("sum by (phase) (up)", "sum has no label phase"),
        ("sum without (phase) (up)", "sum has no label phase"),
        ("topk by (phase) (3, up)", "topk has no label phase"),
        ("histogram_quantile(0.9, sum by (job) (seconds_bucket))", "histogram_quantile has no label le"),
        ("tasks and on (task) up", "the right of and has no label task"),
        ("up * on (task) tasks", "the left of * has no label task"),
        ("tasks * on (job) group_left (phase) up", "group_left has no label phase"),
        ("up * ignoring (le) up", "either side of * has no label le"),
        ("tasks > up", "nothing matches across >"),
        ("tasks unless ignoring (task) up", "nothing matches across unless"),
        ('label_replace(up, "a", "$1", "phase", ".*")', "label_replace has no label phase"),
        ('label_join(up, "a", "/", "job", "task")', "label_join has no label task"),
        ("max_over_time((sum by (task) (up))[6h:15s])", "sum has no label task"),
    ],
)
def test_a_query_about_nothing_is_refused(query: str, mistake: str) -> None:
    with pytest.raises(QueryError) as refused:
        Meaning(SERIES).labels(query)

    assert mistake in str(refused.value)


def test_each_reading_of_a_query_is_found() -> None:
    assert selectors('sum(rate(up{job="a"}[$__rate_interval])) / timestamp(tasks)') == [
        Selector("up", frozenset({'job="a"'}), "rate", RATE_INTERVAL),
        Selector("tasks", frozenset(), None, None),
    ]
