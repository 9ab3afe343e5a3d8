"""What a crash or a bad disk left, and how it is mended: quietly only where nothing acknowledged is touched.

An unfinished append at the end goes to `quarantine/` and is cut. Anything else is damage: it is named, appends stop,
and `repair` mends it when asked, keeping a copy, never changing a line, and putting the gaps on record.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .disk import Disk, write_file
from .event import Draft, Place, place
from .verify import START, Inspection, inspect

_WINDOW = 64 << 10


class Mending(NamedTuple):
    """What `repair` did: events kept, gaps put on record, files changed and where their copies are."""

    events: int
    gaps: tuple[tuple[int, int], ...]
    copies: tuple[Path, ...]


def last_place(disk: Disk, descriptor: int, size: int) -> Place | None:
    """Verify the last line of a file; None unless the file ends in one that holds."""
    window = 2048
    while True:
        data = disk.read(descriptor, min(window, size), max(0, size - window))
        if not data.endswith(b"\n"):
            return None
        start = data.rfind(b"\n", 0, len(data) - 1) + 1
        if start or len(data) == size:
            return place(data[start:-1])
        window *= 16


def newest_line(disk: Disk, descriptor: int, size: int) -> tuple[Place, int]:
    """Find the last line that verifies; return its place and the offset behind it, (START, 0) if there is none."""
    window = min(_WINDOW, size)
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
    """Check the chain through the last 64 KiB: damage beside the tail is met before it is written past."""
    data = disk.read(descriptor, min(_WINDOW, size), max(0, size - _WINDOW))
    lines = data.split(b"\n")
    if lines.pop() or not lines:
        return False
    if size > _WINDOW:
        del lines[0]
    places = [place(line) for line in lines]
    return all(
        before is not None and after is not None and after.seq == before.seq + 1 and after.prev == before.hash
        for before, after in zip(places, places[1:], strict=False)
    ) and (not places or places[-1] is not None)


def cut_torn_tail(disk: Disk, descriptor: int, found: Inspection, quarantine: Path) -> Path:
    """Copy the unfinished append behind `found.end` to quarantine, durably, then cut it off."""
    quarantine.mkdir(exist_ok=True)
    kept = quarantine / f"tail-after-{found.place.seq}-{found.torn}-bytes-{os.urandom(4).hex()}"
    write_file(disk, kept, disk.read(descriptor, found.torn, found.end))
    disk.truncate(descriptor, found.end)
    disk.sync(descriptor)
    return kept


def copy_durably(disk: Disk, source: Path, target: Path) -> None:
    """Write a file's bytes to a new inode, flushed; the source may be one whose own flush failed."""
    write_file(disk, target, source.read_bytes())


def repair_file(disk: Disk, path: Path, before: Place, quarantine: Path) -> tuple[Inspection, Path | None]:
    """Mend one file: every line that verifies, once, in order of seq. The old file is kept in quarantine.

    Returns the inspection of the file as it is now, and the copy, None if there was nothing to mend.
    """
    found = inspect(path, before)
    if not found.damage:
        return found, None
    quarantine.mkdir(exist_ok=True)
    copy = quarantine / f"{path.name}-before-repair-{os.urandom(4).hex()}"
    copy_durably(disk, path, copy)
    lines: dict[int, bytes] = {}
    for line in path.read_bytes().split(b"\n"):
        if (here := place(line)) is not None and here.seq > before.seq:
            lines.setdefault(here.seq, line)
    write_file(disk, path, b"".join(lines[seq] + b"\n" for seq in sorted(lines)))
    return inspect(path, before), copy


def recovered(kept: Path, size: int) -> Draft:
    """Say in the log that a tail was cut."""
    return Draft("log.recovered", "team-mail", data={"bytes": size, "quarantine": kept.name})


def repaired(gaps: Sequence[tuple[int, int]]) -> Draft:
    """Say in the log which breaks of the chain are known."""
    return Draft("log.repaired", "team-mail", data={"gaps": [list(gap) for gap in gaps]})

