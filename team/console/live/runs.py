"""The output of any run, whoever carries it out: from any byte on, and while it is written."""

from __future__ import annotations

import asyncio
import re
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from ....personas.running.process import is_going
from ....personas.running.tail import TextTail
from ..wire.frames import BEAT, frame

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LOOK = 0.03  # seconds between two looks at a file
_ASK = 0.5  # seconds without output before one asks whether the run goes on
_BEAT = 15.0
_PIECE, _FRAMES = 4_000, 16  # bytes of a frame, and frames of a batch


def folder_of(home: Path, run: str) -> Path | None:
    """Return the folder of a run; None if there is none, or the name is that of no run."""
    folder = home / "runs" / run
    return folder if _ID.fullmatch(run) and folder.is_dir() and not folder.is_symlink() else None


async def run_stream(
    folder: Path, start: int, is_open: Callable[[], bool], is_closing: Callable[[], bool]
) -> AsyncIterator[bytes]:
    """Yield the output of a run from a byte on as events `output`, whose ids are byte offsets, then `complete`.

    `is_open` tells whether the run has no end on record; it is asked in a thread when nothing has come for a while.
    """
    tail, idle, beat = TextTail(folder / "output.log", start), 0.0, 0.0
    try:
        while not is_closing():
            is_over = idle >= _ASK and not is_going(folder) and not await asyncio.to_thread(is_open)
            frames: list[bytes] = []
            while len(frames) < _FRAMES and (text := tail.more(final=is_over, most=_PIECE)):
                frames.append(frame("output", text, str(tail.offset)))
            if frames:
                idle = beat = 0.0
                yield b"".join(frames)
            elif is_over:
                yield frame("complete", "[COMPLETE]", str(tail.offset))
                return
            else:
                await asyncio.sleep(_LOOK)
                idle, beat = (0.0 if idle >= _ASK else idle + _LOOK), beat + _LOOK
                if beat >= _BEAT:
                    beat = 0.0
                    yield BEAT
    finally:
        tail.close()


def kept_stream(data: bytes, start: int) -> Iterator[bytes]:
    """Yield what a run that is over had printed as `run_stream` does: `data`, from a byte on."""
    decoder = getincrementaldecoder("utf-8")("replace")
    for at in range(start, len(data), _PIECE):
        end = min(at + _PIECE, len(data))
        if text := decoder.decode(data[at:end], final=end == len(data)):
            yield frame("output", text, str(end - len(decoder.getstate()[0])))
    yield frame("complete", "[COMPLETE]", str(max(start, len(data))))
