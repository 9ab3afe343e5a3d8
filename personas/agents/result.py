"""What a run gives as its result: the file that it wrote, else the JSON its last message holds, else that message."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from ...mail.render import line
from ..errors import BadOutput
from ..value import blotted, read_value
from .stream import MAX_LOG, read_stream

FILE = "output.json"  # in the run's folder; the agent knows it as TEAM_OUTPUT
MAX_OUTPUT = 1 << 20  # bytes
MAX_TEXT = 20_000  # characters of a message that is the result
_TRIES = 20  # objects that a message may end with, tried from the last
_FENCE = "```"


def log_of(folder: Path) -> bytes:
    """Return the last ten megabytes that a run printed; nothing where the agent took its own log away."""
    try:
        with _opened(folder / "output.log") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_LOG))
            return log.read(MAX_LOG)
    except (OSError, BadOutput):
        return b""


def output_of(folder: Path, log: bytes, secrets: Collection[str] = ()) -> Any:
    """Return the result of the run whose papers are in `folder`; `log` is all that it said, without `secrets`.

    That is what `output.json` holds; without one, the last JSON object that the final message consists of, ends with,
    or has in a block of ```json; else `{"text": …}` with the message's end. Raises BadOutput for a file that holds no
    JSON that others could read.
    """
    written = _written(folder / FILE)
    if written is not None:
        return blotted(_read(written), secrets)
    text = read_stream(log).text
    found = _object(text)
    return {"text": text[-MAX_TEXT:]} if found is None else found


def _written(file: Path) -> bytes | None:
    try:
        with _opened(file) as opened:
            return opened.read(MAX_OUTPUT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadOutput(f"{FILE} cannot be read: {error.strerror}") from None


def _opened(file: Path) -> BinaryIO:
    """Open a file that an agent can have made anything of: a pipe, a link to elsewhere."""
    opened = os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        return opened
    opened.close()
    raise BadOutput(f"{file.name} is no regular file; write the result into a file of that name")


def _read(data: bytes) -> Any:
    if len(data) > MAX_OUTPUT:
        raise BadOutput(f"{FILE} is over 1 MiB; give what others need to know, and leave the rest in files")
    try:
        return read_value(data.decode())
    except UnicodeDecodeError as error:
        raise BadOutput(f"{FILE} is not UTF-8 at byte {error.start}") from None
    except ValueError as error:
        raise BadOutput(f"{FILE} {line(str(error))}") from None


def _object(text: str) -> dict[str, Any] | None:
    """Find the last JSON object of a message."""
    return next((found for part in _candidates(text) if (found := _parsed(part)) is not None), None)


def _candidates(text: str) -> Iterator[str]:
    """Go through what may be the result: the whole, its blocks from the last, what it ends with."""
    rows = text.strip().split("\n")
    yield "\n".join(rows)
    yield from reversed(_blocks(rows))
    begins = [at for at, row in enumerate(rows) if row.startswith("{")]
    for at in reversed(begins[-_TRIES:]):
        yield "\n".join(rows[at:])


def _blocks(rows: list[str]) -> list[str]:
    """Return what stands in blocks of ```json, or of ``` with no language told."""
    blocks: list[str] = []
    begin: int | None = None
    for at, row in enumerate(rows):
        told = row.strip()
        if begin is None and told.startswith(_FENCE):
            begin = at + 1
        elif begin is not None and told == _FENCE:
            if rows[begin - 1].strip().lower() in {_FENCE, f"{_FENCE}json"}:
                blocks.append("\n".join(rows[begin:at]))
            begin = None
    return blocks[-_TRIES:]


def _parsed(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{") or len(text) > MAX_OUTPUT:
        return None
    try:
        found = read_value(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
