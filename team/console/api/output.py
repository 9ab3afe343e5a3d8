"""The route of a run's output: whole from its first byte, or from any other, and live as a stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ....personas.running.tail import Tail
from ....scheduler.kinds import RunStatus
from ....scheduler.state.dispatches import under_way
from ... import api
from ..common.answer import Refused
from ..common.console import Console
from ..common.route import Route
from ..live.door import asks_of
from ..live.runs import folder_of, kept_stream, run_stream
from .chat import EVENTS

_BAD = 400
_TEXT = "text/plain; charset=utf-8"


async def output(console: Console, request: Request) -> Response:
    """Return what a run printed, from the byte `from` on; as events while it prints, if these are asked for."""
    run, start = str(request.path_params["run"]), _start(request)
    wants_events = "text/event-stream" in request.headers.get("accept", "")
    folder = await run_in_threadpool(folder_of, console.context.home, run)
    if folder is None:  # `team clean` removed it, once the log had what the run printed
        kept = await run_in_threadpool(api.traces.output_of, console.context, run)
        return _events(kept_stream(kept, start)) if wants_events else Response(kept[start:], media_type=_TEXT)
    if not wants_events:
        return StreamingResponse(_bytes(folder, start), media_type=_TEXT)
    asks = asks_of(console)
    return _events(run_stream(folder, start, lambda: _is_open(console, run), lambda: asks.is_closing))


def _events(frames: AsyncIterator[bytes] | Iterator[bytes]) -> Response:
    return StreamingResponse(frames, media_type=EVENTS, headers={"x-accel-buffering": "no"})


def _start(request: Request) -> int:
    """Return the byte to begin with: `Last-Event-ID`, else `from`, else the first. Raises Refused."""
    given = request.headers.get("last-event-id") or request.query_params.get("from") or "0"
    if not (given.isascii() and given.isdecimal() and len(given) <= 16):  # noqa: PLR2004
        raise Refused(_BAD, "from must be a byte of the output: 0, or any that follows")
    return int(given)


def _bytes(folder: Path, start: int) -> Iterator[bytes]:
    with Tail(folder / "output.log", start) as tail:
        while data := tail.read():
            yield data


def _is_open(console: Console, run: str) -> bool:
    """Tell whether a run has no end on record."""
    context = console.context
    sprint = (each for each in context.state(whole=False).runs if each.status == RunStatus.OPEN)
    return any(each.id == run for each in (*sprint, *under_way(context.mailbox.projections)))


_FROM = {"from": "The byte of the output to begin with; 0 by default."}
ROUTES = (Route("GET", "/api/runs/{run}/output", "What a run printed, and prints.", stream=output, query=_FROM),)
