"""Reading objects by one process of git that goes on, and so answers in microseconds."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import cached_property

from ....personas.errors import GitError
from ....personas.git import Git

_READ = ("cat-file", "--batch")
_ASKED = 256  # objects at once: their names fit into a pipe whose reader waits to write


class ObjectReader:
    """Reads objects until it is closed; its process starts with the first of them, and again if somebody ended it."""

    def __init__(self, git: Git) -> None:
        self._git = git

    def read(self, oids: Sequence[str], kind: str) -> list[bytes]:
        """Return the bytes of objects of one kind: `commit`, `tree`, `blob`. Raises GitError if one is not there."""
        if "_process" in vars(self) and self._process.poll() is not None:
            self.close()
            del self._process
        bodies: list[bytes] = []
        for start in range(0, len(oids), _ASKED):
            part = oids[start : start + _ASKED]
            self._ask(part)
            answers = [self._answer() for _ in part]
            for oid, (is_kind, body) in zip(part, answers, strict=True):
                if is_kind != kind:
                    raise GitError(_READ, 128, f"{oid} is {is_kind or 'missing'}, not a {kind}".encode())
                bodies.append(body)
        return bodies

    def close(self) -> None:
        """End the process."""
        if "_process" in vars(self):
            with self._process as process:
                process.kill()

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        return self._git.start(*_READ)

    def _ask(self, oids: Sequence[str]) -> None:
        questions = self._process.stdin
        assert questions is not None  # noqa: S101 - it is a pipe
        questions.write("".join(f"{oid}\n" for oid in oids).encode())
        questions.flush()

    def _answer(self) -> tuple[str, bytes]:
        """Read one answer: an object's kind and its bytes; no kind if it is missing."""
        answers = self._process.stdout
        assert answers is not None  # noqa: S101 - it is a pipe
        match answers.readline().decode().split():
            case [_, kind, size]:
                return kind, answers.read(int(size) + 1)[:-1]
            case _:
                return "", b""
