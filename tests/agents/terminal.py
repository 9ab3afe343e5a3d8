"""A session of an agent in a terminal, as a person has one: it is typed to, and what it shows is waited for."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from .ending import end_all_of

ROWS, COLUMNS = 50, 160
LONGEST = 60.0  # seconds
# What a program asks its terminal, and what one answers: where the cursor is, what it can, and its two colours.
ANSWERS = {
    b"\x1b[6n": b"\x1b[1;1R",
    b"\x1b[c": b"\x1b[?62;c",
    b"\x1b]10;?": b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
}
DRAWING = re.compile(r"\x1b\[[0-9;?>=]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\s")


class Terminal:
    """A program in a terminal of its own, ended with all that it has started."""

    def __init__(self, words: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self._home = environ["HOME"]
        self._main, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._shown = bytearray()
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            [*words], cwd=folder, env={**environ, "TERM": "xterm-256color"}, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Self:
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end_all_of(self._home)
        os.close(self._main)

    @property
    def shown(self) -> str:
        """All that was shown, without spaces and what moves the cursor."""
        return DRAWING.sub("", self._shown.decode(errors="replace"))

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until something has happened, looking whenever more is shown."""
        with self._more:
            assert self._more.wait_for(happened, LONGEST), self.shown[-3000:]

    def presses_enter_until(self, happened: Callable[[], object]) -> None:
        """Press Enter, and again each second: a program takes one that comes fast behind a text for a part of it."""
        for _ in range(int(LONGEST)):
            os.write(self._main, b"\r")
            with self._more:
                if self._more.wait_for(happened, 1.0):
                    return
        raise AssertionError(self.shown[-3000:])

    def shows(self, text: str) -> None:
        """Wait until it has shown a text, whose spaces do not count."""
        self.until(lambda: text.replace(" ", "") in self.shown)

    def types(self, text: str) -> None:
        """Press keys, and wait until they are shown."""
        os.write(self._main, text.encode())
        self.shows(text)

    def _read(self) -> None:
        with suppress(OSError):  # it has ended
            while data := os.read(self._main, 1 << 16):
                with self._more:
                    self._shown += data
                    self._more.notify_all()
                for asked, answer in ANSWERS.items():
                    if asked in data:
                        os.write(self._main, answer)
