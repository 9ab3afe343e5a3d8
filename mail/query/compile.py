"""Compile the projections to the SQL that is shipped: `make sql`."""

from __future__ import annotations

import re
from pathlib import Path

import ibis
from ibis.backends.sql.datatypes import DuckDBType

from .projections import EVENT_SCHEMA, LIMIT, PROJECTIONS
from .projections_schedule import SCHEDULES

DIALECTS = ("duckdb",)
SQL = Path(__file__).parent / "sql"


def compiled(dialect: str) -> dict[str, str]:
    """Compile every projection to SQL text with named parameters, by file name; `columns.sql` is the schema."""
    builds = (*PROJECTIONS, *SCHEDULES)
    texts = {f"{build.__name__}.sql": ibis.to_sql(build(), dialect=dialect, pretty=True) for build in builds}
    texts = {name: re.sub(r"ARGUMENT\('(\w+)'\)", r"$\1", text) for name, text in texts.items()}
    texts = {name: text.replace(f"LIMIT {LIMIT}", "LIMIT $limit") for name, text in texts.items()}
    types = ", ".join(f"'{name}': '{DuckDBType.to_string(dtype)}'" for name, dtype in EVENT_SCHEMA.items())
    texts["columns.sql"] = f"{{{types}}}"
    return {
        name: f"-- Compiled from {'projections.py'} by `make sql`.\n{text.strip()}\n" for name, text in texts.items()
    }


def write() -> None:
    """Write the compiled SQL beside this module."""
    for dialect in DIALECTS:
        folder = SQL / dialect
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in compiled(dialect).items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    write()
