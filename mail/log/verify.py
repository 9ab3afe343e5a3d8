"""Whether the log's lines are what was written: every hash, every link of the chain, every seq, every checksum.

`inspect` reads one file and says where it fails; `verify` reads them all. A gap that `repair` has put on record is
no longer damage.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .event import START, ChainPosition, decode, place
from .segments import file_sha256
from .snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Damage:
    """One place where the log is not what was written. `seq` is the event expected there."""

    path: Path
    offset: int
    seq: int
    reason: str
    gap: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Say where and what."""
        return f"{self.path.name} byte {self.offset}, seq {self.seq}: {self.reason}"


@dataclass(slots=True)
class Inspection:
    """What one file, or the whole log, was found to be.

    Of the whole log, `path` and `size` are the active file's. `end` is the offset in it behind the last line that
    verifies by itself: what follows was never acknowledged.
    """

    place: ChainPosition
    path: Path
    events: int = 0
    size: int = 0
    end: int = 0
    damage: list[Damage] = field(default_factory=list[Damage])
    excused: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    @property
    def torn(self) -> int:
        """Bytes of an unfinished append at the end."""
        return self.size - self.end

    @property
    def corrupt(self) -> list[Damage]:
        """Damage before the last good line, which no crash explains."""
        before = [d for d in self.damage if d.path != self.path or d.offset < self.end]
        return [d for d in before if d.gap not in self.excused]


def inspect(path: Path, before: ChainPosition = START) -> Inspection:
    """Read one file line by line, given the place of the event before its first."""
    with path.open("rb") as file:
        return _inspect(file, path, before)


def _inspect(file: io.BufferedReader, path: Path, before: ChainPosition) -> Inspection:
    found = Inspection(before, path)
    size = os.fstat(file.fileno()).st_size  # others may be writing: the rest of a line half read is not a line
    for whole in file:
        at, line = found.size, whole[: size - found.size]
        if not line:
            break
        found.size += len(line)
        here = place(line[:-1]) if line.endswith(b"\n") else None
        if here is None:
            reason = "the line does not verify" if line.endswith(b"\n") else "the line has no end"
            found.damage.append(Damage(path, at, found.place.seq + 1, reason))
            continue
        found.end = found.size
        found.events += 1
        _link(found, at, here, line)
    return found


def _link(found: Inspection, at: int, here: ChainPosition, line: bytes) -> None:
    last, path = found.place, found.path
    if here.seq == last.seq + 1 and here.prev == last.hash:
        found.place = here
    elif here.seq <= last.seq:
        found.damage.append(Damage(path, at, last.seq + 1, f"event {here.seq} stands here, repeated or out of order"))
        return
    else:
        gap = (last.seq, here.seq)
        missing = (
            f"events {last.seq + 1} to {here.seq - 1} are missing" if here.seq > last.seq + 1 else "the chain breaks"
        )
        found.damage.append(Damage(path, at, last.seq + 1, f"{missing} before event {here.seq}", gap))
        found.place = here
    if b',"kind":"log.repaired",' in line and (event := decode(line[:-1])) is not None:
        found.excused.update((int(first), int(second)) for first, second in event.data.get("gaps", []))


def verify(snapshot: Snapshot, file: io.BufferedReader | None, witnessed: Mapping[str, str]) -> Inspection:
    """Read a moment of the whole log, its active file being open in `file`, and check the sealed files' SHA-256."""
    whole = Inspection(START, snapshot.active)
    for segment in snapshot.sealed:
        found = inspect(segment.path, whole.place)
        if segment.path.name in witnessed and file_sha256(segment.path) != witnessed[segment.path.name]:
            found.damage.append(Damage(segment.path, 0, whole.place.seq + 1, "the file is not what SHA256SUMS says"))
        _join(whole, found)
    if file is not None:
        found = _inspect(file, snapshot.active, whole.place)
        _join(whole, found)
        whole.size, whole.end = found.size, found.end
    whole.damage = [d for d in whole.damage if d.gap not in whole.excused]
    return whole


def _join(whole: Inspection, found: Inspection) -> None:
    whole.place = found.place
    whole.events += found.events
    whole.damage += found.damage
    whole.excused |= found.excused
