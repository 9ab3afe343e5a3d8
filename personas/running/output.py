"""What an agent says, kept in `output.log`. Part of the keeper: it imports only what starts at once."""

import os
import sys


class Output:
    """The log of what an agent says: secrets blotted out, cut at the cap, the cut told in the last line."""

    def __init__(self, path: str, secrets: list[bytes], cap: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._left = cap or sys.maxsize
        self._held = b""
        self.kept = 0
        self.cut = 0

    def take(self, data: bytes) -> None:
        """Write what can be no part of a secret; hold back what may be the beginning of one."""
        if self._secrets and self._left:
            data = self._held + data
            data, self._held = self._blotted(data, self._pending(data))
        self._write(data)

    def close(self) -> None:
        """Write what was held back, and that something was cut, if it was."""
        self._write(self._blotted(self._held, len(self._held))[0])
        if self.cut:
            self._left = sys.maxsize
            self._write(b"\n[output cut here: %d bytes kept, %d more thrown away]\n" % (self.kept, self.cut))
        os.close(self._file)

    def _blotted(self, data: bytes, end: int) -> tuple[bytes, bytes]:
        """Blot out the secrets that begin before `end`, the longest first; return that, and what is behind it."""
        done, clean = 0, bytearray()
        while found := min(((at, -len(s)) for s in self._secrets if (at := data.find(s, done)) >= 0), default=None):
            at, length = found
            if at >= end:
                break
            clean += data[done:at] + b"***"
            done = at - length
        end = max(end, done)
        return bytes(clean + data[done:end]), data[end:]

    def _pending(self, data: bytes) -> int:
        """Return where the first piece begins that is perhaps a secret's beginning."""
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
            except OSError:  # the disk is full: the agent's words are lost, but not the run
                break
            self._left -= written
            self.kept += written
            kept = kept[written:]
            data = data[written:]
        self.cut += len(data)
