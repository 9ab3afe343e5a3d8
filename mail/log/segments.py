"""Sealed segments: the log's older files, immutable, named by their first and last seq, with checksums.

`000000000001-000000180233.jsonl` is the truth, `SHA256SUMS` witnesses it, and a `.parquet` twin beside it is a cache
that may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .disk import Disk, write_file

_NAME = r"(\d{12})-(\d{12})\.jsonl"


class Segment(NamedTuple):
    """One sealed file: events `first` to `last`, both included."""

    path: Path
    first: int
    last: int

    @property
    def parquet(self) -> Path:
        """Where its Parquet copy is, or would be."""
        return self.path.with_suffix(".parquet")

    @property
    def mailbox_parquet(self) -> Path:
        """Where its second twin is, dealt out to the personas."""
        return self.path.with_suffix(".mailboxes.parquet")


class Segments:
    """The folder of sealed segments."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.sums = folder / "SHA256SUMS"
        self._disk = disk

    def __iter__(self) -> Iterator[Segment]:
        """Go through the segments in the order of the log."""
        if not self.folder.is_dir():
            return
        for path in sorted(self.folder.iterdir()):
            if match := re.fullmatch(_NAME, path.name):
                yield Segment(path, int(match[1]), int(match[2]))

    def take(self, active: Path, first: int, last: int) -> Segment:
        """Move the active file, already durable, in as the newest segment."""
        self.folder.mkdir(exist_ok=True)
        segment = Segment(self.folder / f"{first:012d}-{last:012d}.jsonl", first, last)
        self._disk.rename(active, segment.path)
        return segment

    def update_checksums(self) -> None:
        """Make the segments read-only and add those that a crash left out to the checksums."""
        known = self.checksums()
        missing = [segment.path for segment in self if segment.path.name not in known]
        for path in missing:
            path.chmod(0o444)
            known[path.name] = file_sha256(path)
        if missing:
            write_file(self._disk, self.sums, "".join(f"{known[n]}  {n}\n" for n in sorted(known)).encode())

    def drop_twins(self) -> None:
        """Delete the Parquet twins; whoever reads next makes them anew. Raises OSError where that is not allowed."""
        for path in self.folder.glob("*.parquet"):
            path.unlink()

    def checksums(self) -> dict[str, str]:
        """Return the witnessed SHA-256, in hex, by file name."""
        if not self.sums.exists():
            return {}
        pairs = (line.split("  ", 1) for line in self.sums.read_text(errors="replace").splitlines())
        return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
