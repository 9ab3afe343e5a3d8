"""What programs ask for over HTTP: commands as JSON, figures, and queries in SQL."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.team.console.api.outside import query as query_routes

from ..test_webhooks import EXAMPLES


@pytest.fixture
def asked(team, ask):
    """The console of a team whose personas are those of the examples."""
    team.roster("forge", "scribe")
    return ask


def test_a_command_is_done_once_by_the_header(asked):
    """As by the field."""
    request = json.loads(next(path for path in EXAMPLES if path.stem == "store_memory").read_text())["request"]
    asked.post("/api/commands", {"command": "create_session", "session": request["session"]})
    first = asked.post("/api/commands", request, key="k").json
    assert asked.post("/api/commands", request, key="k").json["result"]["id"] == first["result"]["id"]


def test_figures_are_read_by_prometheus(ask):
    """As text with its version, the same numbers as in the JSON."""
    answer = ask.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {line.split()[2] for line in answer.body.decode().splitlines() if line.startswith("# TYPE")} == {
        *ask.get("/api/metrics").json
    }


@pytest.fixture
def saved(team, ask):
    """A team with mail from ann, and a saved query with a parameter."""
    open_mailbox(team.home, create=True).send(Letter("ann", ["you"], "=1+1", "x"))
    folder = team.home / "queries"
    folder.mkdir()
    (folder / "by.sql").write_text("-- Mail by one sender\nSELECT sender, subject FROM events WHERE sender = $who\n")
    (folder / "a b.sql").write_text("SELECT 1")
    (folder / "link.sql").symlink_to("/etc/passwd")
    return ask


def test_a_saved_query_is_listed_and_asked(saved):
    """By its name, with a value for its parameter; what leads out of the folder is none."""
    (listed,) = saved.get("/api/queries").json
    assert (listed["name"], listed["about"], listed["parameters"]) == ("by", "Mail by one sender", ["who"])
    found = saved.get("/api/query", **{"name": "by", "p.who": "ann"}).json
    assert (found["columns"], found["rows"]) == (["sender", "subject"], [{"sender": "ann", "subject": "=1+1"}])
    assert saved.get("/api/query", **{"name": "by", "p.who": "ann' OR 1=1 --"}).json["rows"] == []
    table = saved.get("/api/query.csv", **{"name": "by", "p.who": "ann"})
    assert [*csv.reader(io.StringIO(table.body.decode()))] == [["sender", "subject"], ["ann", "=1+1"]]
    assert table.headers["content-disposition"] == "attachment; filename*=UTF-8''by.csv"


def test_more_rows_than_are_shown_are_told(saved):
    """Up to a thousand are."""
    found = saved.get("/api/query", sql="SELECT * FROM range(5000)", limit="9999").json
    assert (len(found["rows"]), found["more"]) == (1_000, True)
    found = saved.get("/api/query", sql="SELECT 'nan'::DOUBLE AS x, DATE '2026-01-01' AS d").json
    assert (found["rows"], found["more"]) == ([{"x": None, "d": "2026-01-01"}], False)


@pytest.mark.parametrize(
    "query",
    [
        {}, {"sql": "SELECT 1", "name": "by"}, {"name": "by"}, {"name": "../by"}, {"name": "link"},
        {"sql": "SELECT $x"}, {"sql": "SELECT 1", "p.x": "1"}, {"sql": "DELETE FROM events"},
        {"sql": "SELECT 1; SELECT 2"},
        {"sql": "SELECT * FROM read_text('/etc/passwd')"}, {"sql": "COPY events TO 'copied.csv'"}, {"sql": "SELEKT"},
    ],
    ids=str,
)  # fmt: skip
def test_a_query_that_is_none_is_refused(saved, query):
    """With what is wrong; no file is read or written."""
    for path in ("/api/query", "/api/query.json", "/api/query.csv"):
        answer = saved.get(path, **query)
        assert (answer.status, bool(answer.error)) == (422, True), answer.body
    assert not Path("copied.csv").exists()


def test_two_queries_at_once_are_enough(saved, monkeypatch):
    """Each may take a gigabyte: a third waits for its turn, and not for ever; turns are given back."""
    monkeypatch.setattr(query_routes, "_WAIT", 0.01)
    with query_routes._turns, query_routes._turns:
        refused = saved.get("/api/query", sql="SELECT 1")
        assert (refused.status, refused.error) == (503, "2 queries are under way, which take long; try again")
    for sql in ("SELECT 1", "SELECT nothing", "SELECT 1", "SELECT 1"):
        assert saved.get("/api/query", sql=sql).status in {200, 422}


def test_a_query_by_the_console_reads_no_more_than_one_at_the_terminal(ask, team):
    """Not the key of approvals, which lies beside the log; and it is ended sooner."""
    for sql in (f"SELECT * FROM read_text('{team.home}/mail/approval.key')", "COPY events TO 'x'", "PRAGMA version"):
        for path in ("/api/query", "/api/query.json", "/api/query.csv"):
            assert ask.get(path, sql=sql).status == 422, (path, sql)
