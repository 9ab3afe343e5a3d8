"""What a user may ask of the log in SQL, and that nothing else of this machine is read, changed or taken by it."""

from __future__ import annotations

import time

import pytest
from team_mail.mail.errors import UsageError
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log
from team_mail.mail.query.allowed import Limits
from team_mail.mail.query.query import select

from ...console import run_command

DO_NOT_CALL = "may not be called"
ATTACKS = {
    "SELECT * FROM read_text('{secret}')": DO_NOT_CALL,
    "SELECT * FROM read_blob('{key}')": DO_NOT_CALL,
    "SELECT * FROM read_csv('{secret}')": DO_NOT_CALL,
    "SELECT * FROM read_json('s3://bucket/x')": DO_NOT_CALL,
    "SELECT (SELECT content FROM \"read_text\"('{key}'))": DO_NOT_CALL,
    "WITH a AS (SELECT * FROM system.main.READ_TEXT('{key}')) SELECT * FROM a": DO_NOT_CALL,
    "SELECT * FROM events, LATERAL read_text('{secret}')": DO_NOT_CALL,
    "SELECT * FROM '{secret}'": "the query failed",
    "SELECT * FROM '{key}'": "the query failed",
    "SELECT * FROM 'http://127.0.0.1:9/x.csv'": "the query failed",
    "SELECT * FROM glob('{folder}/*')": DO_NOT_CALL,
    "SELECT * FROM sniff_csv('{secret}')": DO_NOT_CALL,
    "SELECT * FROM parquet_metadata('{secret}')": DO_NOT_CALL,
    "SELECT * FROM query('SELECT * FROM read_' || 'text(''{secret}'')')": DO_NOT_CALL,
    "SELECT * FROM query_table('secret')": DO_NOT_CALL,
    "SELECT * FROM json_execute_serialized_sql('{{}}')": DO_NOT_CALL,
    "SELECT * FROM enable_logging(storage='file', storage_config={{'path': '{folder}/out'}})": DO_NOT_CALL,
    "SELECT * FROM enable_profiling(save_location='{folder}/out')": DO_NOT_CALL,
    "SELECT * FROM checkpoint()": DO_NOT_CALL,
    "SELECT * FROM duckdb_settings()": DO_NOT_CALL,
    "SELECT * FROM duckdb_secrets()": DO_NOT_CALL,
    "SELECT current_setting('allowed_paths')": DO_NOT_CALL,
    "SELECT getenv('HOME')": DO_NOT_CALL,
    "SELECT * FROM variable_of_python": "the query failed",
    "COPY events TO '{folder}/out'": "only one SELECT",
    "COPY (SELECT 1) TO '{folder}/mail/out'": "only one SELECT",
    "EXPLAIN ANALYZE COPY events TO '{folder}/mail/out'": "only one SELECT",
    "EXPORT DATABASE '{folder}/out'": "only one SELECT",
    "ATTACH '{folder}/out'": "only one SELECT",
    "INSTALL httpfs": "only one SELECT",
    "LOAD httpfs": "only one SELECT",
    "PRAGMA database_list": "only one SELECT",
    "/* x */ PRAGMA enable_profiling": "only one SELECT",
    "CALL pragma_version()": "only one SELECT",
    "SET allowed_paths = ['{secret}']": "only one SELECT",
    "RESET lock_configuration": "only one SELECT",
    "CREATE TABLE x AS SELECT 1": "only one SELECT",
    "DROP VIEW events": "only one SELECT",
    "DELETE FROM events": "only one SELECT",
    "WITH x AS (DELETE FROM events RETURNING *) SELECT * FROM x": "the query failed",
    "SELECT 1; COPY events TO '{folder}/out'": "the query failed|only one SELECT",
    "SELECT 1; SELECT 2": "this is 2 statements",
    "SELEC": "the query failed",
    "": "only one SELECT",
    "SELECT '\ud800'": "the query failed",
}


@pytest.fixture
def place(tmp_path):
    """A team's folder with a log, the key of its approvals beside it, and a secret elsewhere."""
    log = open_log(tmp_path)
    log.append([Draft("mail.sent", "you", ("ann",), 'it\'s "here"')])
    (tmp_path / "mail" / "approval.key").write_text("topsecret")
    (tmp_path / "secret.txt").write_text("topsecret")
    return tmp_path


def test_a_query_reads_nothing_but_the_log_and_changes_nothing(place, monkeypatch):
    """Neither other files of this machine nor of the team, as the key of approvals is; and it calls nothing else."""
    monkeypatch.chdir(place)
    variable_of_python = [1]
    log, before = open_log(place), sorted(path for path in place.rglob("*"))
    for attack, why in ATTACKS.items():
        text = attack.format(secret=place / "secret.txt", key=place / "mail" / "approval.key", folder=place)
        with pytest.raises(UsageError, match=why):
            pytest.fail(f"{text} gave {select(log, text)}")
    assert sorted(path for path in place.rglob("*")) == before
    assert variable_of_python


def test_the_command_refuses_the_same(place):
    """It is one function for both doors; nothing of what was asked for is shown."""
    env = {"TEAM_HOME": str(place), "PATH": "/usr/bin:/bin"}
    for text in (f"SELECT * FROM read_text('{place}/mail/approval.key')", f"COPY events TO '{place}/out'"):
        ended = run_command("team-mail", "query", text, cwd=place, env=env)
        assert (ended.returncode, b"topsecret" in ended.stdout + ended.stderr) == (2, False)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT subject FROM events WHERE kind = 'mail.sent'", "FROM events SELECT subject WHERE seq = 2;",
        "WITH a AS (SELECT * FROM events) SELECT subject FROM a, range(1) WHERE seq = 2 -- a comment",
        "SELECT max(subject) OVER (PARTITION BY kind) FROM events WHERE seq = 2",
        "SELECT subject FROM events, unnest(recipients) AS who(name) WHERE name = 'ann'",
    ],
)  # fmt: skip
def test_what_questions_need_is_there(place, text):
    """Windows, tables of one's own, lists, comments."""
    assert select(open_log(place), text)[1] == [('it\'s "here"',)]
    assert select(open_log(place), "DESCRIBE events")[1]


def test_values_of_parameters_are_values(place):
    """Whatever is in them; a name that is none is refused, and so is a query without its value."""
    log, text = open_log(place), "SELECT seq FROM events WHERE subject = $subject"
    assert select(log, text, {"subject": 'it\'s "here"'})[1] == [(2,)]
    assert select(log, text, {"subject": "' OR 1=1 --"})[1] == []
    for given in ({}, {"other": "x"}, {"subject := 1); COPY events TO 'x'; --": "x"}):
        with pytest.raises(UsageError):
            select(log, text, given)


def test_a_query_that_takes_too_long_is_ended_and_a_long_result_cut(place):
    """The log is not damaged by that, and the next query is answered."""
    log, began = open_log(place), time.monotonic()
    endless = "SELECT count(*) FROM range(100000000000) t(x) WHERE x % 7 = 3"
    with pytest.raises(UsageError, match=r"took more than 0\.2 s"):
        select(log, endless, None, Limits(seconds=0.2))
    print(f"ended after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 10
    assert select(log, "SELECT * FROM range(1000)", None, Limits(rows=3))[1] == [(0,), (1,), (2,)]
    with pytest.raises(UsageError, match="emory"):
        select(log, "SELECT list(x) FROM range(100000000) t(x)", None, Limits(memory="50MB"))
    assert select(log, "SELECT count(*) FROM events")[1] == [(2,)]


@pytest.mark.parametrize("opening", ["(", "[", "- -", "NOT ", "abs("])
def test_a_query_that_is_nested_without_end_is_refused(place, opening):
    """It ends neither the process nor its thread."""
    closing = {"(": ")", "[": "]", "abs(": ")"}.get(opening, "")
    with pytest.raises(UsageError):
        select(open_log(place), f"SELECT {opening * 20_000} 1 {closing * 20_000}")
