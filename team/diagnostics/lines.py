"""Lines of diagnostics as `logging` formats them: JSON of at most 16 KiB whatever is in it, or text."""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as _quoted
from math import isfinite
from typing import Any

from ...mail.text.escape import line

LIMIT = 16 << 10  # bytes of a line with its newline
_LONG, _SHORT, _ERROR = 4_000, 200, 2_000  # characters
_LEAST = 250  # characters of a message in a line that would be too long otherwise
_FEW = 24  # characters of another value in such a line
LOGGER = "team_mail"
_LEVELS = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARNING", logging.ERROR: "ERROR"}


class Line(logging.LogRecord):
    """A record of ours. It is made without a look at the stack, which would take half of its time."""

    def __init__(self, level: int, text: str, fields: dict[str, Any]) -> None:  # pyright: ignore[reportMissingSuperCall]
        self.name, self.levelno, self.levelname = LOGGER, level, _LEVELS[level]
        self.msg, self.args, self.created = text, (), time.time()
        self.exc_info = self.exc_text = self.stack_info = None
        self.fields = fields


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: ts, level, program, pid, msg, then the fields that the record has."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = f'"program":{_quoted(program)},"pid":'
        self._second, self._stamp = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its newline."""
        text, fields = record.getMessage(), _fields(record)
        encoded = self._encoded(record, _text(text, _LONG), fields, _ERROR, _SHORT)
        return encoded if len(encoded) < LIMIT else self._encoded(record, _text(text, _LEAST), fields, _LEAST, _FEW)

    def _encoded(self, record: logging.LogRecord, text: str, fields: dict[str, Any], error: int, other: int) -> str:
        second, fraction = divmod(record.created, 1)
        if second != self._second:
            self._stamp = datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds")[:19]
            self._second = second
        head = f'{{"ts":"{self._stamp}.{int(fraction * 1e6):06}Z","level":"{record.levelname.lower()}",{self._program}'
        parts = [f'{head}{os.getpid()},"msg":{_quoted(text)}']
        for name, value in fields.items():
            if isinstance(value, str):
                parts.append(f'"{name}":{_quoted(_text(value, error if name == "error" else other))}')
            else:
                parts.append(f'"{name}":{_number(value)}')
        return f"{','.join(parts)}}}"


class TextLines(logging.Formatter):
    """One line for people: time, level, message, and the fields behind it."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its newline."""
        fields = " ".join(f"{name}={_text(str(value), _SHORT)}" for name, value in _fields(record).items())
        text = f"{_time(record)} {record.levelname:7} {self._program}: {_text(record.getMessage(), _LONG)}"
        return line(f"{text}  {fields}" if fields else text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:26] + "Z"


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = record.fields if isinstance(record, Line) else {}
    if record.exc_info and record.exc_info[1]:
        error = record.exc_info[1]
        return fields | {"error": f"{type(error).__name__}: {error}"}
    return fields


def _text(text: str, most: int) -> str:
    """Cut a text; a lone surrogate, which is no text, becomes a question mark."""
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return text if text.isascii() else text.encode(errors="replace").decode()


def _number(value: object) -> str:
    """Encode what is no text; what JSON does not have is null."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, int | float) and isfinite(value) else "null"
