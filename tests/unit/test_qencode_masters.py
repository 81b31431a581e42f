from urllib.parse import urlsplit

import pytest
import requests
import urllib3
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.providers.qencode_masters import is_allowed

HOSTS = ("*.qencode.com",)


@pytest.mark.parametrize(
    "url",
    [
        "https://master-79109168ae0711e8b00baa831f35b3f7.qencode.com/v1/status",
        "https://prod-nyc3-1-api-do.qencode.com/v1/status",
        "https://MASTER.Qencode.COM/v1/status",
        "https://a.b.qencode.com",
        "https://master.qencode.com:8443/v1/status",
    ],
)
def test_given_a_master_of_qencode_then_it_is_allowed(url: str) -> None:
    assert is_allowed(url, HOSTS, plain=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://qencode.com/v1/status",
        "https://evilqencode.com/v1/status",
        "https://api.qencode.com.evil.example/v1/status",
        "https://evil.example/api.qencode.com",
        "https://evil.example#.qencode.com",
        "https://evil.example?.qencode.com",
        "https://evil.example\\.qencode.com",
        "https://evil.example%2f.qencode.com",
        "https://evil.example\u3002qencode.com",
        "https://evil.example\uff0f.qencode.com",
        "https://\u24d4vil.qencode.com",
        "https://user@api.qencode.com/",
        "https://user:password@api.qencode.com/",
        "https://api.qencode.com@evil.example/",
        "https://api.qencode.com:443@evil.example/",
        "https://api.qencode.com:/",
        "https://api.qencode.com:0/",
        "https://api.qencode.com:65536/",
        "https://api.qencode.com:443:443/",
        "https://api.qencode.com:-1/",
        "https://api.qencode.com:\u0664\u0664\u0663/",
        "https://api.qencode.com/v1/status?x=1",
        "https://api.qencode.com/v1/status#x",
        "https://api.qencode.com/%2e%2e/",
        "https://api.qencode.com/\r\nHost: evil.example",
        "https://api.qencode.com/v1/status\n",
        " https://api.qencode.com/",
        "https://api.qencode.com ",
        "https:/api.qencode.com/",
        "https:api.qencode.com",
        "//api.qencode.com/",
        "http://api.qencode.com/v1/status",
        "HTTP://api.qencode.com/v1/status",
        "ftp://api.qencode.com/",
        "file:///etc/passwd",
        "https://[::1].qencode.com/",
        "https://[::1]/",
        "https://.qencode.com/",
        "https://a..qencode.com/",
        "https://api.qencode.com./",
        f"https://{'a' * 64}.qencode.com/",
        f"https://{'a.' * 130}qencode.com/",
    ],
)
def test_given_any_other_url_then_it_is_refused(url: str) -> None:
    assert not is_allowed(url, HOSTS, plain=False)


def test_given_a_test_without_tls_then_http_is_allowed_too() -> None:
    assert is_allowed("http://127.0.0.1:8080/v1/status", ("127.0.0.1",), plain=True)
    assert is_allowed("https://127.0.0.1:8080/v1/status", ("127.0.0.1",), plain=True)
    assert not is_allowed("http://127.0.0.2:8080/v1/status", ("127.0.0.1",), plain=True)


pieces = st.sampled_from(
    [
        *("https", "http", "HTTPS", ":", "//", "/", "\\", "@", "?", "#", ".", "..", "%2e", "%2f"),
        *("api", "qencode.com", ".qencode.com", "evil.example", "127.0.0.1", "[::1]", ":443", ":99999"),
        *(" ", "\t", "\r\n", "user", "v1/status", "\x00", "-", "_", "*", ";", "&"),
        *("\u3002", "\uff0f", "\u212a", "\u0131"),
    ]
)
urls = st.one_of(
    st.lists(pieces, max_size=10).map("".join),
    st.lists(pieces, max_size=8).map(lambda rest: "https://" + "".join(rest)),
    st.text(max_size=20).map(lambda text: f"https://{text}.qencode.com/v1/status"),
    st.text(max_size=20).map(lambda text: f"https://api.qencode.com{text}"),
)


@given(urls)
@example("https://api.qencode.com/v1/status")
@example("https://A.b.QENCODE.com:8443//evil.example/..")
def test_given_any_url_that_is_allowed_then_everybody_reads_the_same_host_in_it(url: str) -> None:
    if not is_allowed(url, HOSTS, plain=False):
        return
    prepared = requests.Request("POST", url).prepare()
    assert prepared.url is not None
    for read in (urlsplit(url), urlsplit(prepared.url)):
        assert (read.scheme, read.username, read.password) == ("https", None, None)
        assert (read.hostname or "").endswith(".qencode.com")
    for parsed in (urllib3.util.parse_url(url), urllib3.util.parse_url(prepared.url)):
        assert (parsed.scheme, parsed.auth) == ("https", None)
        assert (parsed.host or "").endswith(".qencode.com")
        assert parsed.port is None or 0 < parsed.port < 65536
