"""Sorts the providers' free-text error messages into the few classes that may become a label."""

import re
from typing import Final

from exporter.model import FailureReason

MAX_MESSAGE: Final = 500
"""Characters of a provider's message that are kept; Livepeer's may have any length."""

# The first match wins, so the telling words stand before the ones that also occur beside them: an HTTP
# status alone means the source, but "upload to s3 failed: http 503" is about the destination.
_CLASSES: Final = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (FailureReason.DRM, r"\bdrm\b|widevine|playready|fairplay|\blicen[sc]e\b|key server"),
        (FailureReason.STITCH, r"stitch"),
        (FailureReason.RESOURCES, r"no space|disk full|out of memory|\boom\b|cannot allocate|\bkilled\b"),
        (
            FailureReason.SOURCE_MEDIA,
            r"decod|codec|demux|unsupported|corrupt|zero duration|invalid (input|data)|no .{0,6}streams?\b",
        ),
        (FailureReason.SOURCE_DOWNLOAD, r"\bsource\b|download|\bfetch"),
        (FailureReason.DESTINATION, r"upload|destination|\bs3\b|permission denied|\b403\b|bucket"),
        (FailureReason.SOURCE_DOWNLOAD, r"\bhttps?\b.{0,20}\b[45]\d\d\b"),
    )
)


# What a URL in an error message may carry: a name and password, a signature.
# A password may hold slashes and further @s, and those of S3 often do: behind a colon, all up to the last @.
_URL_SECRETS: Final = re.compile(r"(?<=://)[^/\s@:]*:[^\s\"'<>]*@|(?<=://)[^/\s@]*@|(?<=\?)[^\s\"'<>]*")


def readable(message: object) -> str:
    """Return a provider's error message as it may be kept and shown: not too long, and without credentials.

    >>> readable("GET https://key:secret@s3.example/in.mp4?X-Signature=1f failed")
    'GET https://***@s3.example/in.mp4?*** failed'
    >>> readable("s3://AKIA:wJal/nFEMI+K7@bucket/in.mp4")
    's3://***@bucket/in.mp4'
    """
    if not isinstance(message, str) or not message:
        return ""
    return _URL_SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", message)[:MAX_MESSAGE]


def classify(message: str) -> FailureReason:
    """Return the class of a provider's error message; `unknown` if no word in it tells.

    >>> classify("Catalyst: upload failed: timeout")
    <FailureReason.DESTINATION: 'destination'>
    """
    return next((reason for reason, words in _CLASSES if words.search(message)), FailureReason.UNKNOWN)
