"""Follows the output of a run while it is written: the file that its keeper, or a function, appends to.

An agent may have put a pipe, a link or nothing in its place: only a regular file is read, and nothing waits.
"""

from __future__ import annotations

import os
import stat
from codecs import getincrementaldecoder
from pathlib import Path
from types import TracebackType
from typing import Self

MOST = 1 << 18  # bytes of one reading


class Tail:
    """The bytes of a file from `offset` on, as they come. A file that is not there yet is looked for again each time.

    `cut` counts the times that the file became shorter: its keeper leaves out the middle of an output that is too long.
    What comes after that is read from the file's new end on.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.path, self.offset, self.cut = path, offset, 0
        self._file: int | None = None

    def read(self, most: int = MOST) -> bytes:
        """Return the next bytes, at most so many; none if there are none now."""
        if self._file is None:
            self._file = _opened(self.path)
        if self._file is None:
            return b""
        try:
            data = os.pread(self._file, most, self.offset)
            if not data and os.fstat(self._file).st_size < self.offset:
                self.cut, self.offset = self.cut + 1, os.fstat(self._file).st_size
        except OSError:
            return b""
        self.offset += len(data)
        return data

    @property
    def is_open(self) -> bool:
        """Whether there is a file that is being read."""
        return self._file is not None

    def close(self) -> None:
        """Let go of the file; the next reading would open it anew."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class TextTail:
    """The text of a file from a byte `offset` on, as it comes.

    `offset` counts the bytes of whole characters that were returned, so that another tail can go on from there.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self.tail = Tail(path, offset)
        self._decoder = getincrementaldecoder("utf-8")("replace")

    @property
    def offset(self) -> int:
        """Where the text that was returned ends, in bytes."""
        return self.tail.offset - len(self._decoder.getstate()[0])

    def more(self, *, final: bool = False, most: int = MOST) -> str:
        """Return the next text; with `final`, half a character at the end of the file is replaced, not waited for."""
        data = self.tail.read(most)
        return self._decoder.decode(data, final=final and not data)

    def close(self) -> None:
        """Let go of the file."""
        self.tail.close()


def _opened(path: Path) -> int | None:
    """Open a regular file for reading; None if there is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    return None
