import json
from typing import Any

import pytest
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from api import body
from api.body import Submissions, read_body
from millstream.workflow.submission import Submission, parse


def posted(*names: str) -> bytes:
    return json.dumps({"workflow": [{"type": "parallel", "tasks": list(names)}]}).encode()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every body that is parsed from now on."""
    seen: list[bytes] = []

    def spy(written: bytes, max_tasks: int) -> Submission:
        seen.append(written)
        return parse(written, max_tasks)

    monkeypatch.setattr(body, "parse", spy)
    return seen


def test_a_body_that_was_seen_is_not_parsed_again(parsed: list[bytes]) -> None:
    submissions = Submissions(10)
    assert submissions.of(posted("a", "a")) == submissions.of(posted("a", "a")) == parse(posted("a", "a"), 10)
    assert parsed == [posted("a", "a")]


def test_so_many_bodies_are_remembered_those_used_last(
    parsed: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "REMEMBERED", 2)
    submissions = Submissions(10)
    for name in ("a", "b", "a", "c", "a", "b"):
        submissions.of(posted(name))
    assert parsed == [posted("a"), posted("b"), posted("c"), posted("b")]


def test_so_many_bytes_are_remembered(parsed: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "REMEMBERED_BYTES", 600)
    submissions = Submissions(10)
    for name in ("a", "b", "c", "c", "b", "a"):
        submissions.of(posted(name))
    assert parsed == [posted("a"), posted("b"), posted("c"), posted("a")]


def test_a_large_body_is_not_remembered(parsed: list[bytes]) -> None:
    submissions = Submissions(10_000)
    wide = posted(*["a"] * 1000)
    for written in (posted("a"), wide, wide, posted("a")):
        submissions.of(written)
    assert parsed == [posted("a"), wide, wide]


def test_a_refusal_is_not_remembered(parsed: list[bytes]) -> None:
    submissions = Submissions(10)
    for _ in range(2):
        with pytest.raises(RequestValidationError):
            submissions.of(b"{}")
    assert parsed == [b"{}", b"{}"]


def receiving(*messages: dict[str, Any]) -> Any:
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def chunk(part: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": part, "more_body": more}


async def test_a_body_is_read_to_its_end() -> None:
    assert (
        await read_body(receiving(chunk(b"a", more=True), chunk(b"b", more=True), chunk(b"c", more=False)))
        == b"abc"
    )
    assert await read_body(receiving({"type": "http.request"})) == b""


async def test_a_body_is_refused_as_soon_as_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 3)
    assert await read_body(receiving(chunk(b"abc", more=False))) == b"abc"
    with pytest.raises(HTTPException) as caught:
        await read_body(receiving(chunk(b"ab", more=True), chunk(b"cd", more=True)))
    assert caught.value.status_code == 413


async def test_a_body_that_breaks_off_is_refused() -> None:
    with pytest.raises(HTTPException) as caught:
        await read_body(receiving(chunk(b"a", more=True), {"type": "http.disconnect"}))
    assert caught.value.status_code == 400
