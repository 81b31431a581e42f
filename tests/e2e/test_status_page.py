"""The status page in a real browser, in front of a real exporter that watches simulated services."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from exporter.simulator import Fault, FaultKind, SimulatedClock, Simulator
from tests.browser import Watched, chromium, installed, overflow, violations
from tests.lacking import FETCH, do_without
from tests.processes import EXPORTER, free_port, running
from tests.served import livepeer, qencode, serving, write

PHONE = {"width": 390, "height": 844}
LONG = "x" * 180
REFUSED = re.compile("ERR_CONNECTION_REFUSED")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = installed()
    if program is None:
        do_without("Chromium", FETCH)
    with chromium(program) as browser:
        yield browser


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Both services, empty; their time is that of the exporter, and stands still until the test moves it."""
    with Simulator(clock=SimulatedClock(start=time.time(), speed=0.0)) as simulator:
        yield simulator


class Shown:
    """The status page as somebody sees it, in a browser whose time the test drives."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.watched = Watched(page)

    def visit(self, path: str = "/") -> None:
        self.page.goto(self.site + path)

    def later(self, seconds: float = 5) -> None:
        """Let the time pass after which the page looks again; what it then sees comes a moment later."""
        self.page.clock.fast_forward(int(seconds * 1000))

    def row(self, task: str) -> Locator:
        named = self.page.locator(".id").filter(has_text=re.compile(f"^{re.escape(task)}$"))
        return self.page.locator("#table tbody tr").filter(has=named)

    def shows(self, *tasks: str) -> None:
        """Wait until these tasks are shown, and no other, in this order."""
        expect(self.page.locator("#table .id")).to_have_text(list(tasks))

    def says(self, verdict: str) -> None:
        expect(self.page.locator("#verdict .says")).to_have_text(verdict)

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)


# The page looks again by itself: on a busy machine, it may be the second look that sees what is new.
expect.set_options(timeout=20_000)

Show = Callable[..., Shown]


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Opens a site; in the end none of its pages may have complained, or asked anybody else for anything."""
    shown: list[Shown] = []

    def open_page(site: str, path: str = "/", **options: Any) -> Shown:
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        page = context.new_page()
        if options.get("java_script_enabled", True):
            page.clock.install()
        shown.append(Shown(page, site))
        shown[-1].visit(path)
        return shown[-1]

    yield open_page
    for one in shown:
        one.page.context.close()
        assert not one.watched.complaints
        assert [url for url in one.watched.requests if not url.startswith(f"{one.site}/")] == []


@pytest.fixture
def site(simulator: Simulator, tmp_path: Path) -> Iterator[str]:
    """An exporter that watches a Livepeer account and looks anew whenever it is asked."""
    config = write(tmp_path / "config.json", livepeer(simulator))
    with serving(config, "--web.grafana-url=http://grafana.example") as served:
        yield served.site


def upload(simulator: Simulator, *names: str, progress: float | None = 0.1) -> None:
    """Tasks that run."""
    for name in names:
        simulator.livepeer.account.add("upload", id=name)
        simulator.livepeer.account.progress(name, progress)


# --- It keeps itself up to date --------------------------------------------------------------------


def test_progress_moves_without_a_reload_and_nothing_is_lost(
    simulator: Simulator, site: str, show: Show
) -> None:
    upload(simulator, *(f"task-{number:02}" for number in range(40)))
    shown = show(site, "/?sort=task", viewport={"width": 1280, "height": 500})
    shown.page.locator("[type=search]").fill("task")
    expect(shown.page).to_have_url(re.compile("search=task"))
    shown.run("""() => {
        window.sameDocument = true;
        window.rows = [...document.querySelectorAll('#table tbody tr')];
        window.bar = document.querySelector('[data-key*="task-07"] progress');
        document.querySelector('[type=search]').setSelectionRange(1, 3);
        scrollTo(0, 700);
    }""")

    simulator.livepeer.account.progress("task-07", 0.42)
    shown.later()

    expect(shown.row("task-07")).to_contain_text("42 %")
    assert shown.run("() => window.sameDocument && window.bar.isConnected && window.bar.value") == 0.42
    assert shown.run(
        "() => [...document.querySelectorAll('#table tbody tr')].every((row, at) => row === window.rows[at])"
    )
    assert shown.run("""() => {
        const { name, selectionStart, selectionEnd } = document.activeElement;
        return [name, selectionStart, selectionEnd, scrollY];
    }""") == ["search", 1, 3, 700]


def test_what_fails_and_what_stalls_comes_to_the_top_and_the_verdict_says_so(
    simulator: Simulator, site: str, show: Show
) -> None:
    upload(simulator, "a", "b")
    simulator.livepeer.account.add("clip", id="c", late=650)
    shown = show(site)
    shown.says("Nothing is stuck or failing")
    shown.shows("a", "b")
    shown.row("b").get_by_role("link").focus()

    simulator.livepeer.account.fail("b", "upload failed: no such bucket")
    shown.later()

    shown.shows("b", "a")
    shown.says("1 failed")
    expect(shown.row("b")).to_contain_text("destination: upload failed: no such bucket")
    expect(shown.row("b").get_by_role("link")).to_be_focused()
    expect(shown.page).to_have_title(re.compile("^1 failed, 1 running"))

    # It has been pending for so long when it is seen for the first time.
    simulator.clock.advance(700)
    shown.later()

    shown.shows("c", "b", "a")
    shown.says("1 stalled · 1 failed")
    expect(shown.row("c")).to_contain_text("pending, stalled")
    expect(shown.row("b").get_by_role("link")).to_be_focused()


def test_an_account_that_goes_down_is_shown_with_the_reason_until_it_is_up_again(
    simulator: Simulator, site: str, show: Show
) -> None:
    shown = show(site)
    account = shown.page.locator("#accounts article")
    expect(account).to_contain_text("up")

    simulator.faults.set("livepeer", Fault(FaultKind.SERVER_ERROR, status=503))
    shown.later()
    shown.says("1 account down")
    expect(account.locator(".health")).to_have_text(re.compile("^down for "))
    expect(account.locator(".errors")).to_contain_text("HTTP 503")

    simulator.faults.clear()
    shown.later()
    shown.says("Nothing is stuck or failing")
    expect(account.locator(".health")).to_have_text("up")
    expect(account.locator(".errors")).to_have_count(0)


def test_given_an_exporter_that_goes_away_then_the_page_says_so_and_finds_it_again(
    simulator: Simulator, show: Show, tmp_path: Path
) -> None:
    upload(simulator, "a")
    address = f"127.0.0.1:{free_port()}"
    config = write(tmp_path / "config.json", livepeer(simulator))
    flags = (f"--config.file={config}", "--storage.path=", f"--web.listen-address={address}")
    command = [*EXPORTER, "serve", *flags]
    with running(command) as process:
        process.find(r"(url=http)")
        shown = show(f"http://{address}")
        shown.shows("a")
    lost = shown.page.get_by_role("alert")
    expect(lost).to_be_hidden()

    shown.later()
    expect(lost).to_contain_text("The exporter does not answer. This is how it was at ")
    shown.shows("a")
    shown.page.keyboard.press("Tab")

    upload(simulator, "b")
    with running(command) as process:
        process.find(r"(url=http)")
        shown.later(60)
        shown.shows("a", "b")
        expect(lost).to_be_hidden()
        refused = [one for one in shown.watched.complaints if REFUSED.search(one)]
        assert refused == shown.watched.complaints
        shown.watched.complaints.clear()


def test_a_page_that_nobody_sees_asks_for_nothing(site: str, show: Show) -> None:
    shown = show(site)
    visible = "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
    switch = f"{visible} document.dispatchEvent(new Event('visibilitychange')); }}"

    shown.page.evaluate(switch, True)
    shown.later(600)
    assert shown.watched.requests.count(f"{site}/") == 1

    with shown.page.expect_response(f"{site}/"):
        shown.run("() => dispatchEvent(new Event('online'))")
    shown.later(600)
    shown.later(600)
    assert shown.watched.requests.count(f"{site}/") == 2

    with shown.page.expect_response(f"{site}/"):
        shown.page.evaluate(switch, False)


def test_only_a_change_of_the_verdict_is_announced(simulator: Simulator, site: str, show: Show) -> None:
    upload(simulator, "a", "b")
    shown = show(site)
    shown.run("""() => {
        window.announced = 0;
        const observer = new MutationObserver((changes) => { window.announced += changes.length; });
        for (const one of document.querySelectorAll('[role=status], [role=alert], [aria-live]'))
            observer.observe(one, {attributes: true, characterData: true, childList: true, subtree: true});
    }""")
    for progress in (0.2, 0.3):
        simulator.livepeer.account.progress("a", progress)
        simulator.livepeer.account.progress("b", progress)
        shown.later()
        expect(shown.row("a")).to_contain_text(f"{progress:.0%}".replace("%", " %"))
    assert shown.run("() => window.announced") == 0

    simulator.livepeer.account.fail("b", "unsupported codec")
    shown.later()
    shown.says("1 failed")
    assert shown.run("() => window.announced") > 0


# --- Searching, filtering, sorting -----------------------------------------------------------------


def test_typing_and_choosing_filter_at_once_and_the_address_can_be_shared(
    simulator: Simulator, site: str, show: Show
) -> None:
    upload(simulator, "apple", "pear")
    simulator.livepeer.account.add("upload", id="plum")
    shown = show(site, "/?sort=task")
    shown.shows("apple", "pear", "plum")

    shown.page.get_by_role("searchbox").press_sequentially("p")
    shown.page.get_by_role("searchbox").press_sequentially("l")
    shown.shows("apple", "plum")
    expect(shown.page).to_have_url(f"{site}/?search=pl&sort=task")

    shown.page.get_by_role("checkbox", name="queued").check()
    shown.shows("plum")
    shown.page.get_by_role("checkbox", name="running").check()
    shown.shows("apple", "plum")
    shared = shown.page.url
    assert shared == f"{site}/?search=pl&sort=task&state=queued&state=running"

    other = show(site, shared.removeprefix(site))
    other.shows("apple", "plum")
    expect(other.page.get_by_role("searchbox")).to_have_value("pl")
    expect(other.page.get_by_role("checkbox", name="queued")).to_be_checked()

    shown.page.go_back()
    shown.shows("plum")
    expect(shown.page.get_by_role("checkbox", name="running")).not_to_be_checked()
    shown.page.get_by_role("searchbox").fill("nothing like that")
    shown.page.get_by_role("link", name="Show all").click()
    shown.shows("apple", "pear", "plum")
    expect(shown.page.get_by_role("searchbox")).to_have_value("")


def test_headings_sort_and_back_undoes_it(simulator: Simulator, site: str, show: Show) -> None:
    for name, progress in (("a", 0.5), ("b", 0.9), ("c", 0.1)):
        upload(simulator, name, progress=progress)
        simulator.clock.advance(60)
    shown = show(site)
    heading = shown.page.get_by_role("columnheader", name="Progress")
    shown.shows("a", "b", "c")

    heading.get_by_role("link").click()
    shown.shows("b", "a", "c")
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(heading.get_by_role("link")).to_be_focused()
    expect(shown.page.get_by_label("Sort by")).to_have_value("progress")

    heading.get_by_role("link").click()
    shown.shows("c", "a", "b")
    expect(shown.page.get_by_role("checkbox", name="reversed")).to_be_checked()

    shown.page.get_by_label("Sort by").select_option("task")
    shown.shows("a", "b", "c")
    expect(shown.page.get_by_role("checkbox", name="reversed")).not_to_be_checked()

    shown.page.go_back()
    shown.shows("c", "a", "b")
    shown.page.go_back()
    shown.shows("b", "a", "c")
    shown.page.go_back()
    shown.shows("a", "b", "c")
    expect(shown.page.get_by_label("Sort by")).to_have_value("urgency")


def test_without_javascript_the_form_the_links_and_the_pages_work(
    simulator: Simulator, site: str, show: Show
) -> None:
    upload(simulator, *(f"task-{number:02}" for number in range(60)))
    simulator.livepeer.account.add("upload", id="other")
    shown = show(site, java_script_enabled=False)

    assert shown.page.locator("meta[http-equiv=refresh]").get_attribute("content") == "30"
    shown.page.get_by_role("searchbox").fill("task")
    shown.page.get_by_label("Sort by").select_option("task")
    shown.page.get_by_role("checkbox", name="running").check()
    shown.page.get_by_role("button", name="Show").click()
    shown.shows(*(f"task-{number:02}" for number in range(50)))

    shown.page.get_by_role("link", name="Next").click()
    shown.shows(*(f"task-{number:02}" for number in range(50, 60)))
    expect(shown.page.get_by_role("searchbox")).to_have_value("task")
    shown.page.get_by_role("link", name="Unchanged").click()
    expect(shown.page.get_by_role("columnheader", name="Unchanged")).to_have_attribute(
        "aria-sort", "descending"
    )
    shown.page.get_by_role("link", name="Runbooks").click()
    shown.page.get_by_role("link", name="TranscodingTaskFailed").click()
    expect(shown.page.get_by_role("heading", level=1)).to_have_text("TranscodingTaskFailed")


# --- For everybody ---------------------------------------------------------------------------------


FOCUSED = """() => {
    const at = document.activeElement;
    const ring = at.matches('.chip input') ? at.nextElementSibling : at;
    const { outlineStyle, outlineWidth } = getComputedStyle(ring);
    const name = at.labels?.[0] ?? at;
    const said = at.matches('select') ? at.name : at.type === 'search' ? 'search' : name.innerText;
    return [said.replace('⇅', '').trim(), outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2];
}"""


def test_the_keyboard_alone_is_enough(simulator: Simulator, site: str, show: Show) -> None:
    upload(simulator, "a")
    simulator.livepeer.account.add("upload", id="b")
    shown = show(site)
    keyboard = shown.page.keyboard
    reached = []
    for _ in range(50):
        keyboard.press("Tab")
        if shown.run("() => document.activeElement === document.body"):
            break
        name, visible = shown.run(FOCUSED)
        assert visible, f"nothing shows that {name} has the focus"
        reached.append(name)

    assert reached == [
        *("Skip to the content", "transcoding-exporter", "Status", "Runbooks", "Metrics", "Grafana"),
        *("1 queued", "1 running", "0 completed", "0 failed", "0 cancelled"),
        *("search", "sort", "queued", "running", "completed", "failed", "cancelled", "unknown"),
        *("only stalled", "reversed"),
        *("Task", "Account", "Phase", "Progress", "Age", "Unchanged", "Retries", "a", "b"),
    ]

    shown.visit()
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(shown.page.locator("main")).to_be_focused()
    shown.page.get_by_role("checkbox", name="queued").focus()
    keyboard.press("Space")
    shown.shows("b")
    keyboard.press("Enter")
    shown.shows("b")
    keyboard.press("Space")
    shown.shows("a", "b")
    shown.page.get_by_role("link", name="Task", exact=True).focus()
    keyboard.press("Enter")
    expect(shown.page).to_have_url(f"{site}/?sort=task")
    shown.shows("a", "b")


@pytest.fixture
def troubled(simulator: Simulator, tmp_path: Path) -> Iterator[str]:
    """An exporter with all that the page can show: one account down, tasks in every state, long words."""
    studio = simulator.livepeer.account
    upload(simulator, "stalled", LONG)
    simulator.clock.advance(700)
    for name in ("queued", "running", "completed", "cancelled", "odd", "failed", "retried"):
        studio.add("transcode-file", id=name)
    studio.progress("running", 0.4)
    studio.complete("completed")
    studio.cancel("cancelled")
    studio.set_status("odd", phase=LONG)
    studio.fail_and_retry("retried", LONG)
    job = simulator.qencode.add("encoding", labels={"customer": LONG, "a_long_name_of_a_label": LONG})
    simulator.qencode.fail(job, f"could not download the source: {LONG}")
    options = {"task_tokens_http": simulator.tokens_url}
    simulator.faults.set("livepeer_task", Fault(FaultKind.HANG))
    config = write(
        tmp_path / "config.json",
        livepeer(simulator),
        qencode(simulator, name=f"an account {LONG[:80]}", **options),
        livepeer(simulator, name="down", api_key=f"wrong{LONG}"),
    )
    with serving(config, "--web.grafana-url=http://grafana.example") as served:
        yield served.site


LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": PHONE, "has_touch": True, "is_mobile": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_axe_finds_nothing_that_keeps_anybody_out(
    look: str, simulator: Simulator, troubled: str, show: Show
) -> None:
    shown = show(troubled, **LOOKS[look])
    simulator.livepeer.account.fail("failed", "unsupported codec")
    shown.later()
    expect(shown.row("failed")).to_contain_text("source_media")
    shown.page.get_by_role("checkbox", name="failed").check()
    shown.run("() => document.getElementById('lost').append('The exporter does not answer.')")
    assert violations(shown.page) == []
    for path in ("/", "/?search=nothing", "/runbooks/", "/runbooks/TranscodingTaskFailed"):
        shown.visit(path)
        assert violations(shown.page) == [], path


def test_nothing_is_wider_than_the_window_however_long_the_words(troubled: str, show: Show) -> None:
    shown = show(troubled)
    for path in ("/", "/runbooks/", "/runbooks/TranscodingTaskFailed", "/runbooks/TranscodingAccountDown"):
        shown.visit(path)
        for width in (320, 390, 700, 961, 1200, 1600):
            shown.page.set_viewport_size({"width": width, "height": 700})
            assert overflow(shown.page) == 0, f"{path} at {width} pixels"


def test_who_wants_no_motion_gets_none(simulator: Simulator, site: str, show: Show) -> None:
    upload(simulator, "a")
    glide = "() => getComputedStyle(document.querySelector('progress')).getPropertyValue('--glide')"

    assert show(site, reduced_motion="no-preference").run(glide) == ".6s"
    assert show(site, reduced_motion="reduce").run(glide) == "0s"


def test_twenty_thousand_tasks_are_paged(simulator: Simulator, site: str, show: Show) -> None:
    for number in range(20_000):
        simulator.livepeer.account.add("upload", id=f"task-{number:05}")
    shown = show(site, "/?sort=task")
    deadline = time.monotonic() + 30
    while "20,000" not in shown.page.locator("#count").inner_text():
        assert time.monotonic() < deadline
        shown.visit("/?sort=task")

    assert len(shown.page.content()) < 200_000
    expect(shown.page.locator("#table tbody tr")).to_have_count(50)
    shown.page.get_by_role("link", name="Next").click()
    expect(shown.page.locator(".paging")).to_contain_text("51\N{EN DASH}100 of 20,000")
    expect(shown.page.locator("#table .id").first).to_have_text("task-00050")
    shown.page.get_by_role("searchbox").fill("task-1999")
    shown.shows(*(f"task-{number}" for number in range(19_990, 20_000)))
