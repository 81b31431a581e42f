"""Decoding JSON so that whatever is wrong with it is one kind of error."""

import re
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

# Every escape, so that an escaped backslash begins none: a pair of surrogates, a lone one, or another.
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Decode. Raises `msgspec.DecodeError` for whatever is wrong.

    Half a character is not: it is what JavaScript leaves of an emoji when it cuts a text off, and the rest of
    the answer is worth more.
    """
    try:
        return _decode(decoder, data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        whole = _ESCAPES.sub(lambda escape: rb"\ufffd" if escape[1] else escape[0], bytes(data))
        if whole == bytes(data):
            raise
        return _decode(decoder, whole)


def _decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(data)
    except UnicodeDecodeError:
        # Not an error of msgspec's own: it looks into a text only when it makes one.
        raise msgspec.DecodeError("not UTF-8") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
