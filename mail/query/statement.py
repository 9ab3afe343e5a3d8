"""The text of SQL: compiled projections, arguments as literals, and scans of a log's files."""

from __future__ import annotations

import ast
import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..log.event import MAX_LINE

_PACKAGES = Path(__file__).parents[2]  # where the dotted name of a package with projections starts
_OWN = ("mail", "query")
CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "preserve_insertion_order": False,
}


@cache
def sql(name: str) -> str:
    """Return the compiled SQL of a projection: `inbox`, or `scheduler.state.schedule` for one of another package."""
    *package, projection = name.split(".")
    return _PACKAGES.joinpath(*(package or _OWN), "sql", "duckdb", f"{projection}.sql").read_text()


@cache
def columns() -> dict[str, str]:
    """Return the names and SQL types of an event's columns, in order."""
    return dict(ast.literal_eval(sql("columns").partition("\n")[2]))


def bound(text: str, arguments: dict[str, Any]) -> str:
    """Insert the arguments into the SQL as literals: DuckDB's own binding imports pandas, which takes 0.25 seconds."""
    return re.sub(r"\$([a-z_]+)", lambda match: literal(arguments[match[1]]), text)


def literal(value: Any) -> str:
    """Return a value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(literal, cast('list[Any]', value)))}]"
    text = str(value).encode(errors="replace").decode().replace("\0", "?")  # no event contains a lone surrogate or NUL
    return "'" + text.replace("'", "''") + "'"


def of_mailbox(text: str) -> bool:
    """Return whether a projection asks about one persona's mailbox, or about the starts of runs beside it."""
    return '"mailbox"' in text or '"launches"' in text


def names() -> str:
    """Return the quoted names of an event's columns."""
    return ", ".join(f'"{name}"' for name in columns())


def scan_lines(files: Sequence[Path]) -> str:
    """Return the scan of files of JSON lines, with the columns of an event."""
    return (
        f"read_json([{', '.join(map(_pattern, files))}], format='newline_delimited', ignore_errors=true, "
        f"maximum_object_size={2 * MAX_LINE}, columns={columns()})"
    )


def scan_parquet(files: Sequence[Path]) -> str:
    """Return the scan of Parquet files."""
    return f"read_parquet([{', '.join(map(_pattern, files))}])"


def scan_events(parquet: Sequence[Path], files: Sequence[Path], after: int, head: int) -> str:
    """Return the SELECT of the complete events with a seq in (`after`, `head`] in Parquet copies and files of lines."""
    sources = [scan_parquet(parquet)] if parquet else []
    sources += [scan_lines(files)] if files else []
    parts = [f"SELECT {names()} FROM {source}" for source in sources]
    if not parts:
        typed = ", ".join(f'NULL::{dtype} AS "{name}"' for name, dtype in columns().items())
        parts.append(f"SELECT {typed} WHERE false")
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE id IS NOT NULL AND seq > {after} AND seq <= {head}"


def scan_part(copies: Sequence[Path], persona: str) -> str:
    """Return the SELECT of one persona's part of mailbox copies; DuckDB skips the others."""
    return f"SELECT * EXCLUDE (persona) FROM {scan_parquet(copies)} WHERE persona = {literal(persona)}"


def _pattern(path: Path) -> str:
    """Return the literal of a pattern that matches this path alone: DuckDB takes `app[1]` for `app1`."""
    return literal(escaped(str(reachable(path.parent) / path.name)))


def reachable(folder: Path) -> Path:
    """Return a folder by a name that DuckDB can match: with wildcards, no pattern does a backslash; all are UTF-8."""
    text = str(folder)
    hidden = "\\" in text and escaped(text) != text
    return _link_to(folder) if hidden or text.encode(errors="replace").decode() != text else folder


@cache
def _link_to(folder: Path) -> Path:
    place = Path(tempfile.mkdtemp(prefix="team-mail-"))
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(place, ignore_errors=True))  # not in a fork
    link = place / "folder"
    link.symlink_to(folder.absolute())
    return link


def escaped(path: str) -> str:
    """Return a pattern that matches a path alone."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)
