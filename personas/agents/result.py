"""A run's result: the file that it wrote, else the JSON object in its last message, else that message's text."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...mail.render import line
from ..errors import BadOutput
from ..running.folder import RunFolder
from ..streams.stream import MAX_LOG, read_stream
from ..value import masked, read_value

FILE = "output.json"  # in `.team/run` of the workspace; TEAM_OUTPUT names it to the agent
MAX_OUTPUT = 1 << 20  # bytes
MAX_TEXT = 20_000  # characters of a message that becomes the result
_MAX_CANDIDATES = 20  # places in a message where a JSON object may start or stand
_FENCE = "```"


def log_of(folder: Path) -> bytes:
    """Return the last `MAX_LOG` bytes that a run printed; nothing if the agent removed its own log."""
    try:
        with _opened(folder / "output.log") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG))
            return log.read(MAX_LOG)
    except (OSError, BadOutput):
        return b""


def printed(log: Path) -> bytes | None:
    """Return all that is kept of what a run printed; None if the agent removed its own log or put a pipe there."""
    try:
        with _opened(log) as opened:
            return opened.read()
    except (OSError, BadOutput):
        return None


def is_written(workspace: Path) -> bool:
    """Tell whether the run in `workspace` wrote a result of its own."""
    return os.path.lexists(RunFolder(workspace).path / FILE)


def output_of(workspace: Path, log: bytes, secrets: Collection[str] = ()) -> Any:
    """Return the result of the run in `workspace`, with `secrets` masked; `log` is its output.

    The result is the content of `output.json`. Without that file, it is the last JSON object that the final message
    consists of, ends with, or has in a ```json block; else `{"text": …}` with the end of the message. Raises BadOutput
    if the file does not hold JSON that every reader of the log can take.
    """
    written = _written(workspace)
    if written is not None:
        return masked(_read(written), secrets)
    text = read_stream(log).text
    result = _object(text)
    return {"text": text[-MAX_TEXT:]} if result is None else result


def _written(workspace: Path) -> bytes | None:
    try:
        return RunFolder(workspace).read("", FILE, MAX_OUTPUT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadOutput(f"{FILE} cannot be read: {error.strerror}; write the result to a file of that name") from None
    except ValueError:
        raise BadOutput(f"{FILE} is over 1 MiB; give what other tasks need, and leave the rest in files") from None


def _opened(file: Path) -> BinaryIO:
    """Open a file that the agent may have replaced with anything, such as a pipe or a link. Raises BadOutput."""
    opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        return opened
    opened.close()
    raise BadOutput(f"{file.name} is not a regular file; write the result to a file of that name")


def _read(data: bytes) -> Any:
    try:
        return read_value(data.decode())
    except UnicodeDecodeError as error:
        raise BadOutput(f"{FILE} is not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise BadOutput(f"{FILE}: {line(str(error))}") from None


def _object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object of a message, if it has one."""
    return next((value for part in _candidates(text) if (value := _parsed(part)) is not None), None)


def _candidates(text: str) -> Iterator[str]:
    """Yield the texts that may be the result: the whole message, its blocks from the last, and its endings."""
    rows = text.strip().split("\n")
    yield "\n".join(rows)
    yield from reversed(_blocks(rows))
    starts = [at for at, row in enumerate(rows) if row.startswith("{")]
    for at in reversed(starts[-_MAX_CANDIDATES:]):
        yield "\n".join(rows[at:])


def _blocks(rows: list[str]) -> list[str]:
    """Return the content of the ```json blocks, and of blocks without a language."""
    blocks: list[str] = []
    start: int | None = None
    for at, row in enumerate(rows):
        text = row.strip()
        if start is None and text.startswith(_FENCE):
            start = at + 1
        elif start is not None and text == _FENCE:
            if rows[start - 1].strip().lower() in {_FENCE, f"{_FENCE}json"}:
                blocks.append("\n".join(rows[start:at]))
            start = None
    return blocks[-_MAX_CANDIDATES:]


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{") or len(text) > MAX_OUTPUT:
        return None
    try:
        value = read_value(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None
