"""A configuration is what its file says, or a list of all that has to be mended in it."""

import contextlib
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import (
    Config,
    ConfigError,
    LivepeerConfig,
    LivepeerTaskType,
    MetricsConfig,
    PollConfig,
    QencodeConfig,
    Secret,
    StallConfig,
    StorageConfig,
    TaskLabel,
    load,
    parse,
)
from exporter.schema import options

KEY = "9b5f1c2e-4d3a-4f6b-8a7c-0123456789ab"


def config(text: str) -> Config:
    return parse(dedent(text), "config.yml", {"STUDIO_KEY": KEY}, Path("/etc/exporter"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_every_key_has_a_type() -> None:
    assert config(
        f"""
        poll: {{min_poll_interval: 0, timeout: 1500ms, concurrency: 64, retention: 1h30m}}
        metrics: {{per_task: false, max_task_series: 0, task_label: hash}}
        qencode:
          - name: vod
            task_tokens: [0123, 1e5, yes, 0123]
            task_tokens_file: tokens.json
            task_tokens_http: https://example.com/tokens?site=1
            base_url: https://qencode.example.com/
            allowed_hosts: ["*.Example.com", localhost]
        livepeer:
          - name: studio
            api_key: {KEY}
            base_url: http://127.0.0.1:8080/api/
            task_types: [upload, transcode-file]
            lookback: 0
        """
    ) == Config(
        poll=PollConfig(min_poll_interval=0.0, timeout=1.5, concurrency=64, retention=5400.0),
        metrics=MetricsConfig(per_task=False, max_task_series=0, task_label=TaskLabel.HASH),
        qencode=(
            QencodeConfig(
                name="vod",
                task_tokens=("0123", "1e5", "yes"),
                task_tokens_file=Path("/etc/exporter/tokens.json"),
                task_tokens_http="https://example.com/tokens?site=1",
                base_url="https://qencode.example.com",
                allowed_hosts=("*.example.com", "localhost"),
            ),
        ),
        livepeer=(
            LivepeerConfig(
                name="studio",
                api_key=Secret(KEY),
                base_url="http://127.0.0.1:8080/api",
                task_types=(LivepeerTaskType.UPLOAD, LivepeerTaskType.TRANSCODE_FILE),
                lookback=0.0,
            ),
        ),
    )


def test_what_is_not_written_has_a_default() -> None:
    read = config("{qencode: [{name: vod, task_tokens: [a]}], livepeer: [{name: studio, api_key: k}]}")
    assert read.poll == PollConfig(min_poll_interval=5.0, timeout=10.0, concurrency=8, retention=900.0)
    assert read.metrics == MetricsConfig(per_task=True, max_task_series=20000, task_label=TaskLabel.ID)
    assert read.qencode == (
        QencodeConfig(
            name="vod",
            task_tokens=("a",),
            task_tokens_file=None,
            task_tokens_http=None,
            base_url="https://api.qencode.com",
            allowed_hosts=("*.qencode.com",),
        ),
    )
    assert read.livepeer == (
        LivepeerConfig(
            name="studio",
            api_key=Secret("k"),
            base_url="https://livepeer.studio/api",
            task_types=(
                LivepeerTaskType.UPLOAD,
                LivepeerTaskType.IMPORT,
                LivepeerTaskType.EXPORT,
                LivepeerTaskType.EXPORT_DATA,
                LivepeerTaskType.TRANSCODE_FILE,
                LivepeerTaskType.CLIP,
            ),
            lookback=2_592_000.0,
        ),
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines() -> None:
    assert mistakes(
        """\
        poll:
          timout: 5s
          timeout: 0s
          concurrency: "8"
          retention: 1.5h
        metrics:
          per_task: yes
          max_task_series: -1
          task_label:
        storage: {url: "mysql://root:hunter2@db/ledger"}
        qencode:
          - name: vod
            allowed_hosts: [example.com]
          - name: live
            task_tokens: [abcdefgh, 'abcd efgh']
            base_url: qencode.com
            allowed_hosts: ["*"]
        livepeer:
          - name: vod
            api_key_env: NOWHERE
            lookback: 30x
            task_types: []
          - name: vod
            api_key: one
            api_key_file: key
          - base_url: http://livepeer.example.com
        """
    ) == [
        "config.yml:2: poll.timout: unknown key; did you mean timeout?",
        "config.yml:3: poll.timeout: the duration is 0; write one above 0, like 10s",
        "config.yml:4: poll.concurrency: a text is written here; write a whole number from 1 to 64 unquoted",
        'config.yml:5: poll.retention: "1.5h" is not a duration; write it like 30d or 90s',
        'config.yml:7: metrics.per_task: "yes" is neither true nor false; write true or false',
        (
            'config.yml:8: metrics.max_task_series: "-1" is not a whole number from 0 to 10000000; '
            "write such a number in digits alone"
        ),
        "config.yml:9: metrics.task_label: nothing is written here; write one of id, hash, or remove it",
        (
            "config.yml:10: storage.url: this is not a database URL; "
            "write sqlite:///path/to/ledger.db, postgresql://user@host/name or memory://"
        ),
        (
            "config.yml:12: qencode[0]: no source of tokens is given; give task_tokens, task_tokens_file "
            "or task_tokens_http; or task_tokens: [] if all come over the API"
        ),
        (
            'config.yml:15: qencode[1].task_tokens[1]: the token that begins with "abcd" holds a blank, '
            "a comma or a special character; write one token an item, in plain ASCII"
        ),
        (
            "config.yml:16: qencode[1].base_url: not an absolute http or https URL; "
            "write it like https://example.com/path"
        ),
        (
            'config.yml:17: qencode[1].allowed_hosts[0]: "*" gives the tokens to anybody; '
            "name a domain, like *.example.com"
        ),
        (
            "config.yml:20: livepeer[0].api_key_env: the environment variable NOWHERE is not set; "
            "set it to the key"
        ),
        'config.yml:21: livepeer[0].lookback: "30x" is not a duration; write it like 30d or 90s',
        (
            "config.yml:22: livepeer[0].task_types: the list is empty; write a list, each item one of "
            "upload, import, export, export-data, transcode-file, clip, or remove it"
        ),
        'config.yml:23: livepeer[1].name: "vod" is taken by the one on line 19; give each its own',
        (
            "config.yml:23: livepeer[1]: api_key and api_key_file are given at once; "
            "keep exactly one of api_key, api_key_env, api_key_file"
        ),
        "config.yml:26: livepeer[2].name: missing; write a name",
        (
            "config.yml:26: livepeer[2]: none of api_key, api_key_env, api_key_file is given; "
            "give exactly one of them"
        ),
        "config.yml:26: livepeer[2].base_url: the key would travel in clear text; use https",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "config.yml:1: a list is written here; write a mapping"),
        ("hunter2", "config.yml:1: a single value is written here; write a mapping"),
        (
            "{poll: 5s, qencode: [{name: a, task_tokens: [t]}]}",
            "config.yml:1: poll: a single value is written here; write a mapping",
        ),
        (
            "livepeer: {}",
            "config.yml:1: livepeer: a mapping is written here; write a list, each item a mapping",
        ),
        ("livepeer: [hunter2]", "config.yml:1: livepeer[0]: a single value is written here; write a mapping"),
        (
            "qencode: [{name: vod, task_tokens: hunter2}]",
            (
                "config.yml:1: qencode[0].task_tokens: a single value is written here; "
                "write a list, each item a task token"
            ),
        ),
        (
            "livepeer: [{name: studio, api_key: [hunter2]}]",
            "config.yml:1: livepeer[0].api_key: a list is written here; write the key itself",
        ),
        (
            "livepeer: [{name: studio, api_key: {hunter2: hunter2}}]",
            "config.yml:1: livepeer[0].api_key: a mapping is written here; write the key itself",
        ),
        (
            "livepeer: [{name: [hunter2], api_key: k}]",
            "config.yml:1: livepeer[0].name: a list is written here; write a name",
        ),
        (
            "livepeer: [{name: studio, api_key: *hunter2}]",
            (
                "config.yml:1: an alias (*) without an anchor; "
                "define its anchor (&) above; quote a text that begins with *"
            ),
        ),
        (
            "livepeer: [{name: studio, api_key: !hunter2 k}]",
            "config.yml:1: livepeer[0].api_key: a YAML tag is written here; remove the word with the !",
        ),
    ],
)
def test_a_wrong_shape_is_named_without_what_is_written_there(text: str, expected: str) -> None:
    assert mistakes(text) == [expected]


@pytest.mark.parametrize("text", ["", "# later\n", "qencode: []\nlivepeer: []\n"])
def test_a_configuration_without_an_account_is_refused(text: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.endswith("no account is configured; add one to the list qencode or livepeer")


def test_accounts_of_different_providers_may_share_a_name() -> None:
    read = config("{qencode: [{name: a, task_tokens: [t]}], livepeer: [{name: a, api_key: k}]}")
    assert (read.qencode[0].name, read.livepeer[0].name) == ("a", "a")


def test_accounts_may_share_what_is_written_once() -> None:
    read = config(
        """
        livepeer:
          - &studio {name: one, api_key_env: STUDIO_KEY, lookback: 7d}
          - {<<: *studio, name: two}
        """
    )
    assert read.livepeer == (
        LivepeerConfig(name="one", api_key=Secret(KEY), lookback=604_800.0),
        LivepeerConfig(name="two", api_key=Secret(KEY), lookback=604_800.0),
    )


def test_tokens_and_the_url_they_come_from_are_not_in_a_repr() -> None:
    shown = repr(config("qencode: [{name: vod, task_tokens: [t0k3n], task_tokens_http: 'http://a/?s3cret'}]"))
    assert "t0k3n" not in shown
    assert "s3cret" not in shown


def test_every_key_is_documented_where_it_is_declared() -> None:
    sections = (
        *(Config, PollConfig, StallConfig, MetricsConfig, StorageConfig),
        *(QencodeConfig, LivepeerConfig),
    )
    documented = [option for section in sections for option in options(section)]
    assert all(option.about.endswith(".") and "\n" not in option.about for option in documented)
    assert [(option.key, option.default, option.reader.kind) for option in options(PollConfig)] == [
        ("min_poll_interval", "5s", "a duration"),
        ("timeout", "10s", "a duration above 0"),
        ("concurrency", "8", "a whole number from 1 to 64"),
        ("retention", "15m", "a duration"),
        ("stall_after", "10m", "a duration, or one for each state"),
    ]
    assert [option.key for option in options(LivepeerConfig)] == [
        "name",
        "api_key",
        "api_key_env",
        "api_key_file",
        "base_url",
        "task_types",
        "lookback",
        "shard_by",
    ]


def test_without_a_file_the_environment_makes_an_account_of_each_provider() -> None:
    environ = {"LIVEPEER_API_KEY": f"{KEY}\n", "QENCODE_TASK_TOKENS": "a, b\nc,,a "}
    assert load(None, environ) == Config(
        qencode=(QencodeConfig(name="default", task_tokens=("a", "b", "c")),),
        livepeer=(LivepeerConfig(name="default", api_key=Secret(KEY)),),
    )


def test_without_a_file_one_variable_is_enough() -> None:
    assert load(None, {"LIVEPEER_API_KEY": KEY, "QENCODE_TASK_TOKENS": ""}).qencode == ()
    assert load(None, {"QENCODE_TASK_TOKENS": "a"}).livepeer == ()


@pytest.mark.parametrize("environ", [{}, {"LIVEPEER_API_KEY": " ", "QENCODE_TASK_TOKENS": " , "}])
def test_with_neither_file_nor_variables_both_ways_are_told(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert str(caught.value) == (
        "environment: no account is configured; "
        "name a file with --config.file, or set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS"
    )


def test_the_mistakes_of_variables_are_told_at_once_too() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"LIVEPEER_API_KEY": f"{KEY}\n{KEY}", "QENCODE_TASK_TOKENS": "abcdefgh, abcd€fgh"})
    assert str(caught.value).splitlines() == [
        (
            'environment: QENCODE_TASK_TOKENS[1]: the token that begins with "abcd" holds a blank, '
            "a comma or a special character; write one token an item, in plain ASCII"
        ),
        (
            "environment: LIVEPEER_API_KEY: the key holds a character that an HTTP header cannot carry; "
            "write the key on one line, as the provider shows it"
        ),
    ]


def test_a_file_is_loaded_and_its_paths_start_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfhunter2\r\n")
    file = tmp_path / "config.yml"
    file.write_bytes(b"\xef\xbb\xbflivepeer:\r\n- name: studio\r\n  api_key_file: key\r\n")
    assert load(file, {"LIVEPEER_API_KEY": "other", "QENCODE_TASK_TOKENS": "a"}) == Config(
        livepeer=(LivepeerConfig(name="studio", api_key=Secret("hunter2")),)
    )


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gone.yml", {})
    assert str(caught.value) == (
        f"{tmp_path}/gone.yml: cannot be read: No such file or directory; name a readable file"
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {})
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory; name a readable file"


def test_a_file_that_is_not_utf_8_is_named_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_bytes(b"livepeer:\n- name: \xff\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value) == f"{file}:2: not UTF-8 text; save the file as UTF-8"


@given(st.text() | st.text(alphabet="ab:-[]{}&*!|>'\"#%@`?, \n\t\x00é~<"))
def test_any_text_is_a_configuration_or_a_list_of_mistakes(text: str) -> None:
    with contextlib.suppress(ConfigError):
        config(text)


def test_stall_after_is_one_duration_for_all_states_or_one_for_each() -> None:
    account = "qencode: [{name: vod, task_tokens: [abcdefgh]}]"
    one = config(f"poll: {{stall_after: 20m}}\n{account}").poll.stall_after
    assert one == StallConfig(queued=1200.0, running=1200.0, unknown=1200.0)
    each = config(f"poll: {{stall_after: {{queued: 30m}}}}\n{account}").poll.stall_after
    assert each == StallConfig(queued=1800.0, running=600.0, unknown=600.0)


def test_buckets_are_durations_in_ascending_order() -> None:
    text = "metrics: {duration_buckets: [30s, 90s, 1h]}\nqencode: [{name: vod, task_tokens: [abcdefgh]}]"
    assert config(text).metrics.duration_buckets == (30.0, 90.0, 3600.0)


@pytest.mark.parametrize("key", ["duration_buckets", "phase_duration_buckets"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[1h, 30s, 90s]", ': "30s" is not above the bound before it; write [30s, 90s, 1h]'),
        ("[30s, 1m, 60s, 2h]", ': "60s" is not above the bound before it; write [30s, 1m, 2h]'),
        ("[30s, 30s]", ': "30s" is not above the bound before it; write [30s]'),
        ("[0s, 30s]", "[0]: the duration is 0; write one above 0, like 10s"),
        ("[-5s, 30s]", '[0]: "-5s" is not a duration; write it like 30d or 90s'),
        ("[30s, NaN]", '[1]: "NaN" is not a duration; write it like 30d or 90s'),
        ("[30s, +Inf]", '[1]: "+Inf" is no duration; remove it: the last bucket is implied'),
        ("[30s, .inf]", '[1]: ".inf" is no duration; remove it: the last bucket is implied'),
        (
            "[]",
            ": the list is empty; write a list, each item a duration above 0, or remove it",
        ),
    ],
)
def test_buckets_that_are_not_are_refused_with_what_to_write(key: str, written: str, expected: str) -> None:
    text = f"qencode: [{{name: vod, task_tokens: [abcdefgh]}}]\nmetrics:\n  {key}: {written}"
    assert mistakes(text) == [f"config.yml:3: metrics.{key}{expected}"]


def test_an_account_may_leave_all_its_tokens_to_the_api_if_it_says_so() -> None:
    assert config("qencode: [{name: vod, task_tokens: []}]").qencode == (QencodeConfig(name="vod"),)
    (mistake,) = mistakes("qencode: [{name: vod}]")
    assert mistake == (
        "config.yml:1: qencode[0]: no source of tokens is given; give task_tokens, task_tokens_file "
        "or task_tokens_http; or task_tokens: [] if all come over the API"
    )


def test_a_file_of_tokens_need_not_be_there_to_serve(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("qencode: [{name: vod, task_tokens_file: later.json}]")
    assert load(file, {}).qencode[0].task_tokens_file == tmp_path / "later.json"


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("sqlite:///data/ledger.db", "sqlite:///data/ledger.db"),
        ("sqlite:////var/lib/ledger.db", "sqlite:////var/lib/ledger.db"),
        ("postgresql://exporter@db/ledger", "postgresql+psycopg://exporter@db/ledger"),
        ("memory://", "memory://"),
    ],
)
def test_the_ledger_is_in_a_file_in_postgresql_or_nowhere(written: str, url: str) -> None:
    account = "qencode: [{name: vod, task_tokens: [abcdefgh]}]"
    storage = config(f"storage: {{url: '{written}'}}\n{account}").storage
    assert storage.url == url
    assert url not in repr(storage), "it may hold a password"
