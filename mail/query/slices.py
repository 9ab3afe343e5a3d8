"""Slices of the log that a long-lived process keeps: what concerns one persona, as tables that grow with the log.

The rows of a slice depend on one event each, so a later question reads only what is new: lines of the active file that
name the persona, and segments that were sealed meanwhile. Each question says up to where the log goes, so that what was
written a moment ago is in the answer, whoever wrote it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..log.snapshot import Snapshot, extends, has_moved, read_active, seen_of_active
from .copies import copied
from .lines import lines_about
from .statement import bound, scan_events, scan_part, sql

MAILBOX, LETTERS = "mailbox", "letters"
MOST_TEXT = 32 << 20  # characters of the texts of all slices; each takes two to three bytes of memory


class Connection(Protocol):
    """A connection to DuckDB, as far as slices need it."""

    def execute(self, query: str, /) -> Any:
        """Run a statement and return its result. Raises duckdb.Error."""
        ...


class _Slice(NamedTuple):
    table: str
    seen: Snapshot
    size: int = 0  # characters of its texts


class Slices:
    """The slices in one database: the mailboxes of personas, and the texts of their letters for searches.

    Texts have at most `MOST_TEXT` characters together, but for those of the last search: those that were
    not searched for the longest time go first.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: dict[tuple[str, str], _Slice] = {}
        self._large: set[str] = set()  # personas whose texts alone are too many
        self._numbers = count()

    def clear(self) -> None:
        """Forget what was read."""
        for key in [*self._kept]:
            self._drop(key)
        self._large.clear()

    def mailbox(self, persona: str, snapshot: Snapshot, *, use_parquet: bool) -> str:
        """Bring a persona's mailbox up to the snapshot; return its table."""
        table, seen, _ = self._begun(MAILBOX, persona, snapshot)
        if seen != snapshot:
            before = seen.head if seen else 0
            new = [segment for segment in snapshot.sealed if segment.last > before]
            copies, files = copied([each for each in new if each.first > before], use_parquet=use_parquet)
            files += [each.path for each in new if each.first <= before]  # of which a part was seen
            with _tail(seen, snapshot, persona) as tail:
                text = _of(MAILBOX, persona, scan_events([], [*files, *tail], before, snapshot.head))
                if copies:
                    text += f" UNION ALL {scan_part([each.mailbox_parquet for each in copies], persona)}"
                self._put(table, text, new=seen is None)
        self._keep(MAILBOX, persona, _Slice(table, snapshot))
        return table

    def letters(self, persona: str | None, snapshot: Snapshot, *, use_parquet: bool) -> str:
        """Bring the texts that a search looks through up to the snapshot; return their table, or a query for them.

        Those of everybody are not kept, nor those of a persona that alone has too many, once that is known.
        """
        self._make_room()
        if persona is None or persona in self._large:
            return f"({bound(sql(LETTERS), {'persona': persona})})"
        table, seen, size = self._begun(LETTERS, persona, snapshot)
        if seen != snapshot:
            before = seen.head if seen else 0
            new = [segment for segment in snapshot.sealed if segment.last > before]
            copies, files = copied(new, use_parquet=use_parquet)
            with _tail(seen, snapshot, persona) as tail:
                events = scan_events([each.parquet for each in copies], [*files, *tail], before, snapshot.head)
                self._put(table, _of(LETTERS, persona, events), new=seen is None)
            size = self._size(table)
        self._keep(LETTERS, persona, _Slice(table, snapshot, size))
        return table

    def _begun(self, name: str, persona: str, snapshot: Snapshot) -> tuple[str, Snapshot | None, int]:
        """Take a slice out; return its table, up to where it stands (None if it is to be made anew), and its size."""
        kept = self._kept.pop((name, persona), None)
        if kept is None or not extends(kept.seen, snapshot):
            return kept.table if kept else f"slice_{next(self._numbers)}", None, 0
        return kept

    def _keep(self, name: str, persona: str, made: _Slice) -> None:
        """Put a slice back, as the one that was used last, unless its files were moved while they were read."""
        if not has_moved(made.seen):
            self._kept[name, persona] = made

    def _put(self, table: str, text: str, *, new: bool) -> None:
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} AS {text}" if new else f"INSERT INTO {table} {text}")

    def _size(self, table: str) -> int:
        row = self._connection.execute(f"SELECT coalesce(sum(length), 0) FROM {table}").fetchone()
        return int(row[0])

    def _make_room(self) -> None:
        """Drop the texts that were not searched for the longest time, until the others are few enough."""
        while sum(each.size for each in self._kept.values()) > MOST_TEXT:
            key = next(key for key in self._kept if key[0] == LETTERS)
            if self._kept[key].size > MOST_TEXT:
                self._large.add(key[1])
            self._drop(key)

    def _drop(self, key: tuple[str, str]) -> None:
        self._connection.execute(f"DROP TABLE IF EXISTS {self._kept.pop(key).table}")


def _of(name: str, persona: str, events: str) -> str:
    """Return the SELECT of a persona's rows in a SELECT of events."""
    return f'WITH "events" AS ({events}) SELECT * FROM ({bound(sql(name), {"persona": persona})})'


@contextmanager
def _tail(seen: Snapshot | None, now: Snapshot, persona: str) -> Generator[list[Path]]:
    """Yield a file of the lines of the active file that are new and may concern a persona; no file if it is empty."""
    if not now.size:
        yield []
        return
    with tempfile.NamedTemporaryFile(prefix="team-mail-", suffix=".jsonl") as file:
        file.writelines(lines_about(persona, read_active(now, seen_of_active(seen, now))))
        file.flush()
        yield [Path(file.name)]
