"""Compile projections to the SQL that is shipped: `make sql` names the modules that define them.

Each module has a tuple `PROJECTIONS` of functions that return an Ibis expression. The SQL goes to the folder `sql`
beside it, one file for each function and dialect.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import cast

import ibis
from ibis.backends.sql.datatypes import DuckDBType

from .projections import EVENT_SCHEMA, LIMIT

DIALECTS = ("duckdb",)


def sql_folder(module: ModuleType) -> Path:
    """Return the folder of a module's compiled SQL, which has a folder for each dialect."""
    return Path(cast("str", module.__file__)).parent / "sql"


def compiled(module: ModuleType, dialect: str) -> dict[str, str]:
    """Compile the projections of a module to SQL with named parameters; return the texts by file name.

    The module that defines `EVENT_SCHEMA` also gets `columns.sql`, the names and types of an event's columns.
    """
    texts = {
        f"{build.__name__}.sql": ibis.to_sql(build(), dialect=dialect, pretty=True) for build in module.PROJECTIONS
    }
    texts = {name: re.sub(r"ARGUMENT\('(\w+)'\)", r"$\1", text) for name, text in texts.items()}
    texts = {name: text.replace(f"LIMIT {LIMIT}", "LIMIT $limit") for name, text in texts.items()}
    if hasattr(module, "EVENT_SCHEMA"):
        types = ", ".join(f"'{name}': '{DuckDBType.to_string(dtype)}'" for name, dtype in EVENT_SCHEMA.items())
        texts["columns.sql"] = f"{{{types}}}"
    return {name: f"-- Compiled from projections.py by `make sql`.\n{text.strip()}\n" for name, text in texts.items()}


def write(module: ModuleType) -> None:
    """Write the compiled SQL of a module."""
    for dialect in DIALECTS:
        folder = sql_folder(module) / dialect
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in compiled(module, dialect).items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write(import_module(name))
