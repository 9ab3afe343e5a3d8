"""Statements that are planned once: what they answer is that of a statement planned anew."""

import duckdb
import pytest
from team_mail.mail.query.prepared import Prepared

STATEMENTS = {
    "SELECT * FROM events WHERE kind = 'mail.sent' ORDER BY seq": {},
    "SELECT kind, count(*) FROM events WHERE seq > CAST($after AS BIGINT) GROUP BY 1 ORDER BY 1": {"after": 2},
    "SELECT a.seq FROM events a JOIN events b ON a.seq = b.seq WHERE a.kind <> $kind ORDER BY 1": {"kind": "tick.done"},
    "SELECT seq FROM events WHERE array_contains(CAST($roster AS TEXT[]), kind) ORDER BY 1": {"roster": ["mail.sent"]},
    "SELECT seq FROM events ORDER BY kind, seq LIMIT $limit": {"limit": 3},
    "SELECT count(*) FROM events WHERE CAST($until AS BIGINT) IS NULL OR seq < CAST($until AS BIGINT)": {"until": None},
}


@pytest.mark.parametrize(("text", "arguments"), STATEMENTS.items())
def test_a_statement_meets_rows_that_came_after_its_plan(text, arguments):
    """Whatever the table held when it was planned: here nothing that the conditions are about."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE kept (seq BIGINT, kind VARCHAR)")
    connection.execute("INSERT INTO kept VALUES (1, 'tick.done')")
    connection.execute("CREATE VIEW events AS SELECT * FROM kept WHERE kind IS NOT NULL")
    prepared = Prepared(connection)
    for _ in range(3):  # with literals, then planned, then as planned
        first = prepared.run(text, arguments).fetchall()

    connection.execute(
        "INSERT INTO kept VALUES (-9000000000, 'mail.sent'), (7, 'a kind that is longer than the other')"
    )

    rows = prepared.run(text, arguments).fetchall()
    assert rows == Prepared(connection).run(text, arguments).fetchall()
    assert rows != first


def test_each_question_is_asked_with_its_own_arguments():
    """None, too, which has no type."""
    connection = duckdb.connect()
    prepared = Prepared(connection)
    text = "SELECT coalesce(CAST($number AS BIGINT), -1), CAST($name AS VARCHAR)"
    for _ in range(3):
        assert prepared.run(text, {"number": 3, "name": "it's"}).fetchall() == [(3, "it's")]
        assert prepared.run(text, {"number": None, "name": "$name"}).fetchall() == [(-1, "$name")]
        assert prepared.run(text, {"number": 1 << 40, "name": None}).fetchall() == [(1 << 40, None)]
