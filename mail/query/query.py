"""Queries on the files of a log by DuckDB, with the SQL compiled from Ibis expressions. Ibis is not imported.

Sealed segments are read from their Parquet copies, the active file as JSON lines with explicit columns: a torn or
malformed line becomes a row without an id, which is dropped. A long-lived process keeps what the active file holds, and
the slices of personas, and extends both by new events: the first query costs a scan, later ones very little.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from ..errors import LogDamaged, LogUnavailable, UsageError
from ..kinds import MailKind
from ..log.snapshot import Snapshot, Source, continues, extends, has_moved, read_active, seen_of_active
from .allowed import Limits, check_tree, execution, tree_sql
from .copies import copied, drop_copies
from .prepared import Prepared
from .slices import Slices
from .statement import (
    CONFIG,
    bound,
    escaped,
    literal,
    of_mailbox,
    reachable,
    scan_events,
    scan_parquet,
    scan_part,
    sql,
)

# What is wrong with a query itself, whatever the log is like.
_WRONG = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, UnicodeEncodeError)
_UNDOING = ", ".join(map(literal, (MailKind.UNREAD, MailKind.UNARCHIVED, MailKind.RESTORED)))
_UNDONE = f'SELECT count(*) FROM "standing" WHERE kind IN ({_UNDOING})'
_CLOSED = {"temp_directory": "", "python_enable_replacements": False}  # no files of its own, no variables of ours
_LIMITS = Limits()
_TRIES = 5  # a query that coincides with a rotation is repeated; five in a row are practically impossible


class Query:
    """Projections of one log, run by name. Threads may share an instance; they take turns.

    `on_damage` is called when the log turns out to be damaged; from then on, what verifies is read.
    """

    def __init__(self, source: Source, on_damage: Callable[[], object] = lambda: None) -> None:
        self._source = source
        self._on_damage = on_damage
        self._verified = False
        self._connection = memory_connection()
        self._turn = threading.Lock()
        self._prepared = Prepared(self._connection)
        self._views: dict[str, str] = {}
        self._shown: Snapshot | None = None
        self._held: Snapshot | None = None
        self._stood: Snapshot | None = None
        self._kept: Snapshot | None = None
        self._slices = Slices(self._connection)
        self._use_parquet = True

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run a projection as of now and return its rows.

        `arguments` are all parameters of its SQL. One over a persona's mailbox takes `persona`, whose slice is made or
        extended first. Raises LogUnavailable, LogDamaged.
        """
        with self._turn:
            for _ in range(_TRIES):
                snapshot = self._source.snapshot()
                try:
                    rows = self._run(sql(name), arguments, snapshot)
                except (duckdb.Error, FileNotFoundError) as error:
                    if not has_moved(snapshot):
                        self._distrust(snapshot, error)
                    continue
                if not has_moved(snapshot):
                    return rows
        raise LogUnavailable(f"the log was rotated {_TRIES} times while it was read; try again")

    def _run(self, text: str, arguments: dict[str, Any], snapshot: Snapshot) -> list[dict[str, Any]]:
        if of_mailbox(text):
            table = self._slices.mailbox(arguments["persona"], snapshot, use_parquet=self._use_parquet)
            if '"launches"' in text:
                self._launch(table, snapshot)
            text = text.replace('"mailbox"', table)
        if '"letters"' in text:
            table = self._slices.letters(arguments["persona"], snapshot, use_parquet=self._use_parquet)
            text = text.replace('"letters"', table)
        scans, stands = text.count('"events"'), '"standing"' in text
        if scans or stands:
            self._show(snapshot, hold=scans > 1 or stands or self._shown is not None)
        if stands and snapshot != self._stood:
            self._stand(snapshot)
        if scans and (snapshot.sealed or not self._held):  # only literals let DuckDB pass over parts of files
            return result_rows(self._connection.execute(bound(text, arguments)))
        return result_rows(self._prepared.run(text, arguments))

    def _show(self, snapshot: Snapshot, *, hold: bool) -> None:
        """Create the view `events`. Lines are slow to read: who needs them twice gets them as the table `lately`."""
        if snapshot == (self._held if hold else self._shown):
            return
        seen, self._shown, self._held = self._held, None, None
        copies, files = copied(snapshot.sealed, use_parquet=self._use_parquet)
        if hold:
            self._extend(seen, snapshot)
        elif snapshot.size:
            files.append(snapshot.active)
        head = snapshot.sealed[-1].last if hold and snapshot.sealed else snapshot.head
        text = scan_events([segment.parquet for segment in copies], files, 0, head)
        if hold:
            text = f"{text} UNION ALL FROM lately" if snapshot.sealed else "FROM lately"
        self._view("events", text)
        self._shown, self._held = snapshot, snapshot if hold else None

    def _extend(self, seen: Snapshot | None, snapshot: Snapshot) -> None:
        """Bring the table `lately` of what is in the active file from an earlier snapshot to this one."""
        start = seen_of_active(seen, snapshot) if seen and extends(seen, snapshot) else 0
        if not seen or not start:
            text = scan_events([], [snapshot.active] if snapshot.size else [], 0, snapshot.head)
            self._connection.execute(f"CREATE OR REPLACE TABLE lately AS {text}")
        elif start < snapshot.size:
            with tempfile.NamedTemporaryFile(prefix="team-mail-", suffix=".jsonl") as tail:
                tail.write(read_active(snapshot, start))
                tail.flush()
                text = scan_events([], [Path(tail.name)], seen.head, snapshot.head)
                self._connection.execute(f"INSERT INTO lately {text}")

    def _view(self, name: str, text: str) -> None:
        """Create a view unless it is there: whenever one is created, DuckDB makes all its plans anew."""
        if self._views.get(name) != text:
            self._connection.execute(f'CREATE OR REPLACE VIEW "{name}" AS {text}')
            self._views[name] = text

    def _stand(self, snapshot: Snapshot) -> None:
        """Create the view `standing`: what sealed segments leave open, from the table `kept`, and all later events.

        And the view `again`: all events if somebody undid a mark, so that its message may be in none of these.
        """
        self._keep(snapshot)
        text = "SELECT * EXCLUDE (v, body, prev) FROM lately"
        if snapshot.sealed:
            text = f'SELECT * FROM "kept" UNION ALL BY NAME {text}'
        self._view("standing", text)
        undone = self._prepared.run(_UNDONE, {}).fetchone()
        none = "" if undone and undone[0] else " WHERE false"
        self._view("again", f'SELECT * FROM "events"{none}')
        self._stood = snapshot

    def _keep(self, snapshot: Snapshot) -> None:
        """Create the table `kept` of what sealed segments leave open, unless it is there: from copies or from lines."""
        kept = self._kept
        if not snapshot.sealed or (kept and kept.sealed == snapshot.sealed and continues(kept, snapshot)):
            return
        self._kept = None
        copies, files = copied(snapshot.sealed, use_parquet=self._use_parquet)
        parts = [f"SELECT * FROM {scan_parquet([each.standing_parquet for each in copies])}"] if copies else []
        if files:
            self._connection.execute(f'CREATE OR REPLACE VIEW "rest" AS {scan_events([], files, 0, snapshot.head)}')
            own = sql("standing").replace('"events"', '"rest"')
            parts.append(f"SELECT * FROM ({own})")
        self._connection.execute("SET threads = 1")  # many small files: more threads take memory, and gain nothing
        try:
            self._connection.execute(f'CREATE OR REPLACE TABLE "kept" AS {" UNION ALL BY NAME ".join(parts)}')
        finally:
            self._connection.execute("RESET threads")
        self._kept = snapshot

    def _distrust(self, snapshot: Snapshot, error: Exception) -> None:
        """Stop using the Parquet copies and delete them where possible; without copies, look for damage.

        Raises LogDamaged if there is some that cannot be left out, and LogUnavailable.
        """
        self._shown = self._held = self._stood = self._kept = None
        self._slices.clear()
        self._views.clear()
        if not self._use_parquet or not snapshot.sealed:
            corrupt = self._source.damage()
            if corrupt and not self._verified:  # the next snapshot is a copy of what verifies
                self._verified = True
                self._on_damage()
                return
            if corrupt:
                raise LogDamaged(f"{corrupt[0]}; nothing can be read around it until `team-mail repair`") from error
            raise LogUnavailable(f"the log could not be read: {str(error).splitlines()[0]}") from error
        self._use_parquet = False
        for segment in snapshot.sealed:
            drop_copies(segment)

    def _launch(self, table: str, snapshot: Snapshot) -> None:
        """Create the view `launches`: the starts of runs in the slice, and those that are in the mailbox copies."""
        copies, files = copied(snapshot.sealed, use_parquet=self._use_parquet)
        parts = [f"SELECT * FROM {table}"]
        if copies:
            parts.append(scan_part([segment.mailbox_parquet for segment in copies], "*"))
        if files:  # a slice that was made of copies has none of their starts
            own = sql("mailbox").replace('"events"', f"({scan_events([], files, 0, snapshot.head)})")
            parts.append(bound(own, {"persona": ""}))
        self._view("launches", " UNION ALL ".join(f"SELECT * FROM ({part})" for part in parts))


def memory_connection() -> duckdb.DuckDBPyConnection:
    """Return a connection to a new, empty database in memory."""
    return duckdb.connect(config=CONFIG)


def result_rows(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of a result as dictionaries by column name."""
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def events_sql(snapshot: Snapshot) -> str:
    """Return the SELECT that reads a snapshot: the complete events up to its head."""
    copies, files = copied(snapshot.sealed, use_parquet=True)
    if snapshot.size:
        files.append(snapshot.active)
    return scan_events([segment.parquet for segment in copies], files, 0, snapshot.head)


def select(
    source: Source, text: str, parameters: Mapping[str, Any] | None = None, limits: Limits = _LIMITS
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run one SELECT given by a user over the view `events`; return column names and rows, as many as the limits let.

    `parameters` are the values of `$name` in it. Only a SELECT is run, and only the log's files can be read.
    Of a damaged log, what verifies is read. Raises UsageError with the database's message.
    """
    try:
        return _selected(source, text, parameters or {}, limits)
    except _WRONG as error:
        raise _failed(error) from error
    except duckdb.InterruptException:
        raise limits.late() from None
    except duckdb.Error as error:  # of the query, or of a line that the database cannot pass over
        if not source.damage():
            raise _failed(error) from error
    try:
        return _selected(source, text, parameters or {}, limits)
    except duckdb.InterruptException:
        raise limits.late() from None
    except duckdb.Error as error:
        raise _failed(error) from error


def _failed(error: Exception) -> UsageError:
    return UsageError(f"the query failed: {str(error).splitlines()[0]}")


def _selected(
    source: Source, text: str, parameters: Mapping[str, Any], limits: Limits
) -> tuple[list[str], list[tuple[Any, ...]]]:
    with duckdb.connect(config=CONFIG | _CLOSED) as connection:
        snapshot = source.snapshot()
        connection.execute(f'CREATE VIEW "events" AS {events_sql(snapshot)}')
        _close(connection, snapshot, limits)
        text = text.encode().decode()
        check_tree(str(connection.execute(tree_sql(text)).fetchall()[0][0]))
        late = threading.Timer(limits.seconds, connection.interrupt)
        late.start()
        try:
            if parameters:
                connection.execute(f"PREPARE asked AS {text}")
            result = connection.execute(execution(parameters) if parameters else text)
            return [column[0] for column in result.description], result.fetchmany(limits.rows)
        finally:
            late.cancel()
            late.join()  # not after the connection is closed


def _close(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, limits: Limits) -> None:
    """Let a connection read the files of the log and no other, and let nothing of this be undone."""
    files = [snapshot.active, *(path for each in snapshot.sealed for path in (each.path, each.parquet))]
    places = {str(folder / file.name) for file in files for folder in (file.parent, reachable(file.parent))}
    allowed = sorted(places | {escaped(place) for place in places})  # the path is checked as it is written
    if limits.memory:
        connection.execute(f"SET memory_limit = {literal(limits.memory)}")
    connection.execute(f"SET allowed_paths = {literal(allowed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
