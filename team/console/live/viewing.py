"""Watching a stream: what is there, then what comes, with a sign of life where nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ..wire.frames import BEAT, frame
from ..wire.spool import Audience
from .ask import Ask

_BEAT = 15.0  # seconds without a frame after which a comment says that the server lives


async def watched(
    ask: Ask, at: int, audience: Audience, is_closing: Callable[[], bool], beat: float = _BEAT
) -> AsyncIterator[bytes]:
    """Yield the frames of an ask from a number on, in batches, until it is over.

    A number of before it was made anew gets all of it, and is told so. Who takes nothing costs one batch.
    """
    ask.watch()
    waiter = ask.changed.waiter()
    try:
        if at > 0 and at < ask.first:
            yield frame("restarted", ask.id)
        at = max(0, at - ask.first)
        while not is_closing():
            if waiter.done():
                waiter = ask.changed.waiter()
            is_over = ask.is_settled  # before the look: what comes in between is seen by the next one
            data, at = ask.frames.read(at, audience)
            if data:
                yield data
            elif is_over and at >= len(ask.frames):
                return
            elif at >= len(ask.frames):
                done, _ = await asyncio.wait([waiter], timeout=beat)
                if not done:
                    yield BEAT
    finally:
        ask.changed.forget(waiter)
        ask.leave()
