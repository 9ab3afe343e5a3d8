"""Sealed segments: the log's older files, immutable, named by their first and last seq, with checksums.

`000000000001-000000180233.jsonl` has the events, `SHA256SUMS` its checksum, and the `.parquet` copies beside it are a
cache that may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .disk import Disk, check_regular, make_folder, open_file, read_file, write_file

_SUMS = "SHA256SUMS"
_CACHES = ("*.parquet", "*.sha256", "*.ids")
_NAME = r"(\d{12})-(\d{12})\.jsonl"


class Segment(NamedTuple):
    """One sealed file: events `first` to `last`, inclusive."""

    path: Path
    first: int
    last: int

    @property
    def parquet(self) -> Path:
        """The path of its Parquet copy, which need not exist."""
        return self.path.with_suffix(".parquet")

    @property
    def mailbox_parquet(self) -> Path:
        """The path of its Parquet copy sorted by persona, which need not exist."""
        return self.path.with_suffix(".mailboxes-2.parquet")  # 2: with the starts of runs

    @property
    def standing_parquet(self) -> Path:
        """The path of its Parquet copy of what it leaves open, which need not exist."""
        return self.path.with_suffix(".standing-2.parquet")  # 2: with claims

    @property
    def copies(self) -> tuple[Path, Path, Path]:
        """The paths of all Parquet copies."""
        return self.parquet, self.mailbox_parquet, self.standing_parquet

    @property
    def copy_sums(self) -> Path:
        """The path of the checksums of its Parquet copies, in the form of SHA256SUMS."""
        return self.path.with_suffix(".sha256")

    @property
    def ids(self) -> Path:
        """The path of its index of ids, which need not exist."""
        return self.path.with_suffix(".ids")

    @property
    def sums(self) -> Path:
        """The path of the checksums of all segments."""
        return self.path.with_name(_SUMS)


class Segments:
    """The folder of sealed segments."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.sums = folder / _SUMS
        self._disk = disk

    def __iter__(self) -> Iterator[Segment]:
        """Yield the segments in the order of the log. Raises NotAFile for anything else under such a name."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if match := re.fullmatch(_NAME, path.name):
                check_regular(path, path.lstat().st_mode)
                yield Segment(path, int(match[1]), int(match[2]))

    def add(self, active: Path, first: int, last: int) -> Segment:
        """Move the active file, already durable, here as the newest segment."""
        make_folder(self.folder)
        segment = Segment(self.folder / segment_name(first, last), first, last)
        self._disk.rename(active, segment.path)
        return segment

    def update_checksums(self) -> None:
        """Add missing segments to the checksums, and make them read-only; only their owner can do that."""
        known = self.checksums()
        missing = [segment.path for segment in self if segment.path.name not in known]
        for path in missing:
            with suppress(PermissionError):
                path.chmod(0o444)
            known[path.name] = file_sha256(path)
        if missing:
            write_file(self._disk, self.sums, "".join(f"{known[n]}  {n}\n" for n in sorted(known)).encode())

    def drop_caches(self) -> None:
        """Delete the Parquet copies, their checksums and the indexes; they are made again. Raises OSError."""
        for path in sorted(path for form in _CACHES for path in self.folder.glob(form)):
            self._disk.remove(path)

    def checksums(self) -> dict[str, str]:
        """Return the recorded SHA-256, in hex, by file name."""
        return recorded_checksums(self.sums)


def recorded_checksums(path: Path) -> dict[str, str]:
    """Return what a file of the form of `sha256sum` records: SHA-256, in hex, by file name; of no file, nothing."""
    if not path.exists():
        return {}
    pairs = (line.split("  ", 1) for line in read_file(path).decode(errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def segment_name(first: int, last: int) -> str:
    """Return the name of the segment with these events."""
    return f"{first:012d}-{last:012d}.jsonl"


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
