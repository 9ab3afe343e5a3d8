# Importing pathlib or contextlib would double the start-up time of a warden.
# ruff: noqa: PTH208
"""What waits in a run's folder to be taken. Part of the warden: it imports only what loads at once.

Nothing is opened by a path that the agent could bend: every step goes from a descriptor of the workspace, and follows
no link.
"""

import os
import stat

ERROR = ".error"  # after the name of a mail that could not be sent
FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_UNFINISHED = ("~", ".tmp", ".part", ".swp", ERROR)
_REQUEST, _HEX = 32, frozenset("0123456789abcdef")  # a request is NAME.json, of so many of these


def open_below(top: str, steps: "list[str]") -> int:
    """Open a folder below another, following no link; return its descriptor. Raises OSError."""
    descriptor = os.open(top, FOLDER)
    for step in steps:
        try:
            below = os.open(step, FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def waiting(top: str, steps: "list[str]") -> "tuple[list[str], list[str]]":
    """Return the names of the requests and of the mails in the outbox that nobody has taken, each sorted.

    `steps` lead from the workspace `top` to its run folder. Names that editors use for unfinished files are left
    alone, and so is a mail that could not be sent until it is changed: `NAME.error` says why, and is newer.
    """
    requests, names = _both(top, steps)
    requests = [name for name in requests if _is_request(name)]
    if not names:
        return requests, []
    mails = [name for name in names if is_final(name)]
    outbox = [*steps, "outbox"]
    return requests, [name for name in mails if f"{name}{ERROR}" not in names or _changed(top, outbox, name)]


def _both(top: str, steps: "list[str]") -> "tuple[list[str], list[str]]":
    """Return the names of all requests and mails; their run folder is opened once."""
    try:
        folder = open_below(top, steps)
    except OSError:
        return [], []
    try:
        return _names(folder, "requests"), _names(folder, "outbox")
    finally:
        os.close(folder)


def _names(above: int, name: str) -> "list[str]":
    """Return the names in a folder of an open one, sorted; nothing if it is gone or replaced."""
    try:
        folder = os.open(name, FOLDER, dir_fd=above)
    except OSError:
        return []
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
    finally:
        os.close(folder)


def is_final(name: str) -> bool:
    """Tell whether a name is none of those that editors, and we, give to files that are not finished."""
    return not (name.startswith(".") or name.endswith(_UNFINISHED))


def listed(top: str, steps: "list[str]") -> "list[str]":
    """Return the names in a folder, sorted; nothing if it is gone or replaced."""
    try:
        descriptor = open_below(top, steps)
    except OSError:
        return []
    try:
        return sorted(os.listdir(descriptor))
    except OSError:
        return []
    finally:
        os.close(descriptor)


def state(top: str, steps: "list[str]", name: str) -> "tuple[int, int] | None":
    """Return the size and the time of the last change of a file, or None if there is no regular file."""
    try:
        descriptor = open_below(top, steps)
    except OSError:
        return None
    try:
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _is_request(name: str) -> bool:
    stem, dot, end = name.rpartition(".")
    return end == "json" and dot == "." and len(stem) == _REQUEST and _HEX.issuperset(stem)


def _changed(top: str, outbox: "list[str]", name: str) -> bool:
    mail, error = state(top, outbox, name), state(top, outbox, f"{name}{ERROR}")
    return mail is not None and (error is None or mail[1] > error[1])
