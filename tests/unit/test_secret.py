"""A secret is read from where the configuration says and shown nowhere, however wrong the rest is."""

import copy
import dataclasses
import pickle
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import Config, ConfigError, LivepeerConfig, Secret, parse

KEY = "9b5f1c2e-4d3a-4f6b-8a7c-0123456789ab"
ENVIRON = {"STUDIO_KEY": f"{KEY}\n", "EMPTY": "  "}
FILES = {
    "/etc/exporter/key": f"  {KEY}\r\n",
    "/run/secrets/livepeer": f"{KEY}\n",
    "/etc/exporter/blank": " \n",
    "/etc/exporter/two-lines": f"{KEY}\n{KEY}\n",
}


def read_text(path: Path) -> str:
    if path.name == "binary":
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    if str(path) not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[str(path)]


def config(text: str) -> Config:
    return parse(text, "config.yml", ENVIRON, Path("/etc/exporter"), read_text)


@pytest.mark.parametrize(
    "given_by",
    [
        f"api_key: {KEY}",
        f"api_key: '  {KEY} '",
        "api_key_env: STUDIO_KEY",
        "api_key_file: key",
        "api_key_file: /run/secrets/livepeer",
    ],
)
def test_an_api_key_comes_without_the_blanks_around_it(given_by: str) -> None:
    read = config(f"livepeer: [{{name: studio, {given_by}}}]")
    assert read.livepeer[0].api_key.reveal() == KEY


@pytest.mark.parametrize(
    ("given_by", "expected"),
    [
        ("api_key: ' '", "api_key: the key is empty; "),
        (
            f'api_key: "{KEY}\\n{KEY}"',
            "api_key: the key holds a character that an HTTP header cannot carry; ",
        ),
        (f"api_key: {KEY}€", "api_key: the key holds a character that an HTTP header cannot carry; "),
        ("api_key_env: UNSET", "api_key_env: the environment variable UNSET is not set; set it to the key"),
        ("api_key_env: EMPTY", "api_key_env: the environment variable EMPTY is empty; set it to the key"),
        (f"api_key_env: {KEY}", "api_key_env: not the name of an environment variable; write its name, "),
        (
            "api_key_env: f5f1c2e4d3a4f6b8a7c0123456789ab",
            "api_key_env: not the name of an environment variable; write its name, ",
        ),
        ("api_key_env: 'A B'", "api_key_env: not the name of an environment variable; write its name, "),
        (
            "api_key_file: gone",
            "api_key_file: /etc/exporter/gone cannot be read: No such file or directory; ",
        ),
        (f"api_key_file: {KEY}", "api_key_file: no file of that name can be read; write the file's path, "),
        (f"api_key_file: ./{KEY}", "api_key_file: no file of that name can be read; write the file's path, "),
        ("api_key_file: binary", "api_key_file: /etc/exporter/binary is not UTF-8 text; "),
        ("api_key_file: blank", "api_key_file: the file /etc/exporter/blank is empty; "),
        (
            "api_key_file: two-lines",
            "api_key_file: the file /etc/exporter/two-lines holds a character that an HTTP header ",
        ),
        (
            "api_key_file: /pods/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/key",
            "api_key_file: /pods/0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9/key cannot be read: No such file ",
        ),
        ('api_key_file: "a\\0b"', "api_key_file: the path is empty or does not print; "),
    ],
)
def test_an_unusable_api_key_is_refused_and_never_shown(given_by: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(f"livepeer: [{{name: studio, {given_by}}}]")
    (mistake,) = caught.value.mistakes
    assert str(mistake).startswith(f"config.yml:1: livepeer[0].{expected}")
    assert KEY not in str(mistake)


def test_a_secret_is_shown_nowhere() -> None:
    secret = Secret("hunter2")
    assert [str(secret), repr(secret), f"{secret}", f"{[secret]}"] == ["***", "***", "***", "[***]"]
    assert "hunter2" not in repr(LivepeerConfig(name="studio", api_key=secret))
    assert "hunter2" not in str(dataclasses.asdict(LivepeerConfig(name="studio", api_key=secret)))
    with pytest.raises(TypeError, match="a secret is not pickled"):
        pickle.dumps(secret)


def test_a_secret_equals_only_the_same_secret() -> None:
    secret = Secret("hunter2")
    assert secret == Secret("hunter2") == copy.deepcopy(secret)
    assert secret != Secret("hunter3")
    assert secret != "hunter2"
    assert len({secret, Secret("hunter2")}) == 1


PLANTED = st.sampled_from(
    [
        KEY,
        f"https://{KEY}@example.com",
        f"https://me:{KEY}@example.com/?{KEY}#{KEY}",
        f" {KEY} {KEY}",
        f"{KEY}\n€",
    ]
)
VALUES = st.recursive(
    PLANTED | st.none() | st.integers() | st.sampled_from(["vod", "STUDIO_KEY", "key"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(PLANTED | st.just("<<"), inner, max_size=2),
    max_leaves=4,
)


def section(*keys: str) -> st.SearchStrategy[object]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys((*keys, "<<", KEY), VALUES))


QENCODE = section("name", "task_tokens", "task_tokens_file", "task_tokens_http", "base_url", "allowed_hosts")
LIVEPEER = (
    section("name", "api_key_env", "base_url", "task_types")
    | section("api_key", "lookback")
    | section("api_key_file")
)
DOCUMENTS = VALUES | st.fixed_dictionaries(
    {},
    optional={
        "poll": VALUES | section("min_poll_interval", "timeout", "concurrency", "retention"),
        "metrics": VALUES | section("per_task", "max_task_series", "task_label"),
        "qencode": VALUES | st.lists(QENCODE, max_size=2),
        "livepeer": VALUES | st.lists(LIVEPEER, max_size=2),
        KEY: VALUES,
    },
)


def told_about(text: str) -> str:
    try:
        config(text)
    except ConfigError as error:
        return f"{error} {error!r}"
    return ""


def pieces(length: int) -> list[str]:
    return [KEY[start : start + length] for start in range(len(KEY) - length + 1)]


@given(DOCUMENTS)
def test_a_key_in_any_place_is_never_shown(document: object) -> None:
    told = told_about(yaml.safe_dump(document, allow_unicode=True))
    assert not [piece for piece in pieces(17) if piece in told]


@given(
    st.text(max_size=20) | st.text(alphabet=string.punctuation + "\n\t ab\ud800\x00", max_size=20),
    st.integers(0, 200),
)
def test_a_key_in_a_file_with_junk_in_it_is_never_shown(junk: str, at: int) -> None:
    text = f"poll: {{timeout: 5s}}\nlivepeer:\n- name: studio\n  api_key: {KEY}\n  lookback: 1d\n"
    told = told_about(text[:at] + junk + text[at:])
    assert not [piece for piece in pieces(17) if piece in told]
