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
from .event import ChainPosition, Draft, place
from .verify import Inspection, inspect


class Mending(NamedTuple):
    """What `repair` did: events kept, gaps put on record, copies of the files it changed.

    `left_out` counts lines that verify by themselves but have no place in this log; they are in the copies.
    """

    events: int
    gaps: tuple[tuple[int, int], ...]
    copies: tuple[Path, ...]
    left_out: int = 0


def cut_torn_tail(disk: Disk, descriptor: int, found: Inspection, quarantine: Path) -> Path:
    """Copy the unfinished append behind `found.end` to quarantine, durably, then cut it off.

    The cut itself is made durable by the flush of what is written next.
    """
    quarantine.mkdir(exist_ok=True)
    kept = quarantine / f"tail-after-{found.place.seq}-{found.torn}-bytes-{os.urandom(4).hex()}"
    write_file(disk, kept, disk.read(descriptor, found.torn, found.end))
    disk.truncate(descriptor, found.end)
    return kept


def repair_file(
    disk: Disk, path: Path, before: ChainPosition, quarantine: Path, excused: set[tuple[int, int]]
) -> tuple[Inspection, Path | None, int]:
    """Mend one file: every line that belongs to the log, once, in order of seq. The old file is kept in quarantine.

    Returns the inspection of the file as it is now, the copy, None if there was nothing to mend but known gaps, and
    how many lines that verify were left out.
    """
    found = inspect(path, before)
    if all(d.gap in excused for d in found.damage):
        return found, None, 0
    quarantine.mkdir(exist_ok=True)
    copy = quarantine / f"{path.name}-before-repair-{os.urandom(4).hex()}"
    data = path.read_bytes()
    write_file(disk, copy, data)
    lines, left_out = _belonging(data, before)
    write_file(disk, path, b"".join(lines[seq] + b"\n" for seq in sorted(lines)))
    return inspect(path, before), copy, left_out


def _belonging(data: bytes, before: ChainPosition) -> tuple[dict[int, bytes], int]:
    """Choose the lines of a file that belong to the log, by seq; count those that verify and do not.

    A line is foreign if no other line is its neighbour in the chain and linked lines with smaller seq stand behind it.
    """
    held = [(here, line) for line in data.split(b"\n") if (here := place(line)) is not None]
    hashes, links = {before.hash, *(here.hash for here, _ in held)}, {here.prev for here, _ in held}
    lines: dict[int, bytes] = {}
    smallest = 1 << 62
    for here, line in reversed(held):
        linked = here.prev in hashes or here.hash in links
        if linked:
            smallest = min(smallest, here.seq)
        if here.seq > before.seq and (linked or here.seq < smallest):
            lines[here.seq] = line
    return lines, len({line for _, line in held} - set(lines.values()))


def recovered(kept: Path, size: int) -> Draft:
    """Say in the log that a tail was cut."""
    return Draft("log.recovered", "team-mail", data={"bytes": size, "quarantine": kept.name})


def repaired(gaps: Sequence[tuple[int, int]]) -> Draft:
    """Say in the log which breaks of the chain are known."""
    return Draft("log.repaired", "team-mail", data={"gaps": [list(gap) for gap in gaps]})
