"""Recovery of the log after a crash or a disk fault; nothing acknowledged is ever changed without being asked.

An unfinished append at the end is moved to `quarantine/`. Anything else is damage: appends are refused until `repair`,
which keeps a copy, never changes a line, and records the gaps.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ..kinds import LogKind
from .disk import Disk, make_folder, open_file, read_file, write_file
from .event import SYSTEM, ChainPosition, Draft, place
from .segments import Segments, segment_name
from .tail import newest_line
from .verify import Inspection, inspect

_MOVED = ".moved-"  # begins the name of a file that is being renamed
_TEMPORARY = r"\..+\.(new|[0-9a-f]{12})"
_STALE = 3600  # seconds; a file takes less to write, and a writer that was stopped for so long only fails


class Mending(NamedTuple):
    """What `repair` did: events kept, gaps recorded, copies of the files it changed.

    `left_out` counts lines that verify but do not belong to this log; they are in the copies. `renamed` are the names
    that sealed files had, which were not those of what they hold.
    """

    events: int
    gaps: tuple[tuple[int, int], ...]
    copies: tuple[Path, ...]
    left_out: int = 0
    renamed: tuple[str, ...] = ()


def remove_leftovers(disk: Disk, folder: Path, now: float) -> None:
    """Remove temporary files that killed processes left in the folder of a log, unless they are too new to tell.

    `now` is in seconds since the epoch. What cannot be removed stays.
    """
    for where in (folder, *(folder / name for name in ("segments", "quarantine")), *folder.glob("blobs/??")):
        with suppress(OSError):
            for entry in sorted(os.scandir(where), key=lambda entry: entry.name):
                if re.fullmatch(_TEMPORARY, entry.name) and entry.stat(follow_symlinks=False).st_mtime < now - _STALE:
                    disk.remove(Path(entry.path))


def put_names_right(disk: Disk, segments: Segments) -> tuple[str, ...]:
    """Give each sealed file the name of the events that it holds, if it has another; return the old names.

    By the wrong name a file stands at the wrong place of the chain, where none of its lines belongs. Files go by way of
    names that no segment has, since two may have each other's; the next repair goes on from there after a crash.
    """
    held = [*(segment.path for segment in segments), *segments.folder.glob(f"{_MOVED}*")]
    named = {path: name for path in held if (name := _name_of(disk, path)) and name != path.name}
    # Nothing is put in the place of a file that has its right name, or of another that would get the same one.
    taken = Counter([*named.values(), *(path.name for path in held if path not in named)])
    moved = {path: name for path, name in named.items() if taken[name] == 1}
    for path, name in moved.items():
        if not path.name.startswith(_MOVED):
            disk.rename(path, path.with_name(_MOVED + name))
    for name in moved.values():
        disk.rename(segments.folder / (_MOVED + name), segments.folder / name)
    if moved:
        disk.sync_folder(segments.folder)
    return tuple(sorted(path.name.removeprefix(_MOVED) for path in moved))


def _name_of(disk: Disk, path: Path) -> str:
    """Return the name of a segment with the lines of a file, from its first to its last that verify; "" if none do."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        last, _ = newest_line(disk, file.fileno(), size)
        first = next((here for line in file if (here := place(line.rstrip(b"\n")))), None)
    return segment_name(first.seq, last.seq) if first and 0 < first.seq <= last.seq else ""


def cut_torn_tail(disk: Disk, descriptor: int, inspection: Inspection, quarantine: Path) -> Path:
    """Copy the unfinished append after `inspection.end` to quarantine, durably, then truncate the file there.

    The flush of the next write makes the truncation durable.
    """
    make_folder(quarantine)
    copy = quarantine / f"tail-after-{inspection.place.seq}-{inspection.torn}-bytes-{os.urandom(4).hex()}"
    write_file(disk, copy, disk.read(descriptor, inspection.torn, inspection.end))
    disk.truncate(descriptor, inspection.end)
    return copy


def repair_file(
    disk: Disk, path: Path, before: ChainPosition, quarantine: Path, excused: set[tuple[int, int]]
) -> tuple[Inspection, Path | None, int]:
    """Rewrite one file with every line that belongs to the log, once, in order of seq, after a copy to quarantine.

    Returns the inspection of the new file; the copy, or None if there were only known gaps and the file is unchanged;
    and the number of lines that verify but were left out.
    """
    inspection = inspect(path, before)
    if all(d.gap in excused for d in inspection.damage):
        return inspection, None, 0
    make_folder(quarantine)
    copy = quarantine / f"{path.name}-before-repair-{os.urandom(4).hex()}"
    data = read_file(path)
    write_file(disk, copy, data)
    lines, left_out = _belonging(data, before)
    write_file(disk, path, b"".join(lines[seq] + b"\n" for seq in sorted(lines)))
    return inspect(path, before), copy, left_out


def _belonging(data: bytes, before: ChainPosition) -> tuple[dict[int, bytes], int]:
    """Return the lines of a file that belong to the log, by seq, and the number of lines that verify but do not.

    A line is foreign if it has no neighbour in the chain and linked lines with smaller seq come after it. Of several
    with one seq the one with more neighbours belongs to the log, of those alike the first.
    """
    verified = [(here, line) for line in data.split(b"\n") if (here := place(line)) is not None]
    hashes, links = {before.hash, *(here.hash for here, _ in verified)}, {here.prev for here, _ in verified}
    lines: dict[int, bytes] = {}
    neighbours: dict[int, int] = {}
    smallest = 1 << 62
    for here, line in reversed(verified):
        linked = (here.prev in hashes) + (here.hash in links)
        if linked:
            smallest = min(smallest, here.seq)
        if here.seq > before.seq and (linked or here.seq < smallest) and linked >= neighbours.get(here.seq, 0):
            lines[here.seq], neighbours[here.seq] = line, linked
    return lines, len({line for _, line in verified} - set(lines.values()))


def recovered(copy: Path, size: int) -> Draft:
    """Return the event that records an unfinished append of `size` bytes, moved to `copy` in quarantine."""
    return Draft(LogKind.RECOVERED, SYSTEM, data={"bytes": size, "quarantine": copy.name})


def repaired(gaps: Sequence[tuple[int, int]], lost: Sequence[tuple[int, str]] = ()) -> Draft:
    """Return the event that records the known gaps of the chain, and the seq and hash of events known to be lost."""
    data: dict[str, Any] = {"gaps": [list(gap) for gap in gaps]}
    if lost:
        data["given_up"] = [list(event) for event in lost]
    return Draft(LogKind.REPAIRED, SYSTEM, data=data)
