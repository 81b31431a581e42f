"""Formats and names: a scraper gets what it asked for, and odd texts are told as they are."""

import pytest
from prometheus_client.exposition import choose_encoder

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture, View
from exporter.model import State
from exporter.tracking.knowledge import Snapshot
from exporter.tracking.tally import Count, Tally
from tests.exposed import (
    FORMATS,
    NOW,
    ODD,
    OPENMETRICS,
    OTHERS,
    SMALL,
    TEXT,
    VOD,
    Desk,
    a_picture,
    by_family,
    expected,
    joined,
    rendered,
    task,
    whole,
)

SHOWN = a_picture(task("slow"), task("gone", labels=(("customer", "acme"),)), at=NOW + 4.9)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "application/json",
        "application/openmetrics-text",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;version=2.0.0",
        "text/plain;version=1.0.0;escaping=underscores",
        "text/plain;version=1.0.0;escaping=allow-utf-8",
        f"{OPENMETRICS};escaping=underscores",
        f"{OPENMETRICS};escaping=allow-utf-8",
    ],
)
def test_given_a_format_that_the_official_client_knows_then_it_is_that(accept: str) -> None:
    answer = Exposition(lambda: SHOWN, OTHERS).render(accept)

    assert answer.content_type == choose_encoder(accept)[1]
    read_as = OPENMETRICS if answer.content_type.startswith("application/openmetrics-text") else TEXT
    assert whole(joined(answer, read_as), read_as) == whole(expected(SHOWN, accept), read_as)


@pytest.mark.parametrize(
    "accept", ["text/plain;version=newest", "application/openmetrics-text;version=newest", ";;=,", ","]
)
def test_given_a_format_that_nobody_knows_then_it_is_the_oldest_one(accept: str) -> None:
    answer = Exposition(lambda: SHOWN, OTHERS).render(accept)

    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert whole(joined(answer, TEXT), TEXT) == whole(expected(SHOWN), TEXT)


@pytest.mark.parametrize("scheme", ["dots", "values"])
@pytest.mark.parametrize("accept", ["text/plain;version=1.0.0", OPENMETRICS])
def test_given_a_scraper_that_wants_names_escaped_that_need_not_be_then_they_are_not_and_it_is_told(
    accept: str, scheme: str
) -> None:
    answer = Exposition(lambda: SHOWN, OTHERS).render(f"{accept};escaping={scheme}")

    assert answer.content_type.endswith("; charset=utf-8; escaping=underscores")
    assert whole(joined(answer, accept), accept) == whole(expected(SHOWN, accept), accept)


def test_given_a_custom_label_that_takes_the_shown_name_of_another_one_then_no_value_moves_over() -> None:
    # There is room for 64: as the second comes, which more tasks have, there is none left for the first.
    names = [f"a_{number:02}" for number in range(63)]
    fill = [task(f"fill {turn} {name}", labels=((name, "x"),)) for name in names for turn in range(3)]
    kept = task("kept", labels=(("project", "first"),))
    late = [task(f"late {number}", labels=(("exported_project", "second"),)) for number in range(2)]
    desk = Desk(a_picture(*fill, kept))
    desk.written()
    desk.show(a_picture(*fill, kept, *late))

    desk.written()


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_given_an_odd_text_wherever_one_can_be_when_scraped_then_it_is_told_as_it_is(text: str) -> None:
    odd = task(
        text,
        phase=text,
        state=State.UNKNOWN,
        project=text,
        created=1_795_294_800.123456,
        labels=(("customer", text),),
    )
    entries = Count(Tally.PHASE_ENTRIES, ("transcode", text, "unknown"))
    picture = Picture((Snapshot(VOD, NOW, (odd,), {entries: 2.0**53 - 1}, {}),), View(buckets=SMALL))

    for accept in FORMATS:
        families = by_family(rendered(Exposition(lambda: picture, OTHERS), accept), accept)
        assert families == by_family(expected(picture, accept), accept)
        (info,) = families["transcoding_task_info"].samples
        assert {("task", text), ("project", text), ("customer", text)} <= info.labels
