"""What a query of a user may be: one SELECT that reads the log, and calls nothing that does more than compute.

DuckDB itself keeps a query from other files. But some of its functions change how the database works, such as the one
that writes its diagnostics to a file, which ends the whole process where files are forbidden; and one can run text
that is made up while the query runs. So the tree of the query is read before it is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from ..errors import UsageError
from .statement import literal

# Functions that give a table, as in FROM. Those that read files, describe them or set anything are not among them.
_TABLES = frozenset({
    "generate_series", "histogram", "histogram_values", "json_each", "json_tree", "pg_timezone_names", "range",
    "repeat", "repeat_row", "summary", "unnest", "duckdb_columns", "duckdb_functions", "duckdb_keywords",
    "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views",
})  # fmt: skip
_NAME = re.compile(r"(?a:[A-Za-z_]\w*)")
_FORBIDDEN = frozenset({"write_log", "nextval", "current_setting", "getenv"})


class Limits(NamedTuple):
    """How long a query may take, in seconds, how many rows are read of its result, and its memory, as `500MB`."""

    seconds: float = 300.0
    rows: int = 1_000_000
    memory: str | None = None

    def late(self) -> UsageError:
        """Return the error of a query that was interrupted."""
        return UsageError(f"the query took more than {self.seconds:g} s and was ended; narrow it, as by seq or kind")


def execution(arguments: Mapping[str, Any]) -> str:
    """Return the SQL that runs the prepared query `asked` with values for its parameters. Raises UsageError."""
    for name in arguments:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a parameter: letters, digits and '_', the first no digit")
    return f"EXECUTE asked({', '.join(f'{name} := {literal(value)}' for name, value in arguments.items())})"


def tree_sql(text: str) -> str:
    """Return the SQL that reads the tree of a query, without running it."""
    return f"SELECT json_serialize_sql({literal(text)}::VARCHAR)"


def check_tree(tree: str) -> None:
    """Raise UsageError if the tree of a query, as JSON, is none of one SELECT that only reads the log."""
    try:
        parsed = json.loads(tree)
    except RecursionError:
        raise UsageError("the query is nested too deep") from None
    statements = parsed.get("statements", [])
    if parsed.get("error") and parsed.get("error_type") != "not implemented":
        raise UsageError(f"the query failed: {str(parsed.get('error_message')).splitlines()[0]}")
    if len(statements) != 1:
        more = "" if not statements else f", and this is {len(statements)} statements"
        raise UsageError(f"only one SELECT at a time{more}; the log is never changed by a query")
    for function, gives_table in _functions(statements):
        if function in _FORBIDDEN or (gives_table and function not in _TABLES):
            raise UsageError(
                f"{function} may not be called: a query reads the log, from the view `events`, and no more"
            )


def _functions(node: Any) -> Iterator[tuple[str, bool]]:
    """Yield each function that a part of a tree calls, and whether it gives a table."""
    left = [node]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += cast("list[Any]", part)
        if not isinstance(part, dict):
            continue
        fields = cast("dict[str, Any]", part)
        left += fields.values()
        if name := fields.get("function_name"):
            yield str(name).lower(), False
        if fields.get("type") == "TABLE_FUNCTION":
            called = cast("dict[str, Any]", fields.get("function") or {})
            yield str(called.get("function_name", "?")).lower(), True
