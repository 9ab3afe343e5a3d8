"""Git within limits of memory, time and what it writes, because it reads what an agent left.

Only commands that read a work tree start programs of others, the filters of the user: `Git.run` keeps these as agents
are kept.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from ...mail.log.disk import read_file
from ..errors import FilterFailed, GitError
from ..git import Git

# An agent may leave anything, so a capture is limited to 4 GiB of memory and to $1 blocks a file.
_LIMITED = 'ulimit -f "$1"; ulimit -v 4194304 2>/dev/null; exec >"$2"; shift 2; exec "$@"'
MAX_OBJECT = 1 << 30  # bytes
MAX_PATCH = 64 << 20  # bytes; the weaver takes far less
MAX_BUNDLE = 256 << 20  # bytes
_BLOCK = 512
_SILENT = {"add", "read-tree", "update-index"}  # commands that print nothing
_TIMEOUT = 120.0  # seconds
_FILTER = re.compile(rb"^fatal: (?P<file>.+): (?:clean|smudge) filter '?(?P<name>.+?)'? failed", re.MULTILINE)


def check_filters(ended: subprocess.CompletedProcess[bytes]) -> None:
    """Raise FilterFailed if that is why a command of git failed."""
    if ended.returncode and (failed := _FILTER.search(ended.stderr)):
        raise FilterFailed(*(failed[key].decode(errors="backslashreplace") for key in ("name", "file")))


@dataclass(frozen=True)
class Confined:
    """A git whose commands are limited; what they print goes to a file in `folder` first."""

    git: Git
    folder: Path
    timeout: float | None = None  # seconds, by default those of a capture

    def __call__(
        self,
        *words: str,
        most: int | None = None,
        allowed: Collection[int] = (0,),
        stdin: bytes | None = None,
        cwd: Path | None = None,
    ) -> tuple[bytes, bytes]:
        """Run a command that writes no file of more than `most` bytes, by default those of a patch.

        Return what it printed, and its stderr.
        Raises GitError, and FilterFailed if a filter failed that the user's settings require.
        """
        printed = Path(os.devnull) if words[0] in _SILENT else self.folder / "printed"
        wrapper = ("sh", "-c", _LIMITED, "sh", str((MAX_PATCH if most is None else most) // _BLOCK), str(printed))
        ended = self.git.run(*words, stdin=stdin, wrapper=wrapper, timeout=self.timeout or _TIMEOUT, cwd=cwd)
        if ended.returncode == -signal.SIGXFSZ:
            raise GitError(words, ended.returncode, b"what the run left is larger than a capture may be")
        check_filters(ended)
        Git.output(words, ended, allowed=allowed)
        return b"" if words[0] in _SILENT else read_file(printed), ended.stderr

    def index(self, name: str) -> Confined:
        """Return the same git with another index in its folder."""
        return replace(self, git=self.git.using(index=self.folder / name))
