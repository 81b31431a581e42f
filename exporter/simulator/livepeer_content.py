"""Parameters and outputs of Livepeer tasks, in the shapes of the recorded answers; the data is made up."""

from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

from exporter.simulator.livepeer_task import stored

TASK_TYPES = ("upload", "transcode-file", "clip", "export", "export-data", "import")

_RENDITIONS = ("360p0", "480p0", "720p0", "1080p0")
_GATEWAY = "https://ipfs.livepeer.studio/ipfs/"


def task_fields(rng: Random, task_type: str, task_id: str, user_id: str, project_id: str) -> dict[str, Any]:
    """Return the fields of a new task that never change, without its time.

    Args:
        rng: Where made-up values come from.
        task_type: One of the types; any other has empty parameters.
        task_id: Its id.
        user_id: Its account's user.
        project_id: Its account's default project; older records, of type import, have none.
    """
    fields: dict[str, Any] = {"id": task_id, "type": task_type, "userId": user_id}
    if task_type != "import":
        fields["projectId"] = project_id
    if task_type in {"upload", "import", "clip"}:
        fields["outputAssetId"] = _uuid(rng)
    if task_type == "export":
        fields["inputAssetId"] = _uuid(rng)
    if task_type == "clip":
        fields["requesterId"] = _hex(rng, 40)
    return fields | {"params": stored(_params(rng, task_type, task_id))}


def task_output(rng: Random, task_type: str, task_id: str) -> Mapping[str, Any]:
    """Return the output of a completed task."""
    match task_type:
        case "upload":
            return {"upload": {"assetSpec": stored(_asset(rng, task_id, with_files=False))}}
        case "import":
            return {
                "import": stored(_asset_output(rng, task_id) | {"metadataFilePath": _path(rng, "video.json")})
            }
        case "clip":
            return {"clip": stored(_asset_output(rng, task_id))}
        case "transcode-file":
            return {"transcodeFile": {}}
        case "export":
            return {"export": {"ipfs": _ipfs(rng)}}
        case "export-data":
            return {"exportData": {"ipfs": {"cid": _cid(rng)}}}
        case _:
            return {}


def _params(rng: Random, task_type: str, task_id: str) -> dict[str, Any]:
    match task_type:
        case "upload":
            return {"upload": {"url": _source(task_id), "thumbnails": True} | _profiles(rng)}
        case "import":
            return {"import": {"url": f"https://example.test/old/{task_id}.mp4"}}
        case "clip":
            strategy = {"startTime": 0, "endTime": 30000, "playbackId": _hex(rng, 16)}
            ids = {"inputId": _uuid(rng), "sessionId": _uuid(rng)}
            url = f"https://example.test/hls/{_hex(rng, 16)}/index.m3u8"
            return {"clip": {"url": url, "clipStrategy": strategy} | ids}
        case "transcode-file":
            return {"transcode-file": _transcode_params(rng, task_id)}
        case "export":
            return {"export": _export_params(rng)}
        case "export-data":
            content = {"primaryType": "VideoAttestation", "message": {"video": f"ipfs://{_cid(rng)}"}}
            return {"exportData": {"id": _uuid(rng), "ipfs": {}, "type": "attestation", "content": content}}
        case _:
            return {}


def _transcode_params(rng: Random, task_id: str) -> dict[str, Any]:
    return {
        "input": {"url": f"s3+https://***:***@s3.example.test/in/{task_id}.mp4"},
        "outputs": {kind: {"path": f"/out/{task_id}/{kind}"} for kind in ("hls", "mp4")},
        "storage": {"url": "s3+https://***:***@s3.example.test/out"},
        "creatorId": {"type": "unverified", "value": f"creator-{rng.randrange(40)}"},
    }


def _export_params(rng: Random) -> dict[str, Any]:
    """The API shows secrets of exports in clear (recorded)."""
    if rng.random() < 0.2:
        headers = {"Authorization": "Bearer CUSTOMSECRET"}
        url = f"https://example.test/put?X-Sig={_hex(rng, 32)}"
        return {"custom": {"url": url, "method": "PUT", "headers": headers}}
    pinata = {"pinata": {"jwt": f"PINATAJWT.{_hex(rng, 60)}"}} if rng.random() < 0.2 else {}
    return {"ipfs": {"nftMetadataTemplate": "player"} | pinata}


def _profiles(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.5:
        return {}
    return {"profiles": [{"fps": 0, "name": "720p", "width": 1280, "height": 720, "bitrate": 3000000}]}


def _asset_output(rng: Random, task_id: str) -> dict[str, Any]:
    return {"assetSpec": _asset(rng, task_id, with_files=True), "videoFilePath": _path(rng, "video")}


def _asset(rng: Random, task_id: str, *, with_files: bool) -> dict[str, Any]:
    hashes = [{"hash": _hex(rng, 32), "algorithm": "md5"}, {"hash": _hex(rng, 64), "algorithm": "sha256"}]
    video = {"fps": 29.97, "type": "video", "codec": "h264", "width": 1920, "height": 1080}
    audio = {"type": "audio", "codec": "aac", "bitrate": 128000, "channels": 2, "sampleRate": 44100}
    bitrate = rng.randrange(500_000, 7_000_000)
    duration = rng.randrange(10, 4800) + 0.033
    spec = {
        "format": "mp4",
        "tracks": [video | {"bitrate": bitrate, "pixelFormat": "yuv420p"}, audio],
        "bitrate": bitrate + 128000,
        "duration": duration,
    }
    asset: dict[str, Any] = {
        "id": "",
        "hash": hashes,
        "name": "",
        "size": int(duration * (bitrate + 128000) / 8),
        "type": "video",
        "source": {"url": _source(task_id), "type": "url"},
        "videoSpec": spec,
    }
    return asset | {"files": _files(rng)} if with_files else asset


def _files(rng: Random) -> list[dict[str, Any]]:
    static = [
        {
            "path": f"static{name}.mp4",
            "spec": {
                "size": rng.randrange(500_000, 90_000_000),
                "width": 1280,
                "height": 720,
                "bitrate": rng.randrange(500_000, 5_000_000),
            },
            "type": "static_transcoded_mp4",
        }
        for name in _RENDITIONS
    ]
    manifest = {"path": "output/index.m3u8", "type": "catalyst_hls_manifest"}
    return [manifest, *static, {"path": "thumbnails/thumbnails.vtt", "type": "thumbnails_vtt"}]


def _ipfs(rng: Random) -> dict[str, Any]:
    """The server adds the URLs to the stored ids on the way out, so they come in its own order."""
    video, metadata = _cid(rng), _cid(rng)
    return {
        "videoFileCid": video,
        "nftMetadataCid": metadata,
        "videoFileUrl": f"ipfs://{video}",
        "videoFileGatewayUrl": f"{_GATEWAY}{video}",
        "nftMetadataUrl": f"ipfs://{metadata}",
        "nftMetadataGatewayUrl": f"{_GATEWAY}{metadata}",
    }


def _source(task_id: str) -> str:
    return f"https://example.test/in/{task_id}.mp4"


def _path(rng: Random, name: str) -> str:
    return f"{_hex(rng, 16)}/{name}"


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _hex(rng: Random, digits: int) -> str:
    return f"{rng.getrandbits(digits * 4):0{digits}x}"


def _cid(rng: Random) -> str:
    return "bafybei" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz234567", k=52))
