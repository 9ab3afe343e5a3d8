"""The events of a log as a table of Ibis, for questions that no projection answers."""

from __future__ import annotations

from typing import Any

import ibis

from ..log.snapshot import Source
from .query import events_sql


def bound_events(source: Source) -> Any:
    """Return `events` bound to a log's files as of now, on its own DuckDB connection."""
    connection = ibis.duckdb.connect()
    connection.raw_sql(f'CREATE VIEW "events" AS {events_sql(source.snapshot())}')
    return connection.table("events")
