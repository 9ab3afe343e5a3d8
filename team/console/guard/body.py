"""Reads the body of a request before anybody sees it: so much, in so much time, and no more."""

from __future__ import annotations

import asyncio
from typing import Literal

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ..common.answer import Refused

MOST = 1 << 20  # bytes
_TIME = 20.0  # seconds
_BAD, _TIMEOUT, _TOO_LARGE = 400, 408, 413
_CLOSE = {"connection": "close"}  # what is left of the body is not waited for


async def read_body(headers: Headers, receive: Receive) -> bytes:
    """Read the body, also one in chunks that tells no length. Raises Refused."""
    told = headers.get("content-length", "0")
    if told.isdecimal() and len(told) < 19 and int(told) <= MOST:  # noqa: PLR2004
        try:
            return await asyncio.wait_for(_read(receive), _TIME)
        except TimeoutError:
            raise Refused(_TIMEOUT, f"the body took more than {_TIME:g} s", _CLOSE) from None
    raise _too_large()


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(_BAD, "the request broke off", _CLOSE)
        body += message.get("body", b"")
        if len(body) > MOST:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> Refused:
    return Refused(_TOO_LARGE, f"a body may have {MOST} bytes", _CLOSE)


class Replay:
    """Gives a body that was read, and then tells once the client has left or the server ends (`stopping`).

    Whoever asks whether the client has left, without waiting, is told so from the second time on at the latest.
    """

    def __init__(self, body: bytes, receive: Receive, stopping: asyncio.Event) -> None:
        self._body: bytes | None = body
        self._receive = receive
        self._stopping = stopping
        self._waiting: tuple[asyncio.Future[Message], asyncio.Future[Literal[True]]] | None = None

    async def __call__(self) -> Message:
        """Return the next message of a request."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._stopping.wait())
        gone, stopped = self._waiting
        if not gone.done() and not stopped.done():
            await asyncio.wait([gone, stopped], return_when=asyncio.FIRST_COMPLETED)
        return gone.result() if gone.done() else {"type": "http.disconnect"}

    def close(self) -> None:
        """Wait no longer."""
        for each in self._waiting or ():
            each.cancel()
