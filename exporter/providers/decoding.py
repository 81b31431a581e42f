"""Decoding JSON so that whatever is wrong with it is one kind of error."""

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Decode. Raises `msgspec.DecodeError` for whatever is wrong."""
    try:
        return decoder.decode(data)
    except UnicodeDecodeError:
        # Not an error of msgspec's own: it looks into a text only when it makes one.
        raise msgspec.DecodeError("not UTF-8") from None
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
