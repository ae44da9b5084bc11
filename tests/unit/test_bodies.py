"""The reader of request bodies, over streams that fail as gunicorn's do."""

from __future__ import annotations

import falcon
import pytest
from falcon import testing
from gunicorn.http.errors import InvalidChunkSize, NoMoreData

from nebula.api.bodies import RequestBody
from nebula.errors import IncompleteBody, NebulaError, StalledBody, TooLarge

WHOLE = b"0123456789"


class Stream:
    """Yields pieces; an exception among them is raised once. After the last it is at its end, as gunicorn's is."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)

    def read(self, _size: int) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece


def body(*pieces: bytes | Exception, length: int | None = None) -> RequestBody:
    headers = {} if length is None else {"Content-Length": str(length)}
    request = falcon.Request(testing.create_environ(headers=headers, method="PUT"))
    request.env["wsgi.input_terminated"] = length is None
    request.stream = Stream(*pieces)
    return RequestBody(request)


@pytest.mark.parametrize("length", [None, len(WHOLE)])
def test_body_is_read_to_its_end(length: int | None) -> None:
    read = body(WHOLE[:4], WHOLE[4:], length=length)
    assert [read.read(100) for _ in range(4)] == [WHOLE[:4], WHOLE[4:], b"", b""]


@pytest.mark.parametrize("length", [None, len(WHOLE)])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (TimeoutError(), StalledBody),
        (ConnectionResetError(), IncompleteBody),
        (NoMoreData(), IncompleteBody),
        (InvalidChunkSize(b"x"), IncompleteBody),
    ],
)
def test_body_that_failed_fails_again_and_keeps_what_came(
    length: int | None, failure: Exception, expected: type[NebulaError]
) -> None:
    read = body(WHOLE[:4], failure, WHOLE[4:6], length=length)
    assert [read.read(100), read.read(100)] == [WHOLE[:4], WHOLE[4:6]]
    for _ in range(3):
        with pytest.raises(NebulaError) as raised:
            read.read(100)
        assert type(raised.value) is expected


def test_body_that_ends_early_fails_at_each_read() -> None:
    read = body(WHOLE[:4], length=len(WHOLE))
    assert read.read(100) == WHOLE[:4]
    for _ in range(2):
        with pytest.raises(IncompleteBody, match="ended before"):
            read.read(100)


@pytest.mark.parametrize("length", [None, len(WHOLE)])
def test_body_that_is_interrupted_fails_with_the_reason(length: int | None) -> None:
    read = body(WHOLE[:4], length=length)
    read.interrupt(StalledBody("too slow"))
    for _ in range(2):
        with pytest.raises(StalledBody, match="too slow"):
            read.read(100)


@pytest.mark.parametrize("length", [None, len(WHOLE)])
def test_body_beyond_its_limit_is_refused(length: int | None) -> None:
    assert body(WHOLE, length=length).read_whole(len(WHOLE)) == WHOLE
    with pytest.raises(TooLarge):
        body(WHOLE, length=length).read_whole(len(WHOLE) - 1)
