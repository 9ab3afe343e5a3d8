"""An agent's output, kept in `output.log`. Part of the keeper: it imports only what loads at once."""

import os
import sys


class Output:
    """The log of an agent's output: secrets are masked, and output beyond the cap is dropped, as its last line says."""

    def __init__(self, path: str, secrets: list[bytes], cap: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._left = cap or sys.maxsize
        self._held = b""
        self.kept = 0
        self.cut = 0

    def take(self, data: bytes) -> None:
        """Write what cannot be part of a secret; hold back what may be the start of one."""
        if self._secrets and self._left:
            data = self._held + data
            data, self._held = self._masked(data, self._pending(data))
        self._write(data)

    def close(self) -> None:
        """Write what was held back and, if output was dropped, how much."""
        self._write(self._masked(self._held, len(self._held))[0])
        if self.cut:
            self._left = sys.maxsize
            self._write(b"\n[output cut here: %d bytes kept, %d more dropped]\n" % (self.kept, self.cut))
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
        kept = memoryview(data)[: self._left]
        while kept:
            try:
                written = os.write(self._file, kept)
            except OSError:  # the disk is full: the output is lost, but not the run
                break
            self._left -= written
            self.kept += written
            kept = kept[written:]
            data = data[written:]
        self.cut += len(data)
