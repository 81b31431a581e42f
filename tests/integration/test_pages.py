"""The pages for people, asked without a browser, in front of services that are simulated."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from exporter.config import LivepeerConfig, MetricsConfig, QencodeConfig, TaskLabel
from exporter.reporter import Reporter
from exporter.server.location import ROOT, Location, locate
from exporter.sharding import ALONE, Shard
from exporter.simulator import Fault, FaultKind, Simulator
from exporter.web.app import Site, create_app
from tests.support import DrivenClock, exporting, livepeer_config, qencode_config

MARKUP = "<script>alert('1 & \"2\"')</script>"
HEBREW = "\u05d0\u05d1"
TURNING = f"{HEBREW}\u202eabc"
"""Letters that run from right to left, and what lets all that follow do so."""
ODD = "a b/ü?&#%+\"'"


class Pages:
    """The pages as a browser without JavaScript gets them."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def call(self, path: str, method: str = "GET") -> TestResponse:
        return self._client.open(path, method=method, buffered=True)

    def get(self, path: str = "/") -> BeautifulSoup:
        answer = self.call(path)
        assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8"), path
        return BeautifulSoup(answer.text, "html.parser")

    def tasks(self, path: str = "/") -> list[str]:
        """The names of the tasks, in their order."""
        return [text(cell) for cell in self.get(path).select("#table .id")]


@contextmanager
def serving(
    clock: DrivenClock,
    *accounts: QencodeConfig | LivepeerConfig,
    metrics: MetricsConfig | None = None,
    grafana_url: str = "",
    location: Location = ROOT,
    shard: Shard = ALONE,
) -> Iterator[Pages]:
    with exporting(clock, *accounts, metrics=metrics, shard=shard) as exporter:
        site = Site(
            exporter.exposition.render,
            exporter.refresh,
            Reporter(exporter),
            grafana_url=grafana_url,
            location=location,
        )
        yield Pages(create_app(site).test_client())


@pytest.fixture
def pages(simulator: Simulator, clock: DrivenClock) -> Iterator[Pages]:
    """An account `studio` with four tasks, and an account `vod` with a job."""
    studio = simulator.livepeer.account
    for name, progress in (("half", 0.5), ("tenth", 0.1)):
        studio.add("upload", id=name)
        studio.progress(name, progress)
    studio.add("clip", id="queued")
    with serving(
        clock, livepeer_config(simulator), qencode_config(simulator, simulator.qencode.add("encoding"))
    ) as pages:
        pages.get()
        simulator.clock.advance(60)
        studio.add("import", id="broken")
        studio.fail("broken", "unsupported codec")
        yield pages


def text(element: Tag | None) -> str:
    """What an element says, each white space being one blank."""
    assert element is not None
    return " ".join(element.get_text().split())


def link(page: Tag, words: str) -> str:
    """Where the link with these words leads."""
    (found,) = {str(one["href"]) for one in page.select("a") if text(one) == words}
    return found


def verdict(page: BeautifulSoup) -> str:
    return text(page.select_one("#verdict .says"))


def chosen(page: BeautifulSoup) -> dict[str, list[str]]:
    """What the form holds."""
    form: dict[str, list[str]] = {}
    for field in page.select("#filter input[checked], #filter [type=search], #filter option[selected]"):
        name = field.get("name") or field.find_parent("select")["name"]  # type: ignore[index] # an option is in one
        form.setdefault(str(name), []).append(str(field.get("value", text(field))))
    return {name: values for name, values in form.items() if values != [""]}


# --- What it says ----------------------------------------------------------------------------------


def test_the_page_says_what_is_wrong_first_and_what_to_do(pages: Pages, simulator: Simulator) -> None:
    page = pages.get()
    assert verdict(page) == "1 failed"
    assert page.title
    assert page.title.text == "1 failed, 3 running \N{EN DASH} transcoding-exporter"
    assert link(page, "1 failed") == "/?state=failed"
    assert pages.call(link(page, "a task has failed")).status_code == 200

    simulator.clock.advance(600)
    simulator.faults.set("qencode_api", Fault(FaultKind.SERVER_ERROR, status=502))
    simulator.faults.set("qencode_master", Fault(FaultKind.SERVER_ERROR, status=502))
    page = pages.get()
    assert verdict(page) == "1 account down · 4 stalled · 1 failed"
    assert link(page, "4 stalled") == "/?stalled=true"
    assert len(pages.tasks("/?stalled=true")) == 4
    for words in ("an account is down", "a task is stalled", "a task has failed"):
        assert pages.call(link(page, words)).status_code == 200


def test_given_nothing_wrong_then_the_page_says_so(simulator: Simulator, clock: DrivenClock) -> None:
    with serving(clock, livepeer_config(simulator)) as pages:
        page = pages.get()

    assert verdict(page) == "Nothing is stuck or failing"
    assert text(page.select_one("#table")) == "Nothing is running, and nothing has ended lately."


def test_given_a_shard_then_the_page_says_that_its_tasks_are_not_all(
    simulator: Simulator, clock: DrivenClock
) -> None:
    # The account belongs to shard 0.
    for number, says in enumerate(("Nothing is stuck or failing", "This shard has no account")):
        with serving(clock, livepeer_config(simulator), shard=Shard(number, 2)) as pages:
            page = pages.get()

        assert verdict(page) == says
        assert text(page.select_one("#verdict .part")) == (
            f"Shard {number} of 2 (counted from 0) shows only its own tasks;"
            " ask the others at their own URLs."
        )

    with serving(clock, livepeer_config(simulator)) as pages:
        assert "shard" not in pages.call("/").text.lower()
    with serving(clock) as pages:
        assert verdict(pages.get()) == "No account is configured"


def test_given_failures_from_before_we_watched_then_they_are_told_apart_and_do_not_alarm(
    simulator: Simulator, clock: DrivenClock
) -> None:
    studio = simulator.livepeer.account
    for number in range(2):
        studio.fail(studio.add("upload", id=f"old-{number}"))
    with serving(clock, livepeer_config(simulator)) as pages:
        before = pages.get()
        simulator.clock.advance(60)
        studio.fail(studio.add("upload", id="new"))
        after = pages.get()

    assert [verdict(page) for page in (before, after)] == ["Nothing is stuck or failing", "1 failed"]
    for page, failed in ((before, "0 failed, 2 earlier"), (after, "1 failed, 2 earlier")):
        states = [text(state) for state in page.select("#verdict .numbers li")]
        assert states == ["0 queued", "0 running", "0 completed", failed, "0 cancelled"]
        assert text(page.select_one("#accounts .counts")) == failed


def test_an_account_shows_its_health_its_last_poll_and_its_tasks_by_state(
    pages: Pages, simulator: Simulator
) -> None:
    pages.get()
    simulator.clock.advance(60)
    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))
    pages.get()
    simulator.clock.advance(90)

    down, up = pages.get().select("#accounts article")
    assert text(down.h2) == "livepeer studio down for 1 min 30 s"
    assert text(down.select_one(".counts")) == "1 queued 2 running 1 failed"
    assert text(down.select_one(".poll")).startswith(
        "Polled 0 s ago, in 0.00 s: error, last whole 2 min 30 s ago"
    )
    assert text(down.select_one(".errors")).startswith("server at livepeer_list: 127.0.0.1:")
    assert "HTTP 503" in text(down.select_one(".errors"))
    assert text(up.h2) == "qencode vod up"


def test_a_task_shows_where_it_is_how_far_since_when_and_why(pages: Pages, simulator: Simulator) -> None:
    simulator.livepeer.account.fail_and_retry("half", "catalyst pipeline error")
    pages.get()
    simulator.clock.advance(30)
    page = pages.get()
    rows = {text(row.select_one(".id")): row for row in page.select("#table tbody tr")}

    cells = [text(cell) for cell in rows["half"].select("td")]
    assert cells[0] == "half upload"
    assert cells[1] == "livepeer studio"
    assert cells[2] == "waiting queued catalyst pipeline error"
    heads = {text(head): str(head.a.get("title", "")) for head in page.select("#table th") if head.a}
    assert dict(zip(list(heads)[4:], cells[4:], strict=True)) == {
        "Age": "1 min 30 s",
        "Unchanged": "30 s",
        "Retries": "1",
    }
    assert {head: about for head, about in heads.items() if about} == {
        "Age": "Time since it was created",
        "Unchanged": "Time since its phase or progress last changed",
    }
    assert text(rows["tenth"].select("td")[3]) == "10 %"
    assert text(rows["broken"].select("td")[2]) == "failed source_media: unsupported codec"


# --- What it is asked for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "tasks"),
    [
        ("?account=livepeer/studio&sort=task", ["broken", "half", "queued", "tenth"]),
        ("?account=livepeer/studio&sort=task&reversed=true", ["tenth", "queued", "half", "broken"]),
        ("?account=livepeer/studio&sort=progress", ["half", "tenth", "broken", "queued"]),
        ("?account=livepeer/studio&sort=progress&reversed=true", ["tenth", "half", "broken", "queued"]),
        ("?account=livepeer/vod", []),
        ("?state=failed", ["broken"]),
        ("?state=failed&state=queued", ["broken", "queued"]),
        ("?stalled=true", []),
        ("?search=CODEC", []),
        ("?search=+Source_Media+", ["broken"]),
        ("?search=hal", ["half"]),
    ],
)
def test_the_tasks_are_filtered_and_sorted(pages: Pages, query: str, tasks: list[str]) -> None:
    assert pages.tasks(f"/{query}") == tasks


@pytest.mark.parametrize(
    "query",
    [
        *("?state=lost", "?account=studio", "?account=aws/studio", "?account=/", "?stalled=yes"),
        *("?offset=-1", "?offset=x", "?offset=1e9", "?sort=luck", "?reversed=1", "?nothing=1", "?search=+"),
    ],
)
def test_given_a_query_that_makes_no_sense_then_all_tasks_are_shown(pages: Pages, query: str) -> None:
    assert pages.tasks(f"/{query}") == pages.tasks()


def test_the_form_shows_what_was_asked_for_and_brings_it_again(pages: Pages) -> None:
    asked = {"search": ["a"], "account": ["livepeer/studio"], "sort": ["progress"]}
    asked |= {"state": ["queued", "failed"], "stalled": ["true"], "reversed": ["true"]}

    page = pages.get(
        "/?search=a&account=livepeer/studio&state=failed&state=queued&stalled=true&sort=progress&reversed=true"
    )

    assert chosen(page) == asked
    for heading in page.select("#table th a"):
        kept = parse_qs(urlsplit(str(heading["href"])).query)
        assert {name: kept[name] for name in ("search", "account", "state", "stalled")} == {
            name: asked[name] for name in ("search", "account", "state", "stalled")
        }


def test_a_heading_sorts_by_its_column_and_a_second_time_the_other_way_round(pages: Pages) -> None:
    def heading(path: str, column: str) -> tuple[str, str]:
        page = pages.get(path)
        (found,) = [one for one in page.select("#table th") if text(one) == column]
        return str(found["aria-sort"]), link(found, column)

    assert heading("/", "Progress") == ("none", "/?sort=progress")
    assert heading("/?sort=progress", "Progress") == ("descending", "/?sort=progress&reversed=true")
    assert heading("/?sort=progress&reversed=true", "Progress") == ("ascending", "/?sort=progress")
    # The oldest first: the greatest age.
    assert heading("/?sort=created", "Age")[0] == "descending"
    assert heading("/?sort=task", "Age")[0] == "none"
    assert heading("/", "Unchanged") == ("none", "/?sort=changed")


def test_given_many_tasks_then_they_are_paged_and_what_was_asked_for_is_kept(
    simulator: Simulator, clock: DrivenClock
) -> None:
    for number in range(120):
        simulator.livepeer.account.add("upload", id=f"task-{number:03}")
    with serving(clock, livepeer_config(simulator)) as pages:
        first = pages.get("/?sort=task&state=queued")
        assert text(first.select_one(".paging")) == "Previous 1\N{EN DASH}50 of 120 Next"
        assert not first.select("[rel=prev]")
        assert link(first, "Next") == "/?state=queued&sort=task&offset=50"

        last = pages.get("/?state=queued&sort=task&offset=100")
        assert text(last.select_one(".paging")) == "Previous 101\N{EN DASH}120 of 120 Next"
        assert text(last.select(".id")[0]) == "task-100"
        assert not last.select("[rel=next]")
        assert link(last, "Age") == "/?state=queued&sort=created", "the first page again"
        assert link(last, "Previous") == "/?state=queued&sort=task&offset=50"

        beyond = pages.get("/?sort=task&offset=500")
        assert text(beyond.select(".id")[0]) == "task-100", "the last page there is"
        assert not pages.get("/?search=task-11").select(".paging")


# --- Links -----------------------------------------------------------------------------------------


def test_given_grafana_then_each_task_links_to_its_dashboard(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.livepeer.account.add("upload", id=ODD)
    account = livepeer_config(simulator, name=ODD)
    with serving(clock, account, grafana_url="https://grafana.example/base/") as pages:
        page = pages.get()

    url = urlsplit(link(page, ODD))
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://grafana.example/base/d/transcoding-task"
    asked = {"var-provider": ["livepeer"], "var-account": [ODD], "var-task": [ODD]}
    assert parse_qs(url.query) == asked
    assert link(page, "Grafana") == "https://grafana.example/base/"


def test_given_no_grafana_then_nothing_links_there(pages: Pages) -> None:
    page = pages.get()

    assert not page.select("#table .id a")
    assert "Grafana" not in page.text


def test_given_a_prefix_then_every_link_is_under_it_and_leads_somewhere(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.livepeer.account.add("upload")
    location = locate("https://example.com/video/")
    with serving(clock, livepeer_config(simulator), location=location) as pages:
        for path in ("/video/", "/video/runbooks/", "/video/runbooks/TranscodingTaskFailed"):
            page = pages.get(path)
            links = [str(one["href"]) for one in page.select("[href]")] + [
                str(one["src"]) for one in page.select("[src]")
            ]
            targets = {urlsplit(urljoin(path, one))._replace(fragment="").geturl() for one in links}
            assert len(targets) > 5
            for target in targets:
                assert target.startswith("/video/"), target
                assert pages.call(target).status_code == 200, target
        form = pages.get("/video/").select_one("#filter")
        assert form
        assert form["action"] == "/video/"


def test_every_runbook_is_listed_and_its_links_lead_somewhere(pages: Pages) -> None:
    listed = [str(one["href"]) for one in pages.get("/runbooks/").select("main a")]
    assert "/runbooks/TranscodingTaskStalled" in listed
    assert len(listed) == 24

    for path in listed:
        page = pages.get(path)
        assert page.h1
        assert path == f"/runbooks/{page.h1.text}"
        for one in page.select("main a"):
            target = urljoin(path, str(one["href"]))
            assert target.startswith("http") or pages.call(target).status_code == 200, f"{path}: {target}"


@pytest.mark.parametrize(
    "name", ["Nothing", "README", "README.md", "../README", "..%2FREADME", "%2Fetc%2Fpasswd", quote(MARKUP)]
)
def test_given_no_such_runbook_then_there_is_none(pages: Pages, name: str) -> None:
    answer = pages.call(f"/runbooks/{name}")

    assert answer.status_code == 404
    assert "<script" not in answer.text


@pytest.mark.parametrize("path", ["/runbooks", "/static//style.css", "//runbooks/"])
def test_given_a_slash_too_few_or_too_many_then_nothing_leads_to_where_the_host_header_says(
    pages: Pages, path: str
) -> None:
    answer = pages.call(path)

    assert answer.status_code in (200, 404)
    assert "Location" not in answer.headers


# --- Safety ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/?search=x", "/runbooks/", "/runbooks/TranscodingTaskFailed"])
def test_a_page_loads_nothing_from_elsewhere_runs_only_our_script_and_is_not_kept(
    pages: Pages, path: str
) -> None:
    answer = pages.call(path)

    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    page = BeautifulSoup(answer.text, "html.parser")
    assert not page.select("[style], style, script:not([src])")
    assert not [name for one in page.select("*") for name in one.attrs if name.startswith("on")]
    for one in page.select("script, img, link"):
        assert str(one.get("src") or one.get("href")).startswith("/static/")


@pytest.mark.parametrize("path", ["/", "/runbooks/", "/runbooks/TranscodingTaskFailed", "/static/style.css"])
def test_given_head_then_the_headers_come_without_the_page(pages: Pages, path: str) -> None:
    head, get = pages.call(path, "HEAD"), pages.call(path)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.data))
    assert head.content_type == get.content_type


def test_whatever_a_provider_an_owner_or_a_reader_writes_is_text(
    simulator: Simulator, clock: DrivenClock
) -> None:
    studio = simulator.livepeer.account
    studio.add(MARKUP, id=MARKUP, inputAssetId=MARKUP, outputAssetId=MARKUP, projectId=MARKUP)
    studio.set_status(MARKUP, phase=MARKUP, errorMessage=MARKUP)
    simulator.qencode.fail(simulator.qencode.add("encoding", labels={"customer": MARKUP}), MARKUP)
    accounts = (
        livepeer_config(simulator, name=MARKUP),
        qencode_config(simulator, name=MARKUP, task_tokens_http=simulator.tokens_url),
    )
    with serving(clock, *accounts, grafana_url="https://grafana.example") as pages:
        plain = pages.get()
        asked = pages.get(f"/?search={quote(MARKUP)}&account=livepeer/{quote(MARKUP)}&sort={quote(MARKUP)}")

    for page in (plain, asked):
        assert [str(one["src"]).partition("?")[0] for one in page.select("script")] == ["/static/status.js"]
    rows = {text(row.select_one(".provider")): text(row) for row in plain.select("#table tbody tr")}
    # Its name, its account, its phase and the message; of a progress bar it is the name, too.
    assert rows["livepeer"].count(MARKUP) == 4
    assert f"customer={MARKUP}" in rows["qencode"]
    assert rows["qencode"].count(MARKUP) == 3
    assert [MARKUP in text(one) for one in plain.select("#accounts h2")] == [True, True]
    assert chosen(asked) == {"search": [MARKUP], "account": [f"livepeer/{MARKUP}"], "sort": ["urgency"]}
    assert len(asked.select("#table tbody tr")) == 1


def test_given_error_messages_with_markup_then_an_account_shows_them_as_text(
    simulator: Simulator, clock: DrivenClock
) -> None:
    simulator.faults.set("livepeer", Fault(FaultKind.HTML_ERROR))
    with serving(clock, livepeer_config(simulator, name=MARKUP)) as pages:
        page = pages.get()

    assert "<html" in text(page.select_one(".errors"))
    assert not page.select(".errors :not(li, b, bdi)")


def test_given_letters_that_run_from_right_to_left_then_they_turn_round_nothing_beside_them(
    simulator: Simulator, clock: DrivenClock
) -> None:
    studio = simulator.livepeer.account
    # What can't be printed is no id.
    studio.add("upload", id=HEBREW)
    studio.set_status(HEBREW, phase=TURNING, errorMessage=TURNING)
    simulator.qencode.fail(simulator.qencode.add("encoding", labels={"customer": TURNING}), TURNING)
    accounts = (
        livepeer_config(simulator, name=TURNING),
        qencode_config(simulator, name=TURNING, task_tokens_http=simulator.tokens_url),
    )
    with serving(clock, *accounts) as pages:
        page = pages.get()

    assert page.body
    foreign = [words for words in page.body.find_all(string=re.compile(HEBREW)) if words.parent]
    places = [words.parent.name for words in foreign if words.parent]
    # The accounts on their cards, in the choice of accounts and in the rows; a name, a phase, a label and two
    # messages.
    assert sorted(places) == ["bdi"] * (2 + 2 + 5) + ["option"] * 2
    assert {str(one["dir"]) for one in page.select("option[dir], input[type=search]")} == {"auto"}


def test_given_tokens_that_are_hashed_then_the_page_has_only_the_hash(
    simulator: Simulator, clock: DrivenClock
) -> None:
    token = simulator.qencode.add("encoding", token="4bd1ac1ba5cc9e2430f420712bb1e0be")
    metrics = MetricsConfig(task_label=TaskLabel.HASH)
    with serving(
        clock, qencode_config(simulator, token), metrics=metrics, grafana_url="https://grafana.example"
    ) as pages:
        answer = pages.call("/")
        assert pages.tasks() == pages.tasks("/?search=EF94") == ["32ef94e0820e"]

    assert token not in answer.text
