import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import FailureReason
from exporter.providers.failures import classify


@pytest.mark.parametrize(
    ("reason", "messages"),
    [
        (
            FailureReason.SOURCE_DOWNLOAD,
            [
                "Error downloading source",
                "Could not fetch the file",
                "HTTP 404",
                "https 503",
                "HTTP status code 502 Bad Gateway",
                # A word that tells outweighs the status that it came with.
                "Download failed: HTTP 403 Forbidden",
                "source: permission denied",
            ],
        ),
        (
            FailureReason.SOURCE_MEDIA,
            [
                "Error while decoding stream #0:0",
                "demuxer error",
                "Invalid input",
                "Invalid data found when processing input",
                "Unsupported codec",
                "No streams",
                "no video stream found",
                "source file is corrupt",
                "Corrupted file",
            ],
        ),
        (
            FailureReason.DESTINATION,
            [
                "Upload failed",
                "upload to s3 failed: http 503",
                "Destination is not reachable",
                "S3 error",
                "Permission denied",
                "403 Forbidden",
                "No such bucket",
            ],
        ),
        (
            FailureReason.RESOURCES,
            ["No space left on device", "Out of memory", "Process was KILLED", "OOM", "upload: disk full"],
        ),
        (FailureReason.STITCH, ["Unable to stitch videos", "Stitching failed: download error"]),
        (
            FailureReason.DRM,
            ["DRM error", "Widevine", "PlayReady", "fairplay: no key", "license expired", "key server: 503"],
        ),
        (
            FailureReason.UNKNOWN,
            ["", "Internal error", "resources", "dreams3", "unlicensed", "skilled"],
        ),
    ],
)
def test_given_a_message_then_its_words_tell_the_class(reason: FailureReason, messages: list[str]) -> None:
    assert {message: classify(message) for message in messages} == dict.fromkeys(messages, reason)


@given(st.text())
def test_given_any_text_then_it_has_a_class(message: str) -> None:
    assert classify(message) in FailureReason
