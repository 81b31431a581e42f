"""What a completed task made, from whatever its provider tells."""

import json

import pytest

from exporter.model import Media, MediaKind
from exporter.providers import livepeer_media, qencode_media
from exporter.providers.amount import amount

VIDEO = {"size": 2_000, "videoSpec": {"duration": 1.5, "tracks": [{"type": "video"}, {"type": "audio"}]}}
SOUND = {"size": 300, "videoSpec": {"duration": 4, "tracks": [{"type": "audio"}]}}


@pytest.mark.parametrize(
    ("told", "is_read_as"),
    [
        *((0, 0), (3, 3), (0.25, 0.25), ("0.25", 0.25), (" 7 ", 7)),
        *((1e15, 1e15), (1e15 + 1, 0), (10**400, 0), (-(10**400), 0), ("9" * 400, 0)),
        *((-1e-9, 0), ("inf", 0), ("-inf", 0), ("nan", 0), ("", 0), ("soon", 0)),
        *((None, 0), ([1], 0), ({}, 0)),
    ],
    ids=lambda each: repr(each)[:16],
)
def test_given_an_amount_that_is_a_number_or_none_or_cannot_be_true_then_it_is_read_as(
    told: object, is_read_as: float
) -> None:
    assert amount(told) == is_read_as


@pytest.mark.parametrize(
    ("output", "made"),
    [
        ({"import": {"assetSpec": VIDEO}}, (Media(MediaKind.VIDEO, 1.5, 2_000),)),
        ({"clip": {"assetSpec": SOUND}}, (Media(MediaKind.AUDIO, 4, 300),)),
        # One task makes one asset: a second one would be the same under another name.
        (
            {"upload": {"assetSpec": VIDEO}, "import": {"assetSpec": SOUND}},
            (Media(MediaKind.VIDEO, 1.5, 2_000),),
        ),
        (
            {"export": {"ipfs": {}}, "clip": None, "import": {"assetSpec": SOUND}},
            (Media(MediaKind.AUDIO, 4, 300),),
        ),
        ({"import": {"assetSpec": {"size": 1e16}}}, (Media(MediaKind.VIDEO, 0, 0),)),
        *(({"import": {"assetSpec": None}}, ()), ({"import": {}}, ()), ({}, ()), (None, ()), ([VIDEO], ())),
        ({"import": {"assetSpec": {**VIDEO, "size": "large"}}}, ()),
    ],
)
def test_given_an_output_of_livepeer_then_its_asset_is_what_the_task_made(
    output: object, made: tuple[Media, ...]
) -> None:
    assert livepeer_media.media(json.dumps(output).encode()) == made


def test_given_outputs_of_qencode_then_they_are_added_up_by_kind_and_what_cannot_be_read_counts_nothing() -> (
    None
):
    videos = [
        {"duration": "1.5", "size": "0.25"},
        {"duration": 2, "size": 10**400},
        {"size": 1},
        "lost",
        None,
    ]

    made = qencode_media.media({"videos": videos, "audios": [], "images": [{}], "texts": "none"})

    assert made == (Media(MediaKind.VIDEO, 3.5, 1_250_000), Media(MediaKind.IMAGE, 0, 0))
