"""What this process was given in its environment and shows nobody: secrets for the agents that name them in `env`.

The environment that a process starts with can be read by every process of the same user for as long as it lives, and
unsetting a variable changes nothing of that. So a scheduler that leads starts itself anew without them, and they come
to it through a file in memory.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from .environment import PASSED, surroundings

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH(?!OR_)", re.IGNORECASE)
_SHOWN = re.compile(
    r"TEAM_\w+|GIT_(?!CONFIG_(COUNT|KEY|VALUE|PARAMETERS))\w+|TERM|COLORTERM|COLUMNS|LINES|NO_COLOR|FORCE_COLOR|PYTHON\w+"
    r"|VIRTUAL_ENV|PWD|OLDPWD|SHLVL|_|CI|INVOCATION_ID|JOURNAL_STREAM"
    r"|LD_\w+|DYLD_\w+|FAKETIME\w*|PROXYCHAINS_\w+|GLIBC_TUNABLES|MALLOC_\w+"  # read before the program begins
)
_DESCRIPTOR = "_TEAM_MAIL_HIDDEN"
_PR_SET_DUMPABLE = 4
_BEYOND = 3  # the first descriptor that is no standard stream
_hidden: dict[str, str] = {}


def given() -> Mapping[str, str]:
    """Return the whole environment that this process was given, hidden or not."""
    return {**surroundings(), **_hidden} if _hidden else surroundings()


def hidden() -> Mapping[str, str]:
    """Return the part of the environment that others do not see."""
    return {**_hidden}


def git_settings() -> Mapping[str, str]:
    """Return the settings of git that the environment holds; they may have a secret, such as a header."""
    return {name: value for name, value in _hidden.items() if name.startswith("GIT_CONFIG_")}


def hide() -> None:
    """Start this command anew without the variables that others should not see; the second time, read them.

    Nothing happens if there are none. On Linux no other process of the user may read the memory of this one then.
    """
    shut()  # first: what is read here can be read by others until then
    if (number := os.environ.pop(_DESCRIPTOR, "")).isdecimal() and _is_ours(int(number)):
        with os.fdopen(int(number), "rb") as file:
            file.seek(0)
            _hidden.update(json.loads(file.read()))
    elif hidden := {name: value for name, value in os.environ.items() if not is_shown(name)}:
        _start_anew(hidden)


def _is_ours(descriptor: int) -> bool:
    """Tell whether a descriptor is of a file without a folder, as `_file` makes it, and not what a variable made up."""
    try:
        return descriptor >= _BEYOND and os.fstat(descriptor).st_nlink == 0
    except (OSError, OverflowError):
        return False


def shut() -> None:
    """Keep other processes of the user from reading this one's memory and environment, on Linux."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            import ctypes  # as late as possible: it takes as long to load as all else here

            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def is_shown(name: str) -> bool:
    """Tell whether a variable may stand in an environment that others can read."""
    return bool(PASSED.fullmatch(name) or (_SHOWN.fullmatch(name) and not SECRET.search(name)))


def _start_anew(hidden: Mapping[str, str]) -> None:
    """Replace this process by one without these variables; return if the command is not a program of its own."""
    command = sys.argv[0]
    if not (os.access(command, os.X_OK) and Path(command).is_file()):
        return
    with _file() as file:
        file.write(json.dumps(hidden).encode())
        file.flush()
        number = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, _BEYOND)  # a closed standard stream stays closed
    shown = {name: value for name, value in os.environ.items() if name not in hidden}
    os.execve(command, sys.argv, shown | {_DESCRIPTOR: str(number)})  # noqa: S606


def _file() -> IO[bytes]:
    """Open a new file that no folder has: on Linux in memory."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("hidden"), "wb")
    import tempfile

    return tempfile.TemporaryFile()
