"""Reads the body of a request before anybody sees it: so much, in so much time, and no more."""

from __future__ import annotations

import asyncio

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


def replayed(body: bytes, receive: Receive, stopping: asyncio.Event) -> Receive:
    """Return what gives a body that was read, and then says when the client leaves or the server ends."""
    left = [body]

    async def give() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        gone, stopped = asyncio.ensure_future(receive()), asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait((gone, stopped), return_when=asyncio.FIRST_COMPLETED)
            return gone.result() if gone.done() else {"type": "http.disconnect"}
        finally:
            gone.cancel()
            stopped.cancel()

    return give
