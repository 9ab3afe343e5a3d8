"""Rows of named projections: the protocol, and its implementation over the files of a log.

A projection is named like a file of compiled SQL: `inbox` is `mail/query/sql/duckdb/inbox.sql`. A package outside of
mail that has projections of its own puts its dotted name in front: `scheduler.state.schedule`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..log.disk import open_file
from ..log.snapshot import Source

if TYPE_CHECKING:
    from .query import Query


_QUICK = 4 << 20  # bytes that are looked through in less time than it takes to load the database


class Projections(Protocol):
    """Answers to named questions about one log."""

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run the projection `name` as of now and return its rows.

        `arguments` are all parameters of its compiled SQL. Raises LogUnavailable if the log cannot be read.
        """
        ...

    def part(self, seq: int) -> int:
        """Return the first seq of the part of the log that an event is in; `standing` has all that was open there."""
        ...

    def lacks(self, *texts: str) -> bool:
        """Tell whether no line of the log has any of these texts, where that can be told without a database.

        Who asks for events that all have one need not ask then.
        """
        ...


class FileProjections:
    """Projections by DuckDB over the segments of a log. Threads may share an instance; they take turns.

    DuckDB is loaded by the first question, so a command that only sends does not wait for it. `on_damage` is called
    when the log turns out to be damaged; from then on, what verifies is read.
    """

    def __init__(self, source: Source, on_damage: Callable[[], object] = lambda: None) -> None:
        self._source = source
        self._on_damage = on_damage

    @cached_property
    def _query(self) -> Query:
        from .query import Query

        return Query(self._source, self._on_damage)

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run the projection `name` as of now and return its rows. Raises LogUnavailable, LogDamaged."""
        return self._query.rows(name, **arguments)

    def part(self, seq: int) -> int:
        """Return the first seq of the file that an event is in."""
        return max((segment.last + 1 for segment in self._source.snapshot().sealed if segment.last < seq), default=1)

    def lacks(self, *texts: str) -> bool:
        """Look through a log that is one file of a few megabytes. Raises LogUnavailable, LogDamaged."""
        snapshot = self._source.snapshot()
        if snapshot.sealed or snapshot.size > _QUICK:
            return False
        try:
            with open_file(snapshot.active) as file:
                lines = file.read(snapshot.size)
        except FileNotFoundError:  # there is none yet, or it was sealed meanwhile
            return not snapshot.size
        return not any(text.encode() in lines for text in texts)
