# Importing pathlib would double the start-up time of a keeper.
# ruff: noqa: PTH104, PTH105, PTH112, PTH114
"""An agent's output, kept in `output.log`. Part of the keeper: it imports only what loads at once."""

import os
import sys

from .events import Events

CHUNK = 1 << 16


class Output:
    """The log of an agent's output, with secrets masked.

    Beyond the cap, its first and its last half are kept, with a line between that says how much was left out, and after
    that line the final event if it would be left out. While a run lasts, the file may have up to half the cap more.
    """

    def __init__(self, path: str, secrets: list[bytes], cap: int) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._path = path
        self._file = os.open(path, flags, 0o600)
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._tail = (cap or sys.maxsize) // 2
        self._head = (cap or sys.maxsize) - self._tail
        self._held = b""
        self._printed = 0
        self.events = Events()
        self.kept = 0  # bytes in the file
        self.cut = 0

    def take(self, data: bytes) -> None:
        """Write what cannot be part of a secret; hold back what may be the start of one."""
        if self._secrets:
            data = self._held + data
            data, self._held = self._masked(data, self._pending(data))
        self._write(data)

    def close(self) -> None:
        """Write what was held back, and put together what is kept, in place of whatever the agent made of the file."""
        self._write(self._masked(self._held, len(self._held))[0])
        self.events.finish()
        self._shorten(self._head + self._tail)
        if self.cut or not self._is_in_place():
            self._rewrite()
        os.close(self._file)

    def _masked(self, data: bytes, end: int) -> tuple[bytes, bytes]:
        """Mask the secrets that start before `end`, the longest first; return the masked data and the rest."""
        done, clean = 0, bytearray()
        while match := min(((at, -len(s)) for s in self._secrets if (at := data.find(s, done)) >= 0), default=None):
            at, negative_length = match
            if at >= end:
                break
            clean += data[done:at] + b"***"
            done = at - negative_length
        end = max(end, done)
        return bytes(clean + data[done:end]), data[end:]

    def _pending(self, data: bytes) -> int:
        """Return the position from which the end of `data` may be the start of a secret."""
        longest = 0
        for secret in self._secrets:
            for length in range(min(len(secret) - 1, len(data)), longest, -1):
                if data.endswith(secret[:length]):
                    longest = length
                    break
        return len(data) - longest

    def _write(self, data: bytes) -> None:
        self.events.feed(data)
        self._printed += len(data)
        rest = memoryview(data)
        while rest:
            try:
                written = os.pwrite(self._file, rest[:CHUNK], self.kept)
            except OSError:  # the disk is full: the output is lost, but not the run
                self.cut += len(rest)
                return
            self.kept += written
            rest = rest[written:]
            self._shorten(self._head + 2 * self._tail)

    def _shorten(self, most: int) -> None:
        """If more than that is in the file, leave its head and its tail."""
        if self.kept <= most or self.kept <= self._head + self._tail:
            return
        source, target = self.kept - self._tail, self._head
        self.cut += source - target
        while source < self.kept:
            data = os.pread(self._file, CHUNK, source)
            os.pwrite(self._file, data, target)
            source, target = source + len(data), target + len(data)
        os.ftruncate(self._file, target)
        self.kept = target

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.lstat(self._path))
        except OSError:
            return False

    def _rewrite(self) -> None:
        """Write the file anew, with what is kept of the output; a disk that is full leaves it as it is."""
        scratch = f"{self._path}.{os.getpid()}"
        try:
            file = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            at = self._copy(file, 0, min(self._head, self.kept))
            os.write(file, self._gap())
            self._copy(file, at, self.kept)
            self.kept = os.fstat(file).st_size
            os.close(file)
            if not os.path.islink(self._path) and os.path.isdir(self._path):
                os.rename(self._path, scratch + ".moved")
            os.replace(scratch, self._path)
        except OSError:
            return

    def _copy(self, file: int, at: int, end: int) -> int:
        while at < end and (data := os.pread(self._file, min(CHUNK, end - at), at)):
            os.write(file, data)
            at += len(data)
        return at

    def _gap(self) -> bytes:
        """Return the line that stands for what was left out."""
        if not self.cut:
            return b""
        events, tail = self.events, self._printed - max(0, self.kept - self._head)
        lost = events.line and self._head < events.at + len(events.line) and events.at < tail
        return b"\n[output cut here: %d bytes left out]\n" % self.cut + (events.line + b"\n" if lost else b"")
