"""How Qencode's servers put statuses into JSON.

api.qencode.com and the masters are different programs, as the vendor's examples of `/v1/status` show: the
former writes PHP's JSON, compact, with escaped slashes and an empty map as `[]`; the masters write Python's,
with spaces and other orders of keys. The former gives the quick look, the masters say more.
"""

import json
from collections.abc import Mapping
from typing import Any

from exporter.simulator.qencode_status import OutputKind, QencodeOutput, QencodeStatus, QencodeWarning

_HOST = "s3.example.test"
_BUCKET = "simulated-vod"
_PROFILE = "5a2a846a26e88"


def php_json(value: Any) -> bytes:
    """Return what PHP's json_encode makes of a value."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode()


def python_json(value: Any) -> bytes:
    """Return what Python's json.dumps makes of a value."""
    return json.dumps(value).encode()


def api_status(status: QencodeStatus, status_url: str | None) -> dict[str, Any]:
    """Return a job's status as api.qencode.com words it.

    Args:
        status: The state.
        status_url: The job's master; None while it has none and once the master has let it go.
    """
    fields: dict[str, Any] = {"status": status.phase} | _early_numbers(status)
    fields["error_description"] = status.description
    if status.phase != "created":
        for kind in (OutputKind.IMAGE, OutputKind.VIDEO):
            fields[kind.value] = [_brief_output(output) for output in status.outputs if output.kind is kind]
    if status_url is not None:
        fields["status_url"] = status_url
    return _final(fields, status)


def master_status(status: QencodeStatus, status_url: str) -> dict[str, Any]:
    """Return a job's status as its master words it."""
    fields: dict[str, Any] = {}
    for kind in OutputKind:
        outputs = [_full_output(output) for output in status.outputs if output.kind is kind]
        if outputs or (kind in {OutputKind.IMAGE, OutputKind.VIDEO} and status.phase != "queued"):
            fields[kind.value] = outputs
    fields |= {"status": status.phase, "percent": _master_percent(status), "error": int(status.error)}
    fields["error_description"] = status.description
    if status.warnings:
        fields["warnings"] = [_warning(warning) for warning in status.warnings]
    fields["status_url"] = status_url
    return _final(fields, status)


def api_statuses(statuses: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the answer of api.qencode.com; PHP cannot tell an empty map from an empty list."""
    return php_json({"error": 0, "statuses": statuses or []})


def master_statuses(statuses: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Return the answer of a master."""
    return python_json({"statuses": statuses, "error": 0})


def _early_numbers(status: QencodeStatus) -> dict[str, Any]:
    """Numbers come as null or as text before the job runs, then as whole ones."""
    flag = int(status.error)
    if status.phase == "created":
        return {"percent": None, "error": str(flag)}
    if status.phase == "queued":
        return {"percent": str(int(status.percent)), "error": str(flag)}
    return {"percent": int(status.percent), "error": flag}


def _master_percent(status: QencodeStatus) -> float | str:
    """A float, but text while the result is being saved: the client must cope with either."""
    return f"{status.percent:.2f}" if status.phase == "saving" else float(status.percent)


def _brief_output(output: QencodeOutput) -> dict[str, Any]:
    storage = {"bucket": _BUCKET, "type": "amazon_s3", "key": output.key, "format": output.format}
    fields: dict[str, Any] = {
        "tag": output.tag,
        "profile": _PROFILE,
        "user_tag": output.user_tag,
        "storage": storage,
        "url": _url(output),
    }
    return fields | (_measures(output) if output.kind is OutputKind.VIDEO else {})


def _full_output(output: QencodeOutput) -> dict[str, Any]:
    storage = {
        "format": output.format,
        "bucket": _BUCKET,
        "host": _HOST,
        "key": output.key,
        "scheme": "https",
        "type": "custom_s3",
        "port": None,
    }
    fields: dict[str, Any] = {
        "profile": _PROFILE,
        "url": _url(output),
        "tag": output.tag,
        "storage": storage,
        "user_tag": output.user_tag,
    }
    if output.kind in {OutputKind.VIDEO, OutputKind.AUDIO}:
        fields |= _measures(output)
    return fields | {
        "size": output.size,
        "status": "saved" if output.percent >= 100 else "encoding",
        "percent": output.percent,
        "error": 0,
        "error_description": None,
    }


def _measures(output: QencodeOutput) -> dict[str, Any]:
    """`meta` is a document inside a string, `duration` a number inside one, as in the vendor's example."""
    meta = {"width": output.width, "resolution": output.height, "height": output.height}
    return {"bitrate": output.bitrate, "meta": json.dumps(meta), "duration": output.duration}


def _warning(warning: QencodeWarning) -> dict[str, Any]:
    fields = {"message": warning.message, "details": warning.details, "tag": warning.tag}
    return {name: value for name, value in fields.items() if value is not None}


def _final(fields: Mapping[str, Any], status: QencodeStatus) -> dict[str, Any]:
    return {name: value for name, value in {**fields, **status.wire}.items() if name not in status.without}


def _url(output: QencodeOutput) -> str:
    return f"https://{_HOST}/{_BUCKET}/{output.key}"
