"""`check-config` finds every mistake at once, in files of tokens as well, and says what would be watched."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from urllib.parse import urlsplit

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.commands.checking import Checked, check, check_ledger
from exporter.sharding import Shard
from exporter.tracking.database import Database
from exporter.tracking.token_labels import custom_labels, is_token
from exporter.tracking.tokens import FileSource

ACCOUNT = "qencode: [{name: vod, task_tokens_file: tokens.json}]"
SEVENTEEN = ", ".join(f"label_{number}: x" for number in range(17))


def told(folder: Path, config: str = ACCOUNT) -> list[str]:
    """Every mistake, without the folder."""
    return [str(mistake).replace(f"{folder}/", "") for mistake in checked(folder, config).mistakes]


def checked(folder: Path, config: str = ACCOUNT) -> Checked:
    path = folder / "config.yml"
    path.write_text(dedent(config))
    return check(path, {})


def write(folder: Path, text: str) -> None:
    (folder / "tokens.json").write_text(text, encoding="utf-8")


# --- All at once ---------------------------------------------------------------------------------------


def test_given_mistakes_in_the_configuration_and_in_files_of_tokens_then_all_are_told_at_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "one.json").write_text('[\n {"targets": ["a b"]},\n {"target": []}\n]')
    (tmp_path / "two.yml").write_text("- targets: [a]\n  labels: {customer-id: 7}\n")

    mistakes = told(
        tmp_path,
        """\
        qencode:
          - {name: one, task_tokens_file: one.json}
          - {name: two, task_tokens_file: two.yml}
          - {name: three, task_tokens_file: gone.json}
        metrics: {task_label: md5}
        """,
    )

    assert mistakes == [
        (
            "config.yml:4: qencode[2].task_tokens_file: gone.json: No such file or directory; "
            "put a file there that this process may read"
        ),
        'config.yml:5: metrics.task_label: "md5" is not known here; write one of id, hash',
        (
            'one.json:2: [0].targets[0]: the token that begins with "a b" holds a blank, a comma '
            "or a special character; write one token an item, in plain ASCII"
        ),
        "one.json:3: [1].target: unknown key; did you mean targets?",
        "one.json:3: [1].targets: missing; write a list, each item a task token",
        (
            "two.yml:2: [0].labels.customer-id: 'customer-id' is not the name of a label: "
            "letters, digits and _, no digit first, no __ first; mend it, or remove the label"
        ),
    ]


def test_given_a_file_that_two_accounts_share_then_its_mistakes_are_told_once(tmp_path: Path) -> None:
    write(tmp_path, "[7]")
    both = "qencode: [{name: a, task_tokens_file: tokens.json}, {name: b, task_tokens_file: tokens.json}]"

    assert told(tmp_path, both) == [
        'tokens.json:1: [0]: a single value is written here; write a group like {"targets": ["TOKEN"]}'
    ]


# --- A file of tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "tokens.json: the file is empty; write [] if there is no token yet"),
        (
            '[\n{"targets": ["a"]},\n{"targets": ["b"}\n]',
            (
                "tokens.json:3: neither JSON nor YAML: while parsing a flow sequence, did not find expected"
                " ',' or ']'; write it like [{\"targets\": [\"TOKEN\"]}]"
            ),
        ),
        (
            '{"targets": ["a"]}',
            (
                "tokens.json:1: a mapping is written here; "
                'write a list, each item a group like {"targets": ["TOKEN"]}'
            ),
        ),
        (
            "- targets: a",
            (
                "tokens.json:1: [0].targets: a single value is written here; "
                "write a list, each item a task token"
            ),
        ),
        (
            # To YAML, this is a text: only who reads JSON minds.
            '[\n{"targets": ["a"]},\n{"targets": [\n"b",\n7]}]',
            "tokens.json:5: [1].targets[1]: a number is written here; write a task token in quotes",
        ),
        (
            # Neither is a number to YAML.
            '[\n{"targets": [1.5e3]}]',
            "tokens.json:2: [0].targets[0]: a number is written here; write a task token in quotes",
        ),
        (
            '[{"targets": [true]}]',
            "tokens.json:1: [0].targets[0]: a truth value is written here; write a task token in quotes",
        ),
        (
            '[\n{"targets": ["a", null]}]',
            "tokens.json:2: [0].targets[1]: nothing is written here; write a task token, or remove it",
        ),
        (
            '[\n{"targets": ["a", ["b"]]}]',
            "tokens.json:2: [0].targets[1]: a list is written here; write a task token",
        ),
        (
            '[\n{"targets": ["a"], "labels": {"tier": 3}}]',
            "tokens.json:2: [0].labels.tier: a number is written here; write a text in quotes",
        ),
        (
            '[\n{"targets": ["a"], "labels": {"__meta_tier": 3}}]',
            'tokens.json:2: [0].labels."__me…": a number is written here; write a text in quotes',
        ),
        (
            "- targets: [a]\n  labels: {__meta_tier: [gold]}",
            'tokens.json:2: [0].labels."__me…": a list is written here; write a text',
        ),
        (
            # No YAML: the line is lost, but what is a text and what a number is still told apart.
            '[{"targets": ["7", 7], "labels": {"mood": "\\ud83d\\ude00"}}]',
            "tokens.json: [0].targets[1]: a number is written here; write a task token in quotes",
        ),
        (
            # No YAML: the line is lost, and nothing else.
            '[{"targets": ["a"], "labels": {"mood": "\\ud83d\\ude00"}}, {"targets": ["b"], "label": {}}]',
            "tokens.json: [1].label: unknown key; did you mean labels?",
        ),
        (
            '[\n\t{\n\t\t"targets": ["a"],\n\t\t"labels": {"team": null}}]',
            "tokens.json:4: [0].labels.team: nothing is written here; write a text, or remove it",
        ),
        (
            '- targets: [a]\n  labels:\n    tier: "%s"' % ("x" * 257),
            (
                "tokens.json:3: [0].labels.tier: the value of tier is longer than 256 characters; "
                "mend it, or remove the label"
            ),
        ),
        (
            f"- targets: [a]\n  labels: {{{SEVENTEEN}}}",
            "tokens.json:2: [0].labels: 17 labels; a token can have 16; remove the others",
        ),
        (
            "- &group {targets: [a]}\n- *group",
            ('tokens.json: nested too deeply, or with aliases; write it like [{"targets": ["TOKEN"]}]'),
        ),
    ],
)
def test_given_a_mistake_in_a_file_of_tokens_then_it_is_told_with_its_place_and_the_remedy(
    tmp_path: Path, text: str, expected: str
) -> None:
    write(tmp_path, text)

    assert told(tmp_path) == [expected]


def test_given_several_targets_that_are_no_texts_then_each_is_told(tmp_path: Path) -> None:
    write(tmp_path, '[{"targets": [\n7,\n"a",\nfalse]},\n8]')

    assert told(tmp_path) == [
        "tokens.json:2: [0].targets[0]: a number is written here; write a task token in quotes",
        "tokens.json:4: [0].targets[2]: a truth value is written here; write a task token in quotes",
        'tokens.json:5: [1]: a single value is written here; write a group like {"targets": ["TOKEN"]}',
    ]


def test_given_a_file_of_tokens_that_is_not_utf_8_then_the_line_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokens.json").write_bytes(b'[\n{"targets": ["\xff"]}]')

    assert told(tmp_path) == ["tokens.json:2: not UTF-8 text; save the file as UTF-8"]


@pytest.mark.parametrize(
    "text",
    [
        '[{"targets": ["a", "b"]}]',
        "- targets: [' a ', b]\n  labels: {__meta_site: north, level: 3}",
        '\ufeff[\n\t{"targets": ["a"], "labels": {"mood": "\\ud83d\\ude00"}},\n\t{"targets": ["b"]}\n]',
    ],
)
def test_given_a_good_file_of_tokens_then_they_are_counted(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)

    assert (told(tmp_path), checked(tmp_path).accounts) == ([], ["qencode/vod (2 tokens)"])


KEYS = st.sampled_from(["targets", "labels", "__meta", "team"]) | st.text(max_size=3)
VALUES = st.recursive(
    st.sampled_from(["a", " b", "a,b", "", "é", "\U0001f600", "x" * 257]) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
GROUPS = st.lists(
    st.fixed_dictionaries(
        {"targets": st.lists(st.sampled_from(["a", " b ", "0123", "a,b"]) | VALUES, max_size=3)},
        optional={"labels": st.dictionaries(KEYS, st.text(max_size=3) | VALUES, max_size=3)},
    )
    | VALUES,
    max_size=3,
)


FILES = (
    GROUPS.map(json.dumps)
    | GROUPS.map(lambda groups: json.dumps(groups, indent="\t"))
    | GROUPS.map(lambda groups: yaml.safe_dump(groups, allow_unicode=True))
    | st.text(alphabet="[]{}:,-&*!|\"' \n\tatrges~\x00é", max_size=40)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILES)
def test_given_any_file_of_tokens_then_what_is_not_complained_about_is_watched_whole(
    tmp_path: Path, text: str
) -> None:
    write(tmp_path, text)
    if told(tmp_path):
        return
    for token, labels in (FileSource(tmp_path / "tokens.json").read() or {}).items():
        assert is_token(token)
        wanted = {name: value for name, value in labels.items() if not name.startswith("__")}
        assert dict(custom_labels(labels)) == wanted


# --- Where the ledger is to be -------------------------------------------------------------------------

TOKENS = "qencode: [{name: vod, task_tokens: [a]}]"
ANOTHERS = "another program's database of SQLite"


DATABASES = {
    "users.db": "CREATE TABLE users (name TEXT)",
    "tasks.db": "CREATE TABLE accounts (name TEXT); CREATE TABLE tasks (id TEXT)",
    "logins.db": "CREATE TABLE accounts (provider TEXT, account TEXT, user TEXT)",
    "migrated.db": "CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (1)",
    # SQLite keeps a table of its own in it.
    "emptied.db": "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT); DROP TABLE t",
    "half-made.db": "CREATE TABLE accounts (provider TEXT, account TEXT, opened DOUBLE, position DOUBLE)",
}
"""What is in databases of SQLite."""


def lay_out(folder: Path) -> None:
    """What may be where a ledger is to be."""
    (folder / "folder").mkdir()
    (folder / "notes.txt").write_text("not a ledger\n")
    (folder / "empty.db").touch()
    # What SQLite can't read but an exporter has claimed: serving sets it aside, and begins anew.
    (folder / "damaged.db").write_bytes(bytes(8192))
    (folder / "damaged.db.lock").touch()
    (folder / "page.txt").write_text("x" * 4095 + "\n")
    with closing(Database(f"sqlite:///{folder}/ledger.db")) as ledger:
        ledger.open()
    for name, statements in DATABASES.items():
        with closing(sqlite3.connect(folder / name)) as connection:
            connection.executescript(statements)
    os.mkfifo(folder / "pipe.db")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "socket.db"))
    (folder / "link.db").symlink_to("nowhere/ledger.db")
    (folder / "link").symlink_to("nowhere")
    (folder / "new-link.db").symlink_to("folder/new.db")


def seen(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that is in a folder, with its times and what it holds."""
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize(
    ("url", "mistake"),
    [
        ("sqlite:///{0}/folder", "{0}/folder is a folder; write {0}/folder/ledger.db, or name another file"),
        ("sqlite:///{0}/notes.txt", "{0}/notes.txt is no ledger; move it away, or name another file"),
        (
            "sqlite:///{0}/notes.txt/in/ledger.db?timeout=3",
            (
                "{0}/notes.txt/in/ledger.db can't be made: {0}/notes.txt is a file, not a folder; "
                "move that away, or name another file"
            ),
        ),
        (
            "sqlite:////proc/ledger.db",
            "/proc/ledger.db can't be made: nobody can keep a file in /proc; name another file",
        ),
        (
            "sqlite:////proc/folder/ledger.db",
            "/proc/folder/ledger.db can't be made: nobody can keep a file in /proc; name another file",
        ),
        ("sqlite:///{0}/page.txt", "{0}/page.txt is no ledger; move it away, or name another file"),
        *(
            (f"sqlite:///{{0}}/{name}", f"{{0}}/{name} is no ledger, but {ANOTHERS}; name another file")
            for name in ("users.db", "tasks.db", "logins.db", "migrated.db")
        ),
        *(
            (f"sqlite:///{place}", f"{place} is a socket, a pipe or a device, not a file; name another file")
            for place in ("{0}/pipe.db", "{0}/socket.db", "/dev/null")
        ),
        (
            "sqlite:///{0}/link.db",
            (
                "{0}/link.db can't be made: {0}/link.db is a link, and there is no folder {0}/nowhere; "
                "make that, or name another file"
            ),
        ),
        (
            "sqlite:///{0}/link/ledger.db",
            (
                "{0}/link/ledger.db can't be made: {0}/link is a link, and there is no folder {0}/nowhere; "
                "make that, or name another file"
            ),
        ),
        *(
            (
                f"sqlite:///{{0}}/{'x' * length}",
                f"{{0}}/{'x' * length} can't be reached: File name too long; name another file",
            )
            for length in (248, 300)
        ),
        (
            f"sqlite:///{{0}}/{'folder/' * 80}ledger.db",
            (
                f"{{0}}/{'folder/' * 80}ledger.db can't be made: its path is longer than 504 bytes; "
                "name another file"
            ),
        ),
        *(
            (
                f"postgresql://me:hunter2@db:{port}/ledger",
                (
                    "the URL has no port from 1 to 65535; "
                    "write storage.url like postgresql://user@host:5432/name, or name another file"
                ),
            )
            for port in (0, 65536, 99999)
        ),
        ("sqlite:///{0}/new/", "this is the path of a folder; name a file in it, like ledger.db"),
        (
            "postgresql://me:hunter2@db:nowhere/ledger",
            (
                "the URL can't be understood; "
                "write special characters in storage.url like %40, or name another file"
            ),
        ),
    ],
)
def test_given_a_place_where_no_ledger_can_be_then_it_is_told_with_the_other_mistakes_and_nothing_is_changed(
    tmp_path: Path, url: str, mistake: str
) -> None:
    lay_out(tmp_path)
    config = f"{TOKENS}\nstorage:\n  url: '{url.format(tmp_path)}'\n  keep: soon\n"
    (tmp_path / "config.yml").write_text(config)
    before = seen(tmp_path)

    found = check(tmp_path / "config.yml", {})

    assert list(map(str, found.mistakes)) == [
        f"{tmp_path}/config.yml:3: storage.url: {mistake.format(tmp_path)}",
        f'{tmp_path}/config.yml:4: storage.keep: "soon" is not a duration; write it like 30d or 90s',
    ]
    assert seen(tmp_path) == before


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///{}/new.db",
        "sqlite:///{}/new/folders/ledger.db",
        "sqlite:///{}/ledger.db",
        "sqlite:///{}/ledger.db?timeout=3",
        "sqlite:///{}/empty.db",
        "sqlite:///{}/damaged.db",
        "sqlite:///{}/emptied.db",
        "sqlite:///{}/half-made.db",
        "sqlite:///{}/new-link.db",
        f"sqlite:///{{}}/{'x' * 247}",
        # Out of the kernel's folder again, into one where files can be kept.
        "sqlite:////proc/self/cwd/ledger.db",
        "sqlite:///:memory:",
        "memory://",
        "postgresql://me@nowhere.invalid/ledger",
        "postgresql://me@nowhere.invalid:65535/ledger",
    ],
)
def test_given_a_place_where_the_ledger_can_be_then_it_is_fine_and_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yml").write_text(f"{TOKENS}\nstorage: {{url: '{url.format(tmp_path)}'}}")
    before = seen(tmp_path)

    found = check(tmp_path / "config.yml", {})

    assert (found.mistakes, list(found.notes), found.accounts) == ((), [], ["qencode/vod (1 token)"])
    assert seen(tmp_path) == before


def test_given_another_programs_database_that_it_has_not_gathered_in_one_file_then_it_is_told_all_the_same(
    tmp_path: Path,
) -> None:
    """Its tables are in SQLite's write-ahead log alone."""
    lines = (
        "import os, sqlite3, sys",
        "connection = sqlite3.connect(sys.argv[1])",
        "connection.execute('PRAGMA journal_mode = WAL')",
        "connection.execute('CREATE TABLE users (name TEXT)')",
        "os._exit(0)",
    )
    path = tmp_path / "users.db"
    subprocess.run([sys.executable, "-c", "\n".join(lines), path], check=True, timeout=20)
    before = seen(tmp_path)
    assert b"users" not in path.read_bytes()

    (mistake,) = check_ledger(f"sqlite:///{path}").mistakes

    assert mistake.problem == f"{path} is no ledger, but {ANOTHERS}"
    assert seen(tmp_path) == before


def test_given_no_place_then_the_one_below_the_working_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").touch()
    why = "data/ledger.db can't be made: data is a file, not a folder; move that away, or name another file"

    assert told(tmp_path, TOKENS) == [f"config.yml: storage.url: {why}"]
    assert list(map(str, check(None, {"QENCODE_TASK_TOKENS": "a"}).mistakes)) == [f"--storage.path: {why}"]


def test_given_a_place_that_counts_for_nothing_then_it_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text(f"{TOKENS}\nstorage: {{url: 'sqlite:///{tmp_path}'}}")

    assert len(check(tmp_path / "config.yml", {}).mistakes) == 1
    assert check(tmp_path / "config.yml", {}, ledger=False).accounts == ["qencode/vod (1 token)"]


# --- What would be watched -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ("task_tokens: [a]", "1 token"),
        ("task_tokens: [a, b, c], task_tokens_file: tokens.json", "4 tokens"),
        ("task_tokens_http: 'https://a.example/'", "tokens by URL, read at run time"),
        ("task_tokens: [a], task_tokens_http: 'https://a.example/'", "1 token, more by URL"),
        ("task_tokens_file: none.json", "0 tokens"),
        ("task_tokens: []", "tokens over the API alone, with --web.enable-admin-api"),
    ],
)
def test_given_sources_of_tokens_then_what_they_bring_is_told(
    tmp_path: Path, sources: str, words: str
) -> None:
    write(tmp_path, '[{"targets": ["c", "d"]}]')
    (tmp_path / "none.json").write_text("[]")

    found = checked(tmp_path, f"qencode: [{{name: vod, {sources}}}]\nlivepeer: [{{name: vod, api_key: k}}]")

    assert (found.mistakes, found.accounts) == ((), [f"qencode/vod ({words})", "livepeer/vod"])


@pytest.mark.parametrize(
    ("base_url", "hosts", "noted"),
    [
        ("https://api.qencode.com", '["*.qencode.com"]', False),
        ("https://API-EU.qencode.com:8443/v2", '["*.qencode.com"]', False),
        ("http://127.0.0.1:8080", '["127.0.0.1"]', False),
        ("https://proxy.example", '["*.qencode.com"]', True),
        ("http://127.0.0.1:8080", '["*.qencode.com"]', True),
        ("https://qencode.com", '["*.qencode.com"]', True),
    ],
)
def test_given_a_base_url_outside_allowed_hosts_then_it_is_allowed_but_noted(
    tmp_path: Path, base_url: str, hosts: str, noted: bool
) -> None:
    account = f"{{name: vod, task_tokens: [a], base_url: '{base_url}', allowed_hosts: {hosts}}}"

    found = checked(tmp_path, f"qencode: [{account}]")

    note = (
        f"note: qencode/vod: {urlsplit(base_url).hostname} of base_url is not in allowed_hosts,"
        " so a status_url of that host is ignored; add it, unless the answers name other hosts"
    )
    assert found.accounts == ["qencode/vod (1 token)"]
    assert list(found.notes) == [note] * noted


@pytest.mark.parametrize(
    ("base_url", "noted"),
    [
        ("https://proxy.example", False),
        ("http://proxy.example", True),
        ("http://10.0.0.1:8080/api", True),
        ("http://127.0.0.1.nip.io", True),
        ("http://127.0.0.1:8080", False),
        ("http://localhost:8080", False),
        ("http://[::1]:8080", False),
    ],
)
def test_given_a_base_url_to_which_tokens_travel_in_clear_text_then_that_is_noted(
    tmp_path: Path, base_url: str, noted: bool
) -> None:
    host = urlsplit(base_url).hostname
    account = f"{{name: vod, task_tokens: [a], base_url: '{base_url}'}}"

    found = checked(tmp_path, f"qencode: [{account}]")

    note = (
        f"note: qencode/vod: the tokens travel in clear text to {host} of base_url; "
        "use https, unless all of the way is yours"
    )
    assert found.accounts == ["qencode/vod (1 token)"]
    assert [one for one in found.notes if "clear" in one] == [note] * noted


@pytest.mark.parametrize(
    ("url", "noted"), [("http://tokens.example/list?team=a", True), ("https://tokens.example/list", False)]
)
def test_given_tokens_that_come_over_http_in_clear_text_then_that_is_noted(
    tmp_path: Path, url: str, noted: bool
) -> None:
    found = checked(tmp_path, f"qencode: [{{name: vod, task_tokens_http: '{url}'}}]")

    note = (
        "note: qencode/vod: the tokens travel in clear text from tokens.example of task_tokens_http; "
        "use https, unless all of the way is yours"
    )
    assert found.notes == [note] * noted


def test_given_a_mistake_in_a_file_of_tokens_then_notes_are_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("[7]")
    found = checked(
        tmp_path,
        """\
        qencode:
          - {name: live, task_tokens_file: wrong.json}
          - {name: vod, task_tokens: [a], base_url: "http://api.qencode.com"}
        """,
    )

    assert len(found.mistakes) == 1
    assert found.notes == [
        (
            "note: qencode/vod: the tokens travel in clear text to api.qencode.com of base_url; "
            "use https, unless all of the way is yours"
        )
    ]
    assert found.accounts == ()


@pytest.mark.parametrize("shard", [Shard(0, 2), Shard(1, 2)])
def test_given_one_database_for_all_shards_then_that_is_a_mistake(tmp_path: Path, shard: Shard) -> None:
    path = tmp_path / "config.yml"
    path.write_text("livepeer: [{name: studio, api_key: k}]\nstorage: {url: 'postgresql://user@host/name'}\n")

    (mistake,) = check(path, {}, shard).mistakes
    assert str(mistake) == (
        f"{path}:2: storage.url: one database is named for all shards, which would overwrite each other's "
        "counters: each needs a file of its own; name another file"
    )
    assert check(path, {}).mistakes == ()


def test_given_no_file_then_the_environment_is_checked() -> None:
    assert check(None, {"QENCODE_TASK_TOKENS": "a,b"}).accounts == ["qencode/default (2 tokens)"]
    (mistake,) = check(None, {}).mistakes
    assert str(mistake) == (
        "environment: no account is configured; "
        "name a file with --config.file, or set LIVEPEER_API_KEY or QENCODE_TASK_TOKENS"
    )
