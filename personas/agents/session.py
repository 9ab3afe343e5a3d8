"""Going on with a session of a coding agent: the words for its command, and whether the session is still there.

Each run has a workspace of its own, so only agents can do that which find a session from another folder than the one it
began in. The agent names its session itself, so the name is looked at before it becomes a word of a command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{3,127}", re.ASCII)
_SHORT = 8  # characters of a session that some put into the names of its files
_UNKNOWN = "nobody has tried whether its sessions are found from another folder"


@dataclass(frozen=True)
class Sessions:
    """How a command goes on with a session: `words` before its last `last` ones.

    In them `{session}` stands for the session and `{file}` for its file. `files` are globs of that, as seen from the
    home folder, or beginning with a variable that names a folder; `{short}` is the beginning of the session. `why_not`
    says why it cannot be done. A `cumulative` agent tells the tokens of its whole session, and not of the run.
    """

    words: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    last: int = 0
    why_not: str = ""
    cumulative: bool = False

    def trouble(self, session: str, environ: Mapping[str, str]) -> str:
        """Return why a session cannot be gone on with, "" if it can."""
        if self.why_not or not (self.words and self.files):
            return self.why_not or _UNKNOWN
        if not _NAME.fullmatch(session):
            return "its session has a name that no command is given"
        return "" if self._file(session, environ) else "its session is not there any more"

    def command(self, command: Sequence[str], session: str, environ: Mapping[str, str]) -> list[str]:
        """Return a command that goes on with a session; the same command if that cannot be."""
        if not session or self.trouble(session, environ):
            return [*command]
        file = str(self._file(session, environ))
        words = [word.replace("{session}", session).replace("{file}", file) for word in self.words]
        end = len(command) - self.last
        return [*command[:end], *words, *command[end:]]

    def _file(self, session: str, environ: Mapping[str, str]) -> Path | None:
        changed: dict[Path, int] = {}
        for folder, glob in self._places(session, environ):
            for path in folder.glob(glob):
                with suppress(OSError):  # it has just gone, or is a link to nowhere
                    changed[path] = path.stat().st_mtime_ns
        return max(changed, key=lambda path: changed[path], default=None)

    def _places(self, session: str, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
        """Yield the folders that `files` are in, each with the rest of the glob."""
        for pattern in self.files:
            glob = pattern.replace("{session}", session).replace("{short}", session[:_SHORT])
            variable, _, below = glob.partition("/")
            named = variable.startswith("$")
            if folder := environ.get(variable[1:] if named else "HOME"):
                yield Path(folder), below if named else glob
