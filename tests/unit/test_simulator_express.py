"""What Express adds to an answer, checked against the recorded ones."""

from pathlib import Path

import pytest

from exporter.simulator.answer import Request
from exporter.simulator.express import compact_json, express_etag, next_link

SAMPLES = sorted((Path(__file__).parent.parent / "data" / "livepeer").glob("*.http"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_given_a_recorded_body_when_tagged_then_the_etag_is_the_recorded_one(sample: Path) -> None:
    head, _, body = sample.read_bytes().partition(b"\r\n\r\n")

    assert f"ETag: {express_etag(body)}" in head.decode().split("\r\n")


@pytest.mark.parametrize(
    ("query", "link"),
    [
        ("", "/api/task?cursor=skip20"),
        ("limit=20&cursor=skip0&count=true", "/api/task?limit=20&cursor=skip20&count=true"),
        ("cursor=a&limit=1&cursor=b", "/api/task?cursor=skip20&limit=1"),
        # As the standard of URLSearchParams has it, all is encoded but letters, digits and `*-._`.
        ("x=a%20b*~[]", "/api/task?x=a+b*%7E%5B%5D&cursor=skip20"),
    ],
)
def test_given_a_query_when_linked_then_only_its_cursor_changes(query: str, link: str) -> None:
    request = Request("livepeer_list", "GET", "/api/task", query, {"host": "LivePeer.studio:80"})

    assert next_link(request, "skip20") == ("Link", f'<http://livepeer.studio{link}>; rel="next"')


def test_given_text_of_any_alphabet_when_written_then_it_is_not_escaped() -> None:
    assert compact_json({"m": 'é\u2028"\\\n'}) == '{"m":"é\u2028\\"\\\\\\n"}'
