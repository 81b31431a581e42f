"""The pages, asked by an HTTP client."""

import gzip

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, Gauge

from exporter import __version__
from exporter.model import Account, Provider
from exporter.web.app import Site, create_app, is_telemetry_path
from exporter.web.server import InvalidAddressError, parse_address

TEXT = "text/plain; version=0.0.4; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=underscores,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What a Prometheus server accepts."""


class Refreshes(list[float]):
    """The seconds that each refresh was given."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def refreshes() -> Refreshes:
    return Refreshes()


def client(refreshes: Refreshes, telemetry_path: str = "/metrics", account: str = "vod") -> FlaskClient:
    registry = CollectorRegistry()
    Gauge("answer", "The answer.", registry=registry).set(42)
    site = Site(registry, refreshes, lambda: (Account(Provider.QENCODE, account),), telemetry_path)
    return create_app(site).test_client()


# --- Metrics ---------------------------------------------------------------------------------------


def test_given_no_wish_when_scraped_then_the_metrics_are_in_the_oldest_text_format(
    refreshes: Refreshes,
) -> None:
    answer = client(refreshes).get("/metrics")

    assert (answer.status_code, answer.content_type) == (200, TEXT)
    assert answer.text == "# HELP answer The answer.\n# TYPE answer gauge\nanswer 42.0\n"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", TEXT),
        ("text/html", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain;version=1.0.0;escaping=underscores", TEXT_1),
        ("application/openmetrics-text;version=1.0.0;escaping=underscores", OPENMETRICS),
        (PROMETHEUS, OPENMETRICS),
    ],
)
def test_given_a_wish_when_scraped_then_the_metrics_come_in_that_format(
    refreshes: Refreshes, accept: str, content_type: str
) -> None:
    answer = client(refreshes).get("/metrics", headers={"Accept": accept})

    assert answer.content_type == content_type
    assert answer.text.endswith("# EOF\n") is (content_type == OPENMETRICS)


def test_given_a_scraper_that_reads_gzip_when_scraped_then_the_answer_is_gzipped(
    refreshes: Refreshes,
) -> None:
    answer = client(refreshes).get("/metrics", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert gzip.decompress(answer.data).endswith(b"\nanswer 42.0\n")


@pytest.mark.parametrize("encodings", ["", "identity", "br", "gzip;q=0"])
def test_given_a_scraper_that_does_not_read_gzip_when_scraped_then_the_answer_is_plain(
    refreshes: Refreshes, encodings: str
) -> None:
    answer = client(refreshes).get("/metrics", headers={"Accept-Encoding": encodings})

    assert "Content-Encoding" not in answer.headers
    assert answer.text.endswith("\nanswer 42.0\n")
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(("header", "seconds"), [("2", 1.5), ("2.5", 2.0), ("60", 59.5), ("0.3", 0.15)])
def test_given_the_time_out_of_a_scrape_when_scraped_then_half_a_second_of_it_is_spared(
    refreshes: Refreshes, header: str, seconds: float
) -> None:
    client(refreshes).get("/metrics", headers={"X-Prometheus-Scrape-Timeout-Seconds": header})

    assert refreshes == [seconds]


@pytest.mark.parametrize("header", [None, "", "soon", "-1", "0", "nan", "inf", "1e400", "1e10", "2;3"])
def test_given_no_sensible_time_out_when_scraped_then_it_counts_as_ten_seconds(
    refreshes: Refreshes, header: str | None
) -> None:
    headers = {} if header is None else {"X-Prometheus-Scrape-Timeout-Seconds": header}

    answer = client(refreshes).get("/metrics", headers=headers)

    assert answer.status_code == 200
    assert refreshes == [9.5]


# --- Other pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text"), [("/-/healthy", "Healthy.\n"), ("/-/ready", "Ready.\n")])
def test_when_asked_for_its_health_then_it_says_so_and_asks_no_provider(
    refreshes: Refreshes, path: str, text: str
) -> None:
    answer = client(refreshes).get(path)

    assert (answer.status_code, answer.text) == (200, text)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert refreshes == []


def test_when_the_landing_page_is_opened_then_it_leads_to_the_metrics_and_asks_no_provider(
    refreshes: Refreshes,
) -> None:
    answer = client(refreshes).get("/")

    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert '<a href="/metrics">' in answer.text
    assert "<td>qencode</td><td>vod</td>" in answer.text
    assert f"version {__version__}" in answer.text
    assert refreshes == []


def test_when_the_landing_page_is_opened_then_its_headers_forbid_scripts_and_frames(
    refreshes: Refreshes,
) -> None:
    headers = client(refreshes).get("/").headers

    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
    assert not [rule for rule in policy if rule.startswith("script-src")]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_given_an_account_named_like_markup_when_the_landing_page_is_opened_then_it_is_text(
    refreshes: Refreshes,
) -> None:
    page = client(refreshes, account="<script>alert('1 & 2')</script>").get("/").text

    assert "<td>&lt;script&gt;alert(&#39;1 &amp; 2&#39;)&lt;/script&gt;</td>" in page
    assert "<script" not in page


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_when_only_the_head_is_asked_for_then_there_is_no_body(refreshes: Refreshes, path: str) -> None:
    answer = client(refreshes).head(path)

    assert (answer.status_code, answer.data) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/metric", "/metrics/", "/-/", "/-/nothing", "/static/x", "/%2e%2e/etc/passwd"]
)
def test_when_there_is_no_such_page_then_it_answers_404(refreshes: Refreshes, path: str) -> None:
    assert client(refreshes).get(path).status_code == 404
    assert refreshes == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
def test_when_a_page_is_not_only_read_then_it_answers_405(
    refreshes: Refreshes, method: str, path: str
) -> None:
    answer = client(refreshes).open(path, method=method)

    assert answer.status_code == 405
    assert {"GET", "HEAD"} <= {allowed.strip() for allowed in answer.headers["Allow"].split(",")}
    assert refreshes == []


# --- Where they are --------------------------------------------------------------------------------


def test_given_another_path_when_scraped_then_the_metrics_are_there_and_nowhere_else(
    refreshes: Refreshes,
) -> None:
    other = client(refreshes, "/probe/video")

    assert other.get("/probe/video").text.endswith("\nanswer 42.0\n")
    assert other.get("/metrics").status_code == 404
    assert '<a href="/probe/video">' in other.get("/").text


def test_given_the_root_as_path_when_scraped_then_the_metrics_take_the_landing_pages_place(
    refreshes: Refreshes,
) -> None:
    assert client(refreshes, "/").get("/").text.endswith("\nanswer 42.0\n")


@pytest.mark.parametrize("path", ["/metrics", "/", "/probe/video", "/a-b/c_d.e~f", "/metrics/", "/-x"])
def test_a_path_for_the_metrics(path: str) -> None:
    assert is_telemetry_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "metrics", "/-", "/-/", "/-/healthy", "/<name>", "/a b", "/a?b", "/a#b", "//a", "/é", "/a\n"],
)
def test_not_a_path_for_the_metrics(path: str) -> None:
    assert not is_telemetry_path(path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10477", ("", 10477)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("exporter.example.com:80", ("exporter.example.com", 80)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_to_listen_on(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "10477", "localhost", "localhost:", ":http", ":65536", ":-1", "::1:80"])
def test_not_an_address_to_listen_on(text: str) -> None:
    with pytest.raises(InvalidAddressError, match=r"write it like :10477 or 127\.0\.0\.1:10477"):
        parse_address(text)
