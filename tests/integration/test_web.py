"""The pages, asked by an HTTP client."""

import gzip
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry, Gauge
from werkzeug.test import EnvironBuilder

from exporter.metrics.exposition import Exposition
from exporter.metrics.view import Picture
from exporter.server.listen import (
    Address,
    InvalidAddressError,
    TcpAddress,
    UnixAddress,
    parse_address,
    parse_addresses,
)
from exporter.server.location import ROOT, InvalidLocationError, Location, locate
from exporter.server.wsgi import call
from exporter.web.app import Site, create_app, is_telemetry_path
from tests.idle import Idle

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


def client(
    refreshes: Refreshes,
    telemetry_path: str = "/metrics",
    location: Location = ROOT,
) -> FlaskClient:
    registry = CollectorRegistry()
    Gauge("answer", "The answer.", registry=registry).set(42)
    metrics = Exposition(lambda: Picture(()), registry).render
    site = Site(metrics, refreshes, Idle(), telemetry_path, location=location)
    return create_app(site).test_client()


# --- Metrics ---------------------------------------------------------------------------------------


def test_given_no_wish_when_scraped_then_the_metrics_are_in_the_oldest_text_format(
    refreshes: Refreshes,
) -> None:
    answer = client(refreshes).get("/metrics")

    assert (answer.status_code, answer.content_type) == (200, TEXT)
    assert answer.text.startswith("# HELP answer The answer.\n# TYPE answer gauge\nanswer 42.0\n")


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
    assert b"\nanswer 42.0\n" in gzip.decompress(answer.data)


@pytest.mark.parametrize("encodings", ["", "identity", "br", "gzip;q=0"])
def test_given_a_scraper_that_does_not_read_gzip_when_scraped_then_the_answer_is_plain(
    refreshes: Refreshes, encodings: str
) -> None:
    answer = client(refreshes).get("/metrics", headers={"Accept-Encoding": encodings})

    assert "Content-Encoding" not in answer.headers
    assert "\nanswer 42.0\n" in answer.text
    assert answer.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize("encodings", ["identity", "gzip"])
def test_given_a_scraper_when_it_is_answered_then_nobody_joins_the_text(
    refreshes: Refreshes, encodings: str
) -> None:
    environ = EnvironBuilder("/metrics", headers=[("Accept-Encoding", encodings)]).get_environ()

    answer = call(client(refreshes).application, environ)

    assert len(answer.body) > 2, "it may be large, and sent to many at once"
    assert dict(answer.headers)["Content-Length"] == str(answer.length)


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


def test_given_a_browser_that_reads_gzip_when_a_page_is_short_then_it_is_plain(refreshes: Refreshes) -> None:
    answer = client(refreshes).get("/-/healthy", headers={"Accept-Encoding": "gzip"})

    assert answer.text == "Healthy.\n"
    assert "Content-Encoding" not in answer.headers


def test_given_a_browser_that_reads_gzip_when_a_page_is_long_then_it_is_gzipped(refreshes: Refreshes) -> None:
    browser = client(refreshes)
    plain, packed = browser.get("/"), browser.get("/", headers={"Accept-Encoding": "gzip, br"})

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data)
    assert gzip.decompress(packed.data) == plain.data
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


# --- Other pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text"), [("/-/healthy", "Healthy.\n"), ("/-/ready", "Ready.\n")])
def test_when_asked_for_its_health_then_it_says_so_and_asks_no_provider(
    refreshes: Refreshes, path: str, text: str
) -> None:
    answer = client(refreshes).get(path)

    assert (answer.status_code, answer.text) == (200, text)
    assert answer.content_type == "text/plain; charset=utf-8"
    assert refreshes == []


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

    assert "\nanswer 42.0\n" in other.get("/probe/video").text
    assert other.get("/metrics").status_code == 404
    assert '<a href="/probe/video">' in other.get("/").text


def test_given_the_root_as_path_when_scraped_then_the_metrics_take_the_place_of_the_status(
    refreshes: Refreshes,
) -> None:
    other = client(refreshes, "/")

    assert "\nanswer 42.0\n" in other.get("/").text
    assert '<a href="/">Metrics</a>' in other.get("/status").text


@pytest.mark.parametrize("path", ["/metrics", "/", "/probe/video", "/a-b/c_d.e~f", "/metrics/", "/-x"])
def test_a_path_for_the_metrics(path: str) -> None:
    assert is_telemetry_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "metrics",
        "/-",
        "/-/",
        "/-/healthy",
        "/api/v1/x",
        "/static",
        "/runbooks/x",
        "/<name>",
        "/a b",
        "/a?b",
        "/a#b",
        "//a",
        "/é",
        "/a\n",
    ],
)
def test_not_a_path_for_the_metrics(path: str) -> None:
    assert not is_telemetry_path(path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10477", TcpAddress("", 10477)),
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("exporter.example.com:80", TcpAddress("exporter.example.com", 80)),
        ("[::1]:65535", TcpAddress("::1", 65535)),
        ("unix:/run/exporter.sock", UnixAddress(Path("/run/exporter.sock"))),
        ("unix:exporter.sock", UnixAddress(Path("exporter.sock"))),
        # To the resolver, these are addresses, too.
        ("127.1:80", TcpAddress("127.1", 80)),
        ("[fe80::1%eth7]:80", TcpAddress("fe80::1%eth7", 80)),
        (f"unix:/{'ü' * 53}", UnixAddress(Path(f"/{'ü' * 53}"))),
    ],
)
def test_an_address_to_listen_on(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", "10477", "localhost", "localhost:", ":http", ":65536", ":-1", "::1:80", "unix:", "unix:/run/"],
)
def test_not_an_address_to_listen_on(text: str) -> None:
    with pytest.raises(InvalidAddressError, match=r"write it like :10477 or 127\.0\.0\.1:10477"):
        parse_address(text)


@pytest.mark.parametrize(
    "host", ["256.1.1.1", "1.2.3.4.5", "1.2.3.4.", "[::zz]", "[1::2::3]", "[%eth0:]", "[.:]"]
)
def test_a_host_that_looks_like_an_ip_address_but_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidAddressError, match="has no IP address before the port; write it like :10477"):
        parse_address(f"{host}:80")


@pytest.mark.parametrize("path", ["/" + "n" * 107, "/" + "ü" * 54])
def test_a_path_that_is_too_long_for_a_socket_is_refused(path: str) -> None:
    with pytest.raises(InvalidAddressError, match="has a path of more than 107 bytes; name a shorter one"):
        parse_address(f"unix:{path}")


@pytest.mark.parametrize(
    ("texts", "twice"),
    [
        ([":80", "unix:/s", ":080"], ":80"),
        (["unix:/s,:80 unix:/s"], "unix:/s"),
        (["[::1]:80", "127.0.0.1:80", "[::1]:80"], "[::1]:80"),
    ],
)
def test_an_address_that_is_given_twice_is_refused(texts: list[str], twice: str) -> None:
    with pytest.raises(InvalidAddressError) as refused:
        parse_addresses(texts)
    assert str(refused.value) == f"'{twice}' is given twice; remove one of them"


def test_any_free_port_can_be_wanted_twice() -> None:
    assert parse_addresses([":0", ":0"]) == [TcpAddress("", 0), TcpAddress("", 0)]


@pytest.mark.parametrize(
    "texts", [[":80", "unix:/s"], [":80,unix:/s"], [":80 unix:/s"], [" :80, \n unix:/s,"]], ids=repr
)
def test_several_addresses_in_one_text_or_in_several(texts: list[str]) -> None:
    assert parse_addresses(texts) == [TcpAddress("", 80), UnixAddress(Path("/s"))]


@pytest.mark.parametrize("texts", [[], [""], [" , "]])
def test_no_address_at_all(texts: list[str]) -> None:
    with pytest.raises(InvalidAddressError, match="there is no address"):
        parse_addresses(texts)


# --- Behind a proxy --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("external_url", "route_prefix", "prefix", "path", "url"),
    [
        (None, None, "", "", None),
        ("", None, "", "", None),
        ("https://x.example.com", None, "", "", "https://x.example.com"),
        ("http://x:8080/", None, "", "", "http://x:8080"),
        ("https://x.example.com/tx", None, "/tx", "/tx", "https://x.example.com/tx"),
        ("https://x.example.com/a/tx/", None, "/a/tx", "/a/tx", "https://x.example.com/a/tx"),
        ("https://x.example.com/tx", "/", "", "/tx", "https://x.example.com/tx"),
        ("https://x.example.com/tx", "", "", "/tx", "https://x.example.com/tx"),
        ("https://x.example.com/tx", "inner/", "/inner", "/tx", "https://x.example.com/tx"),
        ("/tx/", None, "/tx", "/tx", None),
        (None, "/tx", "/tx", "", None),
    ],
)
def test_where_the_pages_are(
    external_url: str | None, route_prefix: str | None, prefix: str, path: str, url: str | None
) -> None:
    location = locate(external_url, route_prefix)

    assert (location.prefix, location.path, location.url) == (prefix, path, url)


@pytest.mark.parametrize(
    "external_url",
    [
        "x.example.com",
        "ftp://x.example.com",
        "https://",
        "https:///tx",
        "//x.example.com/tx",
        "https://x:port/",
        "https://[x/",
        "https://alice:secret@x.example.com",
        "https://x.example.com/?a=b",
        "https://x.example.com/#a",
        "https://x.example.com/<a>",
        "https://x.example.com/a/../b",
    ],
)
def test_not_an_external_url(external_url: str) -> None:
    with pytest.raises(InvalidLocationError):
        locate(external_url)


@pytest.mark.parametrize("route_prefix", ["/a b", "/<a>", "/a//b", "/..", "/a?b"])
def test_not_a_route_prefix(route_prefix: str) -> None:
    with pytest.raises(InvalidLocationError):
        locate(None, route_prefix)


BEHIND = locate("https://x.example.com/tx")


@pytest.mark.parametrize("path", ["/tx", "/tx/", "/tx/metrics", "/tx/-/healthy", "/tx/-/ready"])
def test_given_a_prefix_then_every_page_is_under_it(refreshes: Refreshes, path: str) -> None:
    assert client(refreshes, location=BEHIND).get(path).status_code == 200


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/txt/metrics", "/tx/tx/metrics", "/t"])
def test_given_a_prefix_then_no_page_is_elsewhere(refreshes: Refreshes, path: str) -> None:
    assert client(refreshes, location=BEHIND).get(path).status_code == 404


def test_given_a_prefix_when_the_root_is_opened_then_it_leads_to_the_status(
    refreshes: Refreshes,
) -> None:
    behind = client(refreshes, location=BEHIND)
    answer = behind.get("/")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/tx/")
    posted = behind.post("/")
    assert (posted.status_code, posted.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(("location", "page"), [(BEHIND, "/tx/"), (locate("https://x/tx", "/"), "/")])
def test_given_an_external_url_then_the_links_have_its_path(
    refreshes: Refreshes, location: Location, page: str
) -> None:
    """Whether the proxy takes the prefix away, or leaves it there."""
    text = client(refreshes, location=location).get(page).text

    links = set(re.findall('(?:href|src|action)="([^"]*)"', text))
    assert {"/tx/metrics", "/tx/runbooks/", "/tx/"} <= links
    assert {link for link in links if not link.startswith("/tx/")} == {"#main"}
