"""What each single value of the configuration may look like, and what it becomes."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config_values import Choice, Duration, FilePath, Flag, HostGlob, Name, Number, Token, Url
from exporter.schema import InvalidValueError, Outside, Scalar


def value(scalar: Scalar[Any], text: str) -> Any:
    return scalar.parse(text, Outside({}, Path("/etc/exporter"), Path.read_text))


def refusal(scalar: Scalar[Any], text: str) -> str:
    with pytest.raises(InvalidValueError) as caught:
        value(scalar, text)
    return f"{caught.value.problem}; {caught.value.remedy}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("5s", 5.0),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("15m", 900.0),
        ("90m", 5400.0),
        ("1h0m1s", 3601.0),
        ("30d", 2_592_000.0),
        ("1w", 604_800.0),
        ("1y", 31_536_000.0),
        ("1s7ms", 1.007),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert value(Duration(), text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "1", "00", "s", "-5s", "+5s", "1.5h", "5 s", "5S", "30x", "1s1m", "1s1s", "٣s", "5s\n"]
)
def test_anything_else_is_not_a_duration(text: str) -> None:
    assert refusal(Duration(), text).endswith(" is not a duration; write it like 30d or 90s")


def test_a_duration_may_have_bounds() -> None:
    assert refusal(Duration(positive=True), "0s") == "the duration is 0; write one above 0, like 10s"
    assert refusal(Duration(most=3600.0), "61m") == '"61m" is too long; write 3600s or less'
    assert value(Duration(most=3600.0), "60m") == 3600.0
    assert refusal(Duration(), "999999999999999999y").endswith("is too long; write 3153600000s or less")


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("8", 8), ("64", 64)])
def test_a_number_is_whole_and_within_its_bounds(text: str, number: int) -> None:
    assert value(Number(1, 64), text) == number


@pytest.mark.parametrize(
    "text", ["0", "65", "-1", "+8", "08", "0x8", "8.0", "1e1", "eight", "", "٣", "9" * 5000]
)
def test_anything_else_is_not_such_a_number(text: str) -> None:
    assert refusal(Number(1, 64), text).endswith(
        " is not a whole number from 1 to 64; write such a number in digits alone"
    )


@pytest.mark.parametrize(
    ("text", "flag"), [("true", True), ("True", True), ("false", False), ("FALSE", False)]
)
def test_a_flag_is_true_or_false(text: str, flag: bool) -> None:
    assert value(Flag(), text) is flag


def test_a_flag_is_nothing_else() -> None:
    assert refusal(Flag(), "yes") == '"yes" is neither true nor false; write true or false'


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_a_choice_is_one_of_its_words() -> None:
    assert value(Choice(Colour), "red") is Colour.RED
    assert refusal(Choice(Colour), "RED") == '"RED" is not known here; write one of red, blue'


@pytest.mark.parametrize("text", ["vod", "EU West 1", "Übertragung", "a/b", "123"])
def test_a_name_is_any_text_that_prints(text: str) -> None:
    assert value(Name(), text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the name is empty; write a name"),
        (" vod", "the name begins or ends with a blank, or does not print; write a plain name"),
        ("v\nod", "the name begins or ends with a blank, or does not print; write a plain name"),
        ("v" * 101, "the name is longer than 100 characters; write a shorter one"),
    ],
)
def test_a_name_is_neither_empty_nor_strange(text: str, expected: str) -> None:
    assert refusal(Name(), text) == expected


def test_a_relative_path_starts_from_the_folder_of_the_file() -> None:
    assert value(FilePath(), "tokens.json") == Path("/etc/exporter/tokens.json")
    assert value(FilePath(), "/run/tokens.json") == Path("/run/tokens.json")


@pytest.mark.parametrize("text", ["", "a\0b", "a\nb"])
def test_a_path_prints(text: str) -> None:
    assert refusal(FilePath(), text) == "the path is empty or does not print; write the path of a file"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.qencode.com", "https://api.qencode.com"),
        ("https://api.qencode.com/", "https://api.qencode.com"),
        ("https://example.com/api//", "https://example.com/api"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/api", "http://[::1]:8080/api"),
    ],
)
def test_a_base_url_loses_its_trailing_slash(text: str, url: str) -> None:
    assert value(Url(), text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.qencode.com",
        "/api",
        "//example.com",
        "ftp://example.com",
        "https://",
        "https://:443",
        "https:example.com",
        "https://exa mple.com",
        "https://[::1",
        "https://[nowhere]",
        "https://.example.com",
        "https://example.com\\@evil.test",
        "https://exämple.com",
        "https://example.com/\n",
    ],
)
def test_anything_else_is_not_a_url(text: str) -> None:
    assert refusal(Url(), text) == "not an absolute http or https URL; write it like https://example.com/path"


@pytest.mark.parametrize("port", ["port", "99999", "65536", "0", "-1"])
def test_a_url_with_a_port_that_is_none_is_told_apart(port: str) -> None:
    assert refusal(Url(), f"https://example.com:{port}/api") == (
        "the URL has no port from 1 to 65535; mend what follows the colon, or remove it"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:hunter2@example.com", "holds a user name or a password; remove the part before the @"),
        ("https://hunter2@example.com", "holds a user name or a password; remove the part before the @"),
        ("https://example.com/#hunter2", "holds a fragment; remove the # and what follows"),
        ("https://example.com/?key=hunter2", "holds a query; remove the ? and what follows"),
        ("https://example.com/?", "holds a query; remove the ? and what follows"),
    ],
)
def test_what_does_not_belong_into_a_base_url_is_named_but_not_shown(text: str, expected: str) -> None:
    assert refusal(Url(), text) == f"the URL {expected}"


def test_a_url_that_nothing_is_appended_to_stays_as_written() -> None:
    assert (
        value(Url(base=False), "https://example.com/tokens/?site=1") == "https://example.com/tokens/?site=1"
    )
    assert refusal(Url(base=False), "https://u@example.com/").startswith("the URL holds a user name")


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com",
        "http://localhost",
        "http://api.localhost:1",
        "http://127.0.0.2:1",
        "http://[::1]",
    ],
)
def test_a_key_travels_encrypted_or_within_the_machine(text: str) -> None:
    assert value(Url(encrypted=True), text) == text


@pytest.mark.parametrize(
    "text",
    ["http://example.com", "http://10.0.0.1", "http://localhost.example.com", "http://127.0.0.1.nip.io"],
)
def test_a_key_does_not_travel_in_clear_text(text: str) -> None:
    assert refusal(Url(encrypted=True), text) == "the key would travel in clear text; use https"


@pytest.mark.parametrize(
    ("text", "glob"),
    [
        ("*.qencode.com", "*.qencode.com"),
        ("API.Qencode.com", "api.qencode.com"),
        ("master-*.qencode.com", "master-*.qencode.com"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_an_allowed_host_is_a_glob_below_a_fixed_domain(text: str, glob: str) -> None:
    assert value(HostGlob(), text) == glob


@pytest.mark.parametrize("text", ["*", "**", "*.*", "*.com", "*qencode.com", "api.*", "api.qencode.*"])
def test_a_glob_without_a_domain_would_give_the_tokens_to_anybody(text: str) -> None:
    assert refusal(HostGlob(), text) == (
        f'"{text}" gives the tokens to anybody; name a domain, like *.example.com'
    )


@pytest.mark.parametrize(
    "text", ["", "https://a.test", "a.test/x", "a.test:80", "a b", "[ab].test", "a..test", "?.a"]
)
def test_anything_else_is_not_a_host(text: str) -> None:
    assert refusal(HostGlob(), text).endswith(
        " is not a host; write it like *.example.com: no scheme, port or path"
    )


@given(
    st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
        min_size=1,
        max_size=256,
    )
)
def test_a_token_is_any_word_of_plain_ascii(text: str) -> None:
    assert value(Token(), text) == text


@pytest.mark.parametrize(
    "text", ["abcdefgh ", "abcd,efgh", "abcdef\tgh", "abcdefgh\n", "abcdefgh\x7f", "abcdéfgh"]
)
def test_no_more_than_the_beginning_of_a_bad_token_is_shown(text: str) -> None:
    assert refusal(Token(), text) == (
        'the token that begins with "abcd" holds a blank, a comma or a special character; '
        "write one token an item, in plain ASCII"
    )


def test_a_token_has_1_to_256_characters() -> None:
    assert refusal(Token(), "") == "the token is empty; write a task token, or remove it"
    assert refusal(Token(), "abcd" * 64 + "e") == (
        'the token that begins with "abcd" is longer than 256 characters; write one token an item'
    )
