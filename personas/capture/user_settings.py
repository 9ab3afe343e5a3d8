"""The user's git settings for a repository, read again only once a file that they come from has changed.

Each workspace needs them twice, and to ask git takes as long as to check out a small repository.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ...mail.clock import SystemClock
from ..environment import surroundings
from ..git import users_environment
from ..hidden import git_settings

_SOON = 0.1  # seconds: a file that was changed so lately may change again without a new time
_LONGEST = 60.0  # seconds, for files that git reads and does not name: a system-wide one that is made later
_FROM = "file:"
_INCLUDES = ("include.", "includeif.")
Rows = Sequence[tuple[str, str]]


class _Known(NamedTuple):
    """What was read, with the state of its files and the variables then; it holds until the moment `due`."""

    rows: Rows
    files: Sequence[str]
    states: Sequence[object]
    variables: object
    due: float


_known: dict[Path, _Known] = {}
_turn = threading.Lock()


def users_settings(source: Path) -> Rows:
    """Return the settings as git reads them for the repository with the git directory `source`, keys in small letters.

    A change of a file of the settings, or of a variable, counts from the next call on.
    """
    clock, variables = SystemClock(), _variables()
    with _turn:
        known = _known.get(source)
        if known and known.variables == variables and clock.monotonic() < known.due:
            if known.states == [*map(_state, known.files)]:
                return known.rows
            del _known[source]
        began = clock.now().timestamp()
        rows, files = _read(source)
        if files is not None:
            states = [*map(_state, files)]
            if all(state is None or max(state[:2]) < 1e9 * (began - _SOON) for state in states):
                _known[source] = _Known(rows, files, states, variables, clock.monotonic() + _LONGEST)
        return rows


def _read(source: Path) -> tuple[Rows, Sequence[str] | None]:
    """Ask git; return the settings, and the files that they depend on, None if that cannot be told."""
    words = ["git", "config", "--null", "--list", "--includes", "--show-origin"]
    env = users_environment() | {"GIT_DIR": str(source)}
    output = subprocess.run(words, cwd=source, env=env, capture_output=True, check=False).stdout  # noqa: S603
    fields = iter(os.fsdecode(output).split("\0"))
    rows, files, certain = list[tuple[str, str]](), dict.fromkeys(_usual(source)), True
    for origin, entry in zip(fields, fields, strict=False):
        key, newline, value = entry.partition("\n")
        rows.append((key, value if newline else "true"))
        place = os.path.join(source, origin.removeprefix(_FROM)) if origin.startswith(_FROM) else str(source)  # noqa: PTH118
        files[place] = None
        if key.startswith(_INCLUDES) and key.endswith(".path"):
            files[os.path.join(os.path.dirname(place), os.path.expanduser(value))] = None  # noqa: PTH111, PTH118, PTH120
            certain = certain and not (value.startswith("%(") or ".onbranch:" in key)
    return rows, [*files] if certain else None


def _usual(source: Path) -> Iterator[str]:
    """Yield the files that git reads where they are, whether or not anything is in them."""
    environ = os.environ
    home = environ.get("HOME", "")
    yield environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"
    if own := environ.get("GIT_CONFIG_GLOBAL"):
        yield own
    yield f"{environ.get('XDG_CONFIG_HOME') or f'{home}/.config'}/git/config"
    yield f"{home}/.gitconfig"
    yield f"{source}/config"
    yield f"{source}/config.worktree"


def _variables() -> object:
    """Return the variables that the settings depend on."""
    every = surroundings()
    own = {name: value for name, value in every.items() if name.startswith("GIT_")}
    return own, {**git_settings()}, every.get("HOME"), every.get("XDG_CONFIG_HOME")


def _state(file: str) -> tuple[int, int, int, int] | None:
    """Return what tells a file from what it was before; None if it is not there."""
    try:
        status = os.stat(file)  # noqa: PTH116 - half the time of pathlib's
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
