"""Routes that ask the log in SQL, read-only: what is in the address, or a query that is saved in the team's folder."""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .....mail.errors import UsageError
from .....mail.log.disk import read_file
from .....mail.open import open_log
from .....mail.query.allowed import Limits
from .....mail.text.nearest import suggestion
from ...common.answer import Refused
from ...common.console import Console
from ...common.route import MOST_ROWS, Asked, Page, Reply, Route
from ...common.variables import described
from ..mail import download

_FOLDER, _MOST_SAVED, _MOST_TEXT = "queries", 200, 1 << 16
_LIMITS = Limits(seconds=20.0, rows=100_000, memory="1GB")  # of one request; the terminal has more
_AT_ONCE, _WAIT, _BUSY = 2, 5.0, 503  # queries of one server, seconds that others wait, and their status then
_turns = threading.BoundedSemaphore(_AT_ONCE)
_PARAMETER = re.compile(r"(?<![\w$])\$([A-Za-z_]\w*)")
_NAME = re.compile(r"[\w.-]{1,64}")
_ASKED = ("sql", "name", "p.NAME")
_GIVEN = "p."  # in front of a parameter's name, in an address


class Saved(NamedTuple):
    """A query in `.team/queries`: the name of its file, its first comment, and its text."""

    name: str
    about: str
    sql: str

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object, with the names of its parameters."""
        return {"name": self.name, "about": self.about, "sql": self.sql, "parameters": parameters(self.sql)}


def parameters(sql: str) -> list[str]:
    """Return the names of a query's parameters, such as `who` of `$who`, each once."""
    return [*dict.fromkeys(_PARAMETER.findall(sql))]


def saved(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """List the queries that are saved in `.team/queries/*.sql`."""
    del asked
    return [each.document() for each in _saved(console)]


def query(console: Console, asked: Asked) -> dict[str, Any]:
    """Carry out a query; return its text, parameters and columns, and its rows as `team-mail query --json`.

    `more` tells that there are more rows than are shown.
    """
    sql, given = _asked_for(console, asked)
    limit = asked.number("limit", MOST_ROWS, 1) or MOST_ROWS
    columns, rows = _rows(console, sql, given)
    shown = rows[: min(limit, MOST_ROWS)]
    return {
        "sql": sql, "parameters": given, "columns": columns,
        "rows": [dict(zip(columns, row, strict=True)) for row in shown], "more": len(rows) > len(shown),
    }  # fmt: skip


def sheet(console: Console, asked: Asked) -> dict[str, Any]:
    """Return what a page of SQL shows: saved queries, the query that is asked for, its fields, and its rows or why not.

    `result` is None, and `error` is "", as long as nothing is asked, or a parameter has no value yet.
    """
    queries = [each.document() for each in _saved(console)]
    text = asked.text("sql") or next((each["sql"] for each in queries if each["name"] == asked.text("name")), "")
    fields = {name: asked.query.get(f"{_GIVEN}{name}", "") for name in parameters(text)}
    shown: dict[str, Any] = {"queries": queries, "sql": text, "fields": fields, "result": None, "error": ""}
    if not (asked.text("sql") or asked.text("name")) or any(f"{_GIVEN}{name}" not in asked.query for name in fields):
        return shown | {"most": MOST_ROWS}
    try:
        shown["result"] = query(console, asked)
    except UsageError as error:
        shown["error"] = str(error)
    return shown | {"most": MOST_ROWS}


def as_json(console: Console, asked: Asked) -> list[dict[str, Any]]:
    """Return all rows of a query, as `team-mail query --json`."""
    columns, rows = _rows(console, *_asked_for(console, asked))
    return [dict(zip(columns, row, strict=True)) for row in rows]


def as_csv(console: Console, asked: Asked) -> Reply:
    """Return all rows of a query as a table, which a browser saves."""
    columns, rows = _rows(console, *_asked_for(console, asked))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([["" if value is None else value for value in row] for row in rows])
    name = f"{asked.text('name') or 'query'}.csv"
    return download(text.getvalue().encode(errors="replace"), name, "text/csv; charset=utf-8")


def _rows(console: Console, sql: str, given: dict[str, str]) -> tuple[list[str], list[tuple[Any, ...]]]:
    from .....mail.query.query import select  # the server does not wait for the database

    if not _turns.acquire(timeout=_WAIT):
        raise Refused(_BUSY, f"{_AT_ONCE} queries are under way, which take long; try again")
    try:
        return select(open_log(console.context.home), sql, given, _LIMITS)
    finally:
        _turns.release()


def _asked_for(console: Console, asked: Asked) -> tuple[str, dict[str, str]]:
    """Return the text of a query and the values of its parameters. Raises UsageError."""
    sql, name = asked.text("sql"), asked.text("name")
    if (sql is None) == (name is None):
        raise UsageError("ask what? Give sql, or the name of a saved query")
    if sql is None:
        known = {each.name: each for each in _saved(console)}
        if name not in known:
            raise UsageError(f"there is no saved query {name!r}{suggestion(str(name), known)}")
        sql = known[name].sql
    given = {key.removeprefix(_GIVEN): value for key, value in asked.query.items() if key.startswith(_GIVEN)}
    wanted = parameters(sql)
    if missing := [each for each in wanted if each not in given]:
        raise UsageError(f"{missing[0]}: the query needs a value, p.{missing[0]}=…")
    if unknown := [each for each in given if each not in wanted]:
        raise UsageError(f"the query has no parameter {unknown[0]!r}{suggestion(unknown[0], wanted)}")
    return sql, given


def _saved(console: Console) -> list[Saved]:
    folder = console.context.home / _FOLDER
    paths = sorted(folder.glob("*.sql"))[:_MOST_SAVED] if folder.is_dir() else []
    return [*_read(paths)]


def _read(paths: list[Path]) -> Iterator[Saved]:
    for path in paths:
        try:
            text = read_file(path)[:_MOST_TEXT].decode()
        except (OSError, UnicodeDecodeError):  # such as a link, which leads out of the folder
            continue
        if _NAME.fullmatch(path.stem):
            first = text.lstrip().splitlines()[0] if text.strip() else ""
            yield Saved(path.stem, first.removeprefix("--").strip() if first.startswith("--") else "", text)


ROUTES = (
    Route("GET", "/api/query", "Ask the log in SQL: `sql` or `name`, and `p.NAME` for each `$NAME`.", query,
          query=described("limit", *_ASKED)),
    Route("GET", "/api/query.json", "All rows, as `team-mail query --json`.", as_json, query=described(*_ASKED)),
    Route("GET", "/api/query.csv", "All rows as a table.", as_csv, query=described(*_ASKED)),
    Route("GET", "/api/views/sql", "A query with its fields, and its rows or what is wrong with it.", sheet,
          query=described("limit", *_ASKED), page=Page("/sql", "sql.html")),
    Route("GET", "/api/queries", "The saved queries, `.team/queries/*.sql`.", saved),
)  # fmt: skip
