"""Given what a provider sent, what can be read of it?"""

import msgspec
import pytest

from exporter.providers.decoding import decode

TEXTS = msgspec.json.Decoder(list[str])
RECORDS = msgspec.json.Decoder(list[msgspec.Raw])


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'["cut \ud83d"]', "cut \ufffd"),
        (rb'["\ude00 cut"]', "\ufffd cut"),
        (rb'["\uD83D\uDE00 whole, \ud83d\ud83d\ude00"]', "\U0001f600 whole, \ufffd\U0001f600"),
        # A backslash that is escaped begins nothing.
        (rb'["\\ud83d \ud83d"]', "\\ud83d \ufffd"),
    ],
)
def test_half_a_character_costs_nothing_but_itself(sent: bytes, read: str) -> None:
    assert decode(TEXTS, sent) == [read]


def test_half_a_character_in_one_record_leaves_the_others() -> None:
    one, other = decode(RECORDS, rb'[{"id": "a \ud83d"}, {"id": "b"}]')

    assert msgspec.json.decode(one) == {"id": "a \ufffd"}
    assert msgspec.json.decode(other) == {"id": "b"}


@pytest.mark.parametrize("sent", [b"", b'["', rb'["\ud83d"', rb'["\x"]', b'["\xff"]', b"[" * 5000])
def test_what_is_no_json_is_one_kind_of_error(sent: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(TEXTS, sent)


def test_json_of_another_shape_is_told_as_it_is() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `str`, got `int`"):
        decode(TEXTS, b"[1]")
