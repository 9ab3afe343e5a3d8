"""The Parquet copies of sealed segments, made for speed: written once, and used only while they are their segment's.

A mark in the footer of a copy names its segment by size, last hash and SHA-256, so a query sees for some microseconds
that a copy is of another file. A list of checksums beside the copies, which `verify` compares, shows any other change.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from ..log.disk import Disk, check_regular, open_file, replacing
from ..log.segments import Segment, file_sha256, recorded_checksums
from ..log.tail import last_place
from .statement import CONFIG, literal, reachable, scan_lines, sql

_KEY = "team-mail"
_MAGIC = b"PAR1"
_END = 512  # bytes at the end of a copy that hold its mark: what follows that has two bytes for each column
_DISK = Disk()


class Distrusted(NamedTuple):
    """A copy that `check_copies` does not trust; it is removed, unless this user may not do that."""

    path: Path
    reason: str
    removed: bool

    def __str__(self) -> str:
        """Return file, reason and what became of it in one line."""
        return f"{self.path.name} {self.reason}: {'removed' if self.removed else 'it cannot be removed by this user'}"


def write_parquet(segment: Segment) -> bool:
    """Write the Parquet copies of a sealed segment unless they can be used; False if they cannot be written now.

    One has the events in order, one the projection `mailboxes`, sorted by persona in small row groups, so that one
    mailbox is read without the others, and one the few rows of the projection `standing`. Without them, queries are
    slower. A segment that does not match SHA256SUMS gets none, and while another process writes them, this one does
    without.
    """
    if usable(segment):
        return True
    with suppress(duckdb.Error, OSError), open_file(segment.path) as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not usable(segment) and file_sha256(segment.path) == _recorded(segment):
            try:
                _write(segment)
            except BaseException:
                drop_copies(segment)
                raise
        return usable(segment)
    return False


def copied(sealed: Sequence[Segment], *, use_parquet: bool) -> tuple[list[Segment], list[Path]]:
    """Return the sealed segments with copies that can be used, and the files of the others."""
    copies = [segment for segment in sealed if use_parquet and write_parquet(segment)]
    return copies, [segment.path for segment in sealed if segment not in copies]


def usable(segment: Segment) -> bool:
    """Return whether all copies are there and are those of the segment as it is now. Their rows are not checked."""
    files = (segment.path, *segment.copies, segment.copy_sums, segment.sums)
    try:
        return _carry_marks(segment, tuple(map(_identity, files)))
    except OSError:
        return False


def check_copies(segments: Iterable[Segment]) -> list[Distrusted]:
    """Compare all copies with their checksums; remove those that are wrong, and say so. Readers write them again."""
    wrong: list[Distrusted] = []
    for segment in segments:
        with suppress(BlockingIOError), open_file(segment.path) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)  # else another process is writing them
            wrong += _checked(segment)
    return wrong


def drop_copies(segment: Segment) -> bool:
    """Remove the copies of a segment; False if that is not possible."""
    with suppress(OSError):
        for path in (*segment.copies, segment.copy_sums):
            path.unlink(missing_ok=True)
        return True
    return False


def _checked(segment: Segment) -> list[Distrusted]:
    if not any(map(os.path.lexists, segment.copies)):
        return []
    if usable(segment):
        sums = recorded_checksums(segment.copy_sums)
        reason = "does not match its checksum"
        wrong = [path for path in segment.copies if file_sha256(path) != sums.get(path.name)]
    else:
        reason = f"is no copy of {segment.path.name} as it is now, or has no checksum"
        wrong = [path for path in segment.copies if os.path.lexists(path)]
    removed = not wrong or drop_copies(segment)
    return [Distrusted(path, reason, removed) for path in wrong]


def _write(segment: Segment) -> None:
    lines = f"SELECT * FROM {scan_lines([segment.path])} WHERE id IS NOT NULL"
    texts = {
        segment.parquet: (f"{lines} ORDER BY seq", 122_880),
        segment.mailbox_parquet: (f"SELECT * FROM ({sql('mailboxes')}) ORDER BY persona, seq", 4_096),
        segment.standing_parquet: (f"SELECT * FROM ({sql('standing')}) ORDER BY seq", 122_880),
    }
    sums, state = "", _state(segment)
    segment.copy_sums.unlink(missing_ok=True)  # first, so that a crash leaves nothing that is used
    with duckdb.connect(config=CONFIG) as connection:
        connection.execute(f'CREATE VIEW "events" AS {lines}')
        for path, (text, rows) in texts.items():
            mark = literal(_mark(path, state))
            options = f"FORMAT parquet, PARQUET_VERSION v2, COMPRESSION lz4_raw, ROW_GROUP_SIZE {rows}"
            options += f", KV_METADATA {{{literal(_KEY)}: {mark}}}"
            with replacing(path) as temporary:
                place = reachable(temporary.parent) / temporary.name
                connection.execute(f"COPY ({text}) TO {literal(place)} ({options})")
                sums += f"{file_sha256(temporary)}  {path.name}\n"
    with replacing(segment.copy_sums) as temporary:
        temporary.write_text(sums)


def _identity(path: Path) -> tuple[int, ...]:
    status = path.lstat()
    check_regular(path, status.st_mode)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=2048)
def _carry_marks(segment: Segment, _: tuple[tuple[int, ...], ...]) -> bool:
    """Compare the marks of a segment's copies with the segment, once for each state of the files."""
    state = _state(segment)
    return all(_carries(path, _mark(path, state)) for path in segment.copies)


def _carries(path: Path, mark: str) -> bool:
    """Return whether a copy has a mark: the bytes of the last pair of its key-value metadata, and what comes next.

    The footer is in Thrift's compact protocol, and holds no NUL within text, so no value of a row looks like that.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        end = _DISK.read(file.fileno(), _END, max(0, size - _END))
    pair = b"".join(b"\x18" + bytes([len(text)]) + text.encode() for text in (_KEY, mark))
    return end.endswith(_MAGIC) and pair + b"\0\x18" in end


def _mark(copy: Path, state: str) -> str:
    return f"{copy.name.partition('.')[2]} {state}"


def _state(segment: Segment) -> str:
    """Return what a segment is as of now. Raises OSError if its end does not verify, or if it has no checksum."""
    with open_file(segment.path) as file:
        size = os.fstat(file.fileno()).st_size
        last = last_place(_DISK, file.fileno(), size)
    recorded = _recorded(segment)
    if last is None or not recorded:
        raise OSError(f"{segment.path.name} has no end that verifies, or no checksum")
    return f"{last.seq} {size} {last.hash} {recorded[:32]}"


def _recorded(segment: Segment) -> str | None:
    return recorded_checksums(segment.sums).get(segment.path.name)
