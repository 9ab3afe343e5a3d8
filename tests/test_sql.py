"""The shipped SQL is the SQL that the projections compile to, and every list that it makes has one order."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from team_mail.mail.log.event import Draft
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.compile import DIALECTS, compiled, sql_folder
from team_mail.mail.query.rows import FileProjections

ROOT = Path(__file__).parent.parent
# What one row of a list is; every list that is not named here has one row for each event.
ROWS = {
    "counts": {"persona"}, "held": {"ref"}, "inboxes": {"seq", "persona"}, "mails": {"first"},
    "overdue": {"seq", "persona"}, "people": {"name"},
    "figures": {"kind", "status", "agent", "name", "passed"}, "played": {"agent"}, "states": {"ref", "persona"},
    "spent": {"day"}, "stats": {"kind"}, "tagged": {"tag"},
    "unreachable": {"seq", "persona"}, "unread": {"seq", "persona"},
}  # fmt: skip
UNORDERED = {
    "columns": "no query",
    "letters": "becomes a table, which the search puts in order",
    "mailbox": "becomes a table, which other projections put in order",
    "mailboxes": "becomes a Parquet copy, whose writer puts it in order",
    "standing": "becomes a table, which other projections put in order",
}
MODULES = re.findall(r"team_mail\.\w[\w.]*\.projections", (ROOT / "Makefile").read_text())


def test_make_sql_compiles_every_module_of_projections():
    """A new module of projections is named in the Makefile, or its SQL would never be written."""
    files = {path.relative_to(ROOT) for path in ROOT.glob("[mpst]*/*/projections.py")}
    assert sorted(MODULES) == sorted(".".join(("team_mail", *path.with_suffix("").parts)) for path in files)


@pytest.mark.parametrize("module", [import_module(name) for name in MODULES], ids=MODULES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_shipped_sql_is_what_the_projections_compile_to(module, dialect):
    """The SQL is never edited by hand, and a projection is never changed without compiling it."""
    folder = sql_folder(module) / dialect
    shipped = {path.name: path.read_text() for path in folder.iterdir()}
    fresh = compiled(module, dialect)

    stale = sorted(name for name in fresh.keys() | shipped.keys() if fresh.get(name) != shipped.get(name))
    assert not stale, f"{folder.relative_to(ROOT)} does not match projections.py: {', '.join(stale)}; run `make sql`"


@pytest.mark.parametrize("module", [import_module(name) for name in MODULES], ids=MODULES)
def test_every_folder_of_sql_is_a_dialect(module):
    """SQL of a dialect that is no longer compiled is deleted."""
    assert sorted(path.name for path in sql_folder(module).iterdir()) == sorted(DIALECTS)


SHIPPED = {path.stem: path for name in MODULES for path in sql_folder(import_module(name)).glob("*/*.sql")}


@pytest.mark.parametrize("name", sorted(SHIPPED.keys() - UNORDERED.keys()))
def test_every_list_has_a_total_order(name):
    """The outermost ORDER BY names what makes a row unique, so that rows never come in any order."""
    statement = sqlglot.parse_one(re.sub(r"\$(\w+)", "NULL", SHIPPED[name].read_text()), dialect="duckdb")
    order = statement.args.get("order")
    assert order is not None, f"{name} has no ORDER BY"
    ordered = {key.this.name for key in order.expressions if isinstance(key.this, exp.Column)}
    assert ROWS.get(name, {"seq"}) <= ordered
    assert ordered <= set(statement.named_selects) or statement.is_star


def test_the_exceptions_exist():
    """A projection that is gone leaves no exception behind."""
    assert ROWS.keys() | UNORDERED.keys() <= SHIPPED.keys()


def test_the_keys_of_the_lists_are_unique(tmp_path):
    """With mail to everybody, marked by everybody, no two rows agree in what is said to tell them apart."""
    log, people = EventLog(tmp_path / "mail"), [f"persona-{number}" for number in range(9)]
    for number in range(12):
        due = {"due": "2020-01-01T00:00:00Z", "channel": "review"}
        sender, *to = people[number % 9 :] + people[: number % 9]
        (mail,) = log.append([Draft("mail.sent", sender, tuple(to), "words words", "words", data=due)])
        verbs = ("read", "acked")[: number % 3]
        log.append([Draft(f"mail.{verb}", who, ref=mail.id) for verb in verbs for who in to[:4]])
        log.append([Draft("mail.tagged", who, ref=mail.id, data={"tag": who}) for who in to])
        log.append([Draft("run.started", "scheduler", run=f"run-{number}", data={"persona": to[0]})])
    ids = [event.id for event in log.read()]
    arguments = {
        "persona": people[0], "ids": ids, "words": ["words", "mail"], "limit": 1000, "roster": people, "state": "all",
        "unread": False, "sender": None, "type": None, "tag": None, "as_of_seq": 10**9, "as_of_ts": "9",
        "now": "2030", "since": "2020", "days": ["2020"],
        "key": "", "seq": 0, "thread": ids[1], "dispatch": None, "written": "",
        "before": 10**9, "channel": "review", "until": 10**9, "lately": 0, "most": 9, "agents": [], "base": "",
        "session": None, "sprint": None, "status": None, "runs": [f"run-{number}" for number in range(12)],
    }  # fmt: skip
    query, checked = FileProjections(log), 0
    for name in sorted(SHIPPED.keys() - UNORDERED.keys()):
        package = "" if "mail" in SHIPPED[name].relative_to(ROOT).parts else "scheduler.state."
        for roster in (people, []):  # unreachable are those that are not on it
            rows = query.rows(package + name, **arguments | {"roster": roster})
            keys = [tuple(row[key] for key in sorted(ROWS.get(name, {"seq"}))) for row in rows]
            assert len(set(keys)) == len(keys), name
            checked += len(keys) > 1
            assert rows == FileProjections(log).rows(package + name, **arguments | {"roster": roster})
    assert checked > 20
