"""YAML becomes nodes that know their line; what is broken, or built to break the reader, is a mistake."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yaml.nodes import MappingNode, SequenceNode

from exporter.strict_yaml import ConfigError, Mistake, Site, compose, entries, quoted


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(text, "config.yml")
    return str(caught.value)


def mapping(text: str) -> tuple[dict[str, str], list[str]]:
    node = compose(text, "config.yml")
    assert isinstance(node, MappingNode)
    found, mistakes = entries(node, Site("config.yml"))
    return {key: entry.value.value for key, entry in found.items()}, [str(mistake) for mistake in mistakes]


@pytest.mark.parametrize("written", ["0123", "1e5", "yes", "12_000", "2024-01-01", "0x1F", "1:30", ".inf"])
def test_a_scalar_stays_the_text_it_was_written_as(written: str) -> None:
    assert mapping(f"token: {written}") == ({"token": written}, [])


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment", "---\n", "---\n...\n", "~"])
def test_an_empty_document_is_an_empty_mapping(text: str) -> None:
    assert mapping(text) == ({}, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: c: d\n", "config.yml:2: not YAML: mapping values are not allowed in this context; "),
        ("a: [1, 2\nb: 3\n", "config.yml:2: not YAML: while parsing a flow sequence, "),
        ("a: 1\nb: 'no end\nc: 2\n", "config.yml:2: not YAML: while scanning a quoted scalar, "),
        ("a: 1\nb\nc: 2\n", "config.yml:2: not YAML: while scanning a simple key, "),
        ("a:\n\t- b\n", "config.yml:2: not YAML: a tab indents the line; indent with blanks"),
        ("a: é\nb: \x07\n", "config.yml:2: not YAML: a control character; "),
        ("a: 1\nb: \ud800\n", "config.yml:2: not UTF-8 text; save the file as UTF-8"),
        ("a: 1\n---\nb: 2\n", "config.yml:2: a second document begins; keep one; remove the ---"),
        ("a: 1\nb: *c\n", "config.yml:2: an alias (*) without an anchor; define its anchor (&) above;"),
        ("a: &c 1\nb: &c 2\n", "config.yml:2: an anchor (&) is defined twice; give each its own name"),
        ("%YAML 3.0\n---\na: 1\n", "config.yml:1: not YAML: found incompatible YAML document; "),
    ],
)
def test_text_that_is_not_one_yaml_document_is_refused_with_its_line(text: str, expected: str) -> None:
    assert refusal(text).startswith(expected)


def test_nesting_has_a_limit() -> None:
    assert isinstance(compose("[" * 32 + "]" * 32, "config.yml"), SequenceNode)
    assert refusal("[" * 33 + "]" * 33) == "config.yml:1: nested more than 32 deep; flatten it"


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 9000 + "]" * 9000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_before_it_is_composed(text: str) -> None:
    assert refusal(text) == "config.yml:1: nested more than 32 deep; flatten it"


def test_an_alias_stands_for_its_anchor() -> None:
    assert mapping("a: &key x\nb: *key") == ({"a": "x", "b": "x"}, [])


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: [*a]}", "&a {? *a : b}"])
def test_an_alias_inside_its_own_anchor_is_refused(text: str) -> None:
    assert refusal(text) == "config.yml:1: an alias stands inside its own anchor; write it out"


def test_a_bomb_of_aliases_is_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25))
    assert refusal(bomb) == "config.yml:19: unfolds to more than 1000000 values; use fewer aliases"


def test_a_chain_of_aliases_is_refused() -> None:
    chain = "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 1000))
    assert refusal(chain) == "config.yml:33: aliases nest more than 32 deep; flatten it"


def test_a_key_written_twice_is_a_mistake_and_the_first_one_counts() -> None:
    assert mapping("a: 1\nb: 2\na: 3") == (
        {"a": "1", "b": "2"},
        ["config.yml:3: a: written twice, first on line 1; keep one of them"],
    )


def test_a_key_that_is_no_word_is_a_mistake() -> None:
    assert mapping("a: 1\n? [b]\n: 2") == (
        {"a": "1"},
        ["config.yml:2: a list stands for a key; write a single word"],
    )


def test_merged_mappings_fill_in_what_is_not_written() -> None:
    text = "{<<: [{a: first, b: first}, {b: second, c: second}], a: own}"
    assert mapping(text) == ({"a": "own", "b": "first", "c": "second"}, [])


def test_only_mappings_can_be_merged() -> None:
    assert mapping("a: 1\n<<: [b]") == (
        {"a": "1"},
        ["config.yml:2: << can only merge mappings; give it an alias of a mapping"],
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "a single value is written here; write a list"),
        ("{x: y}", "a mapping is written here; write a list"),
        ("", "nothing is written here; write a list, or remove it"),
        ("null", "nothing is written here; write a list, or remove it"),
        ("!ENV x", "a YAML tag is written here; remove the word with the !"),
        ("!!binary x", "a YAML tag is written here; remove the word with the !"),
    ],
)
def test_a_value_of_another_shape_is_refused(value: str, expected: str) -> None:
    node = compose(f"a: {value}", "config.yml").value[0][1]
    with pytest.raises(ConfigError) as caught:
        Site("config.yml").below("a").expect(node, SequenceNode, "a list")
    assert str(caught.value) == f"config.yml:1: a: {expected}"


def test_the_path_of_a_key_shows_no_more_than_the_beginning_of_what_may_be_a_secret() -> None:
    site = Site("config.yml").below("livepeer").item(0)
    assert site.below("api_key").key == "livepeer[0].api_key"
    assert site.below("9b5f1c2e-4d3a").key == 'livepeer[0]."9b5f…"'
    assert site.below("a" * 31).key == 'livepeer[0]."aaaa…"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30x", '"30x"'),
        ("0123456789abcdef", '"0123456789abcdef"'),
        ("0123456789abcdefg", '"0123456789abcdef…"'),
        ("\x1b[2J", "'\\x1b[2J'"),
        ("\u202eabc", "'\\u202eabc'"),
    ],
)
def test_a_quoted_text_is_short_and_safe_for_a_terminal(text: str, expected: str) -> None:
    assert quoted(text) == expected


def test_a_mistake_names_the_file_the_line_the_key_and_the_remedy() -> None:
    mistake = Mistake("config.yml", 12, "livepeer[0].name", "missing", "write a name")
    assert str(mistake) == "config.yml:12: livepeer[0].name: missing; write a name"
    assert str(Mistake("config.yml", None, "", "empty", "fill it")) == "config.yml: empty; fill it"


def test_mistakes_come_in_the_order_of_their_lines() -> None:
    error = ConfigError([Mistake("f", 9, "b", "x", "y"), Mistake("f", 2, "a", "x", "y")])
    assert str(error) == "f:2: a: x; y\nf:9: b: x; y"


@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#%@`?, \n\t\x00é\ud800<~"), max_size=60))
def test_any_text_is_composed_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        compose(text, "config.yml")
