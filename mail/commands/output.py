"""Running a command: its streams, which may be closed, full or of a narrow encoding, and its errors."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ..errors import TeamMailError, UsageError
from ..kinds import ExitCode
from ..log.disk import reason_of
from ..text.escape import clean


def run_app(name: str, app: Any, before: Callable[[], object] = lambda: None) -> None:
    """Run a Typer application as `run` does."""
    _leave_only(app, sys.argv[1:2])
    run(name, lambda: app(prog_name=name), before)


def run(name: str, command: Callable[[], object], before: Callable[[], object] = lambda: None) -> None:
    """Call `before`, run a command and exit; an error is one line on stderr and an exit code."""
    prepare()
    try:
        before()
        flushed(command)
    except KeyboardInterrupt:
        silence()
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        silence()
        sys.exit(ExitCode.FAILED)
    except (TeamMailError, OSError) as error:
        silence()
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        reason = where + reason_of(error) if isinstance(error, OSError) else str(error)
        reason = "; ".join([reason, *getattr(error, "__notes__", ())])
        sys.stderr.write(f"{name}: {clean(reason)}\n")
        sys.exit(error.exit_code if isinstance(error, TeamMailError) else ExitCode.FAILED)


def _leave_only(app: Any, words: list[str]) -> None:
    """Remove all commands except the one that is run: building two dozen parsers takes a fifth of a cold start."""
    command = [c for c in app.registered_commands if [c.name or getattr(c.callback, "__name__", "")] == words]
    if command:
        app.registered_commands, app.registered_groups = command, []


def prepare() -> None:
    """Make the streams escape characters that their encoding lacks, and replace closed streams by /dev/null."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - it was closed
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the process ends
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - else the next opened file takes its descriptor
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def are_terminals(*streams: TextIO | None) -> bool:
    """Tell whether all of some standard streams are terminals; one that was closed is None, and is none."""
    return all(stream is not None and stream.isatty() for stream in streams)


def flushed(run: Callable[[], object]) -> None:
    """Call `run` and flush its output, so that a full output is an error here and not at exit."""
    try:
        run()
    finally:
        sys.stdout.flush()


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text, escaped, on standard output or standard error.

    All that commands say goes through here, since most of it has names that an agent chose: of files, personas, tags.
    """
    out = sys.stderr if err else sys.stdout
    out.write(clean(text) + ("\n" if nl else ""))
    out.flush()


def tell(text: str) -> None:
    """Print text on standard error as `say` does, if there is any."""
    if text:
        say(text, err=True)


def write_bytes(data: bytes, path: Path | None) -> None:
    """Write bytes to a file, or to standard output; on a terminal, text is escaped and other bytes are refused.

    Raises UsageError for bytes that are not UTF-8 text on a terminal, and OSError.
    """
    if path is not None:
        path.write_bytes(data)
    elif not sys.stdout.isatty():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    else:
        try:
            sys.stdout.write(clean(_text(data)))
        except UnicodeDecodeError:
            raise UsageError("the attachment is binary and not shown on a terminal; write it with --out FILE") from None


def _text(data: bytes) -> str:
    """Decode UTF-8 text. Raises UnicodeDecodeError, for bytes with NUL too."""
    if b"\0" in data:
        raise UnicodeDecodeError("utf-8", data, data.index(b"\0"), data.index(b"\0") + 1, "NUL is not text")
    return data.decode()


def silence() -> None:
    """Discard the rest of standard output if it cannot be written, so that Python does not fail at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
