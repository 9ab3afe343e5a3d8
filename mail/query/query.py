"""Asking the log: DuckDB over its files, with the SQL that `projections.py` was compiled to. Ibis is not imported.

Sealed segments are read as their Parquet twins, the active file as JSON lines with explicit columns, so that a half
written tail or a poison line is a row without an id, which is dropped. In a process that goes on, a persona's slice of
the log is kept and extended by what is new: the first question costs a scan, the next ones next to nothing.
"""

from __future__ import annotations

import ast
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO, Any, cast

import duckdb

from ..errors import LogUnavailable, UsageError
from ..log.disk import flush
from ..log.event import MAX_LINE
from ..log.segments import Segment
from ..log.snapshot import Snapshot, Source, continues

_SQL = Path(__file__).parent / "sql" / "duckdb"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "preserve_insertion_order": False,
}
_TRIES = 5  # a query that meets a rotation is asked again; five in a row cannot be


class Query:
    """Projections of one log, asked for by name. Threads may share one; they are answered in turn."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._connection = duckdb.connect(config=_CONFIG)
        self._turn = threading.Lock()
        self._shown: Snapshot | None = None
        self._held: Snapshot | None = None
        self._slices: dict[str, tuple[str, Snapshot]] = {}
        self._names = count()
        self._twins = True

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run a projection as of now; return its rows as dictionaries.

        `arguments` are exactly the parameters of `sql/duckdb/<name>.sql`. Those over a persona's mailbox are given
        `persona`, and the slice is cut or extended first. Raises LogUnavailable.
        """
        with self._turn:
            for _ in range(_TRIES):
                snapshot = self._source.snapshot()
                try:
                    found = self._answer(sql(name), arguments, snapshot)
                except duckdb.Error as error:
                    if not _moved(snapshot):
                        self._distrust(snapshot, error)
                    continue
                if not _moved(snapshot):
                    return found
        raise LogUnavailable(f"the log was rotated {_TRIES} times while it was read; try again")

    def _answer(self, text: str, arguments: dict[str, Any], snapshot: Snapshot) -> list[dict[str, Any]]:
        if '"mailbox"' in text:
            self._slice(arguments["persona"], snapshot)
        scans = text.count('"events"')
        if (scans and snapshot != self._shown) or (scans > 1 and snapshot != self._held):
            self._show(snapshot, hold=scans > 1)
        result = self._connection.execute(bound(text, arguments))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _show(self, snapshot: Snapshot, *, hold: bool) -> None:
        """Make the view `events`. Lines are slow to read, so a question that needs them twice gets them in a table."""
        self._shown = self._held = None
        lately = "lately" if hold and snapshot.size else ""
        if lately:
            lines = f"SELECT {_names()} FROM {_lines([snapshot.active])}"
            self._connection.execute(f"CREATE OR REPLACE TABLE {lately} AS {lines}")
        text = events_sql(snapshot, twins=self._twins, lately=lately)
        self._connection.execute(f'CREATE OR REPLACE VIEW "events" AS {text}')
        self._shown, self._held = snapshot, snapshot if hold else None

    def _distrust(self, snapshot: Snapshot, error: duckdb.Error) -> None:
        """Go on without the twins, which are only copies: throw them away, or where that cannot be, pass them by."""
        if not self._twins or not snapshot.sealed:
            raise LogUnavailable(f"the log could not be read: {str(error).splitlines()[0]}") from error
        self._twins = False
        self._shown = self._held = None
        self._slices.clear()
        for segment in snapshot.sealed:
            for path in (segment.parquet, segment.mailbox_parquet):
                with suppress(OSError):
                    path.unlink()

    def _slice(self, persona: str, snapshot: Snapshot) -> None:
        """Bring a persona's slice up to the snapshot and call it `mailbox`."""
        table, seen = self._slices.get(persona, (f"slice_{next(self._names)}", None))
        if seen and (seen.active != snapshot.active or not continues(seen, snapshot)):
            seen = None  # taken back, found damaged, or repaired since: what was cut from it will not do
        if seen != snapshot:
            self._slices.pop(persona, None)
            with tempfile.NamedTemporaryFile(prefix="team-mail-", suffix=".jsonl") as tail:
                mailbox_parquet, news = _news(seen, snapshot, tail, twins=self._twins)
                self._connection.execute(f'CREATE OR REPLACE VIEW "news" AS {news}')
                text = f"SELECT * FROM ({sql('mailbox')})".replace('"events"', '"news"')
                if mailbox_parquet:
                    sealed = _parquet(mailbox_parquet)
                    text += f" UNION ALL SELECT * EXCLUDE (persona) FROM {sealed} WHERE persona = $persona"
                verb = f"INSERT INTO {table}" if seen else f"CREATE OR REPLACE TABLE {table} AS"
                self._connection.execute(f"{verb} {bound(text, {'persona': persona})}")
            if not _moved(snapshot):
                self._slices[persona] = (table, snapshot)
        self._connection.execute(f'CREATE OR REPLACE VIEW "mailbox" AS SELECT * FROM {table}')


@cache
def sql(name: str) -> str:
    """Return a projection's compiled text."""
    return (_SQL / f"{name}.sql").read_text()


@cache
def columns() -> dict[str, str]:
    """Return the names and SQL types of an event's columns, in order."""
    return dict(ast.literal_eval(sql("columns").partition("\n")[2]))


def bound(text: str, arguments: dict[str, Any]) -> str:
    """Write the arguments into the SQL as literals: DuckDB's own binding would import pandas, a quarter of a second."""
    return re.sub(r"\$([a-z_]+)", lambda match: _literal(arguments[match[1]]), text)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, cast('list[Any]', value)))}]"
    text = str(value).encode(errors="replace").decode().replace("\0", "?")  # no event holds half a surrogate or a NUL
    return "'" + text.replace("'", "''") + "'"


def events_sql(snapshot: Snapshot, *, twins: bool = True, lately: str = "") -> str:
    """Write the SELECT that reads a moment of the log: complete events up to its head.

    `lately` names a table that holds what is in the active file.
    """
    copies = [segment.parquet for segment in snapshot.sealed if twins and write_twin(segment)]
    files = [segment.path for segment in snapshot.sealed if segment.parquet not in copies]
    if snapshot.size and not lately:
        files.append(snapshot.active)
    return _select(copies, files, 0, snapshot.head, lately)


def _news(seen: Snapshot | None, now: Snapshot, tail: IO[bytes], *, twins: bool) -> tuple[list[Path], str]:
    """Tell what came since an earlier moment: newly sealed segments' shares, and the SELECT of all else.

    Of an active file that is still the same only the new bytes are read, through `tail`. A segment that was sealed in
    between holds events already seen, so its share will not do and its lines are read instead.
    """
    before, start = (seen.head, seen.size) if seen else (0, 0)
    new = [segment for segment in now.sealed if segment.last > before]
    mailbox_parquet = [
        segment.mailbox_parquet for segment in new if twins and segment.first > before and write_twin(segment)
    ]
    files = [segment.path for segment in new if segment.mailbox_parquet not in mailbox_parquet]
    if seen and seen.inode == now.inode:
        with now.active.open("rb") as file:
            file.seek(start)
            tail.write(file.read(now.size - start))
            tail.flush()
        files.append(Path(tail.name))
    elif now.size:
        files.append(now.active)
    return mailbox_parquet, _select([], files, before, now.head)


def _parquet(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(map(_literal, files))}])"


def _names() -> str:
    return ", ".join(f'"{name}"' for name in columns())


def _select(twins: Sequence[Path], files: Sequence[Path], after: int, head: int, table: str = "") -> str:
    sources = [_parquet(twins)] if twins else []
    sources += [_lines(files)] if files else []
    sources += [table] if table else []
    parts = [f"SELECT {_names()} FROM {source}" for source in sources]
    if not parts:
        typed = ", ".join(f'NULL::{dtype} AS "{name}"' for name, dtype in columns().items())
        parts.append(f"SELECT {typed} WHERE false")
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE id IS NOT NULL AND seq > {after} AND seq <= {head}"


def _lines(files: Sequence[Path]) -> str:
    return (
        f"read_json([{', '.join(map(_literal, files))}], format='newline_delimited', ignore_errors=true, "
        f"maximum_object_size={2 * MAX_LINE}, columns={columns()})"
    )


def _moved(snapshot: Snapshot) -> bool:
    """Tell whether the active file was rotated away since the snapshot."""
    try:
        return snapshot.active.stat().st_ino != snapshot.inode
    except FileNotFoundError:
        return snapshot.inode != 0


def write_twin(segment: Segment) -> bool:
    """See to it that a sealed segment has its Parquet twins; False where none can be written, which costs only time.

    One holds the events in order; the other holds `mailboxes` of them, sorted by persona in small row groups, so that
    a mailbox is read without the others'.
    """
    if segment.mailbox_parquet.is_file() and segment.parquet.is_file():
        return True
    lines = f"SELECT * FROM {_lines([segment.path])} WHERE id IS NOT NULL"
    texts = {
        segment.parquet: (f"{lines} ORDER BY seq", 122_880),
        segment.mailbox_parquet: (f"SELECT * FROM ({sql('mailboxes')}) ORDER BY persona, seq", 4_096),
    }
    with suppress(duckdb.Error, OSError), duckdb.connect(config=_CONFIG) as connection:
        connection.execute(f'CREATE VIEW "events" AS {lines}')
        for path, (text, rows) in texts.items():
            temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
            try:
                options = f"FORMAT parquet, PARQUET_VERSION v2, COMPRESSION lz4_raw, ROW_GROUP_SIZE {rows}"
                connection.execute(f"COPY ({text}) TO {_literal(temporary)} ({options})")
                with temporary.open("rb") as file:
                    flush(file.fileno())  # a power cut must not leave a copy that is not one
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
        return True
    return False


def select(source: Source, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one SELECT of a person's own over the view `events`; return column names and rows.

    Nothing but SELECT is run, and no file but the log's can be read. Raises UsageError with the database's own words.
    """
    with duckdb.connect(config=_CONFIG) as connection:
        snapshot = source.snapshot()
        connection.execute(f'CREATE VIEW "events" AS {events_sql(snapshot)}')
        folders = {str(path.parent) + "/" for path in (snapshot.active, *(s.path for s in snapshot.sealed))}
        connection.execute(f"SET allowed_directories = {sorted(folders)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(text.encode().decode())
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError("only one SELECT at a time; the log is never changed by a query")
            result = connection.execute(statements[0])
            return [column[0] for column in result.description], result.fetchall()
        except (duckdb.Error, UnicodeEncodeError) as error:
            raise UsageError(f"the query failed: {str(error).splitlines()[0]}") from error
