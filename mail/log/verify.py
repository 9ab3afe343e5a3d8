"""Verification of the log: every hash, every link of the chain, every seq, every checksum.

`inspect` reads one file, `verify` reads all. A gap that `repair` has recorded no longer counts as damage.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..kinds import LogKind
from .disk import open_file
from .event import START, ChainPosition, decode, place
from .segments import file_sha256
from .snapshot import Damage, Snapshot

_REPAIRED = f',"kind":"{LogKind.REPAIRED}",'.encode()


@dataclass(slots=True)
class Inspection:
    """The result of verifying one file or the whole log.

    For the whole log, `path` and `size` are those of the active file. `end` is the offset after its last line that
    verifies; what follows was never acknowledged. `excused` are the gaps that a repair has recorded, and `lost` seq and
    hash of events that a person has given up.
    """

    place: ChainPosition
    path: Path
    events: int = 0
    size: int = 0
    end: int = 0
    damage: list[Damage] = field(default_factory=list[Damage])
    excused: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    lost: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]])

    @property
    def torn(self) -> int:
        """The number of bytes of an unfinished append at the end."""
        return self.size - self.end

    @property
    def corrupt(self) -> list[Damage]:
        """Damage before the last good line, which a crash cannot cause."""
        before = [d for d in self.damage if d.path != self.path or d.offset < self.end]
        return [d for d in before if d.gap not in self.excused]


def inspect(path: Path, before: ChainPosition = START) -> Inspection:
    """Verify one file, given the position of the event before its first."""
    with open_file(path) as file:
        return _inspect(file, path, before)


def _inspect(file: io.BufferedReader, path: Path, before: ChainPosition) -> Inspection:
    inspection = Inspection(before, path)
    size = os.fstat(file.fileno()).st_size  # a line that another process is just writing is left out
    for whole in file:
        at, line = inspection.size, whole[: size - inspection.size]
        if not line:
            break
        inspection.size += len(line)
        here = place(line[:-1]) if line.endswith(b"\n") else None
        if here is None:
            reason = "the line does not verify" if line.endswith(b"\n") else "the line has no end"
            inspection.damage.append(Damage(path, at, inspection.place.seq + 1, reason))
            continue
        inspection.end = inspection.size
        inspection.events += 1
        _link(inspection, at, here, line)
    return inspection


def _link(inspection: Inspection, at: int, here: ChainPosition, line: bytes) -> None:
    last, path = inspection.place, inspection.path
    if here.seq == last.seq + 1 and here.prev == last.hash:
        inspection.place = here
    elif here.seq <= last.seq:
        inspection.damage.append(Damage(path, at, last.seq + 1, f"event {here.seq} is repeated or out of order"))
        return
    else:
        gap = (last.seq, here.seq)
        missing = (
            f"events {last.seq + 1} to {here.seq - 1} are missing" if here.seq > last.seq + 1 else "the chain breaks"
        )
        inspection.damage.append(Damage(path, at, last.seq + 1, f"{missing} before event {here.seq}", gap))
        inspection.place = here
    if _REPAIRED in line and (event := decode(line[:-1])) is not None:
        inspection.excused.update((int(first), int(second)) for first, second in event.data.get("gaps", []))
        inspection.lost.update((int(seq), str(digest)) for seq, digest in event.data.get("given_up", []))


def verify(snapshot: Snapshot, file: io.BufferedReader | None, checksums: Mapping[str, str]) -> Inspection:
    """Verify a snapshot of the log, its active file opened as `file`, and the SHA-256 of the sealed files."""
    whole = Inspection(START, snapshot.active)
    for segment in snapshot.sealed:
        part = inspect(segment.path, whole.place)
        if segment.path.name in checksums and file_sha256(segment.path) != checksums[segment.path.name]:
            part.damage.append(Damage(segment.path, 0, whole.place.seq + 1, "the file does not match SHA256SUMS"))
        _join(whole, part)
    if file is not None:
        part = _inspect(file, snapshot.active, whole.place)
        _join(whole, part)
        whole.size, whole.end = part.size, part.end
    whole.damage = [d for d in whole.damage if d.gap not in whole.excused]
    return whole


def _join(whole: Inspection, part: Inspection) -> None:
    whole.place = part.place
    whole.events += part.events
    whole.damage += part.damage
    whole.excused |= part.excused
    whole.lost |= part.lost
