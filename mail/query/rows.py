"""Rows of named projections: the protocol, and its implementation over the files of a log.

A projection is named like a file of compiled SQL: `inbox` is `mail/query/sql/duckdb/inbox.sql`. A package outside of
mail that has projections of its own puts its dotted name in front: `scheduler.state.schedule`.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..log.snapshot import Source

if TYPE_CHECKING:
    from .query import Query


class Projections(Protocol):
    """Answers to named questions about one log."""

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run the projection `name` as of now and return its rows.

        `arguments` are all parameters of its compiled SQL. Raises LogUnavailable if the log cannot be read.
        """
        ...


class FileProjections:
    """Projections by DuckDB over the segments of a log. Threads may share an instance; they take turns.

    DuckDB is loaded by the first question, so a command that only sends does not wait for it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def _query(self) -> Query:
        from .query import Query

        return Query(self._source)

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run the projection `name` as of now and return its rows. Raises LogUnavailable."""
        return self._query.rows(name, **arguments)
