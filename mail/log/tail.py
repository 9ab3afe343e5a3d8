"""The last event of a file of the log, found and verified without reading the rest."""

from __future__ import annotations

from itertools import pairwise

from .disk import Disk
from .event import START, ChainPosition, place

_WINDOW = 64 << 10
_LINES = 4 << 10  # bytes that have the last few events, mostly
_OPENED = 1024


def first_seq(disk: Disk, descriptor: int) -> int:
    """Return the seq of a file's first event, which is its short `log.opened`; 0 if that does not verify."""
    first = place(disk.read(descriptor, _OPENED, 0).partition(b"\n")[0])
    return first.seq if first else 0


def last_place(disk: Disk, descriptor: int, size: int) -> ChainPosition | None:
    """Return the position of the last line; None unless the file ends in a line that verifies."""
    window = 2048
    while True:
        data = disk.read(descriptor, min(window, size), max(0, size - window))
        if not data.endswith(b"\n"):
            return None
        start = data.rfind(b"\n", 0, len(data) - 1) + 1
        if start or len(data) == size:
            return place(data[start:-1])
        window *= 16


def newest_line(disk: Disk, descriptor: int, size: int) -> tuple[ChainPosition, int]:
    """Return the position of the last line that verifies and the offset after it; (START, 0) if there is none."""
    window = min(_LINES, size)
    while window:
        data = disk.read(descriptor, window, size - window)
        end = data.rfind(b"\n") + 1
        while end:
            start = data.rfind(b"\n", 0, end - 1) + 1
            whole = start > 0 or window == size
            if whole and (here := place(data[start : end - 1])) is not None:
                return here, size - window + end
            end = start
        if window == size:
            break
        window = min(window * 16, size)
    return START, 0


def recent_chain_holds(disk: Disk, descriptor: int, size: int) -> bool:
    """Return whether the chain holds through the last 64 KiB, so that recent damage is found before an append."""
    data = disk.read(descriptor, min(_WINDOW, size), max(0, size - _WINDOW))
    lines = data.split(b"\n")[:-1]
    if size > _WINDOW:
        del lines[0]
    return all(
        before is not None and after is not None and after.seq == before.seq + 1 and after.prev == before.hash
        for before, after in pairwise(map(place, lines))
    )
