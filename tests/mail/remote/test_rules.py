"""The server repeats the rules of the strict writer, in the same bytes, and lets nobody change or forge anything."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.mail.errors import InvalidEvent, LedElsewhere, LogUnavailable
from team_mail.mail.log.event import MAX_INTEGER, MAX_LINE, Draft, decode, derived_id, serialise

from ...postgres import logins, needs_postgres, remote_log
from ...samples import STORM, examples
from ..log.test_event import drafts, nested

pytestmark = needs_postgres
TS = "2026-01-01T00:00:00.000000Z"
ID = derived_id("a caller's own")


@pytest.fixture
def log(request, tmp_path):
    return remote_log(request, tmp_path / "mail")


def middle(**fields) -> str:
    """Return the middle of a line as a client sends it, some fields replaced by other JSON."""
    own = {
        "id": f'"{ID}"', "ts": f'"{TS}"', "kind": '"mail.sent"', "sender": '"ada"', "recipients": '["bob"]',
        "subject": '""', "body": '""', "thread": f'"{ID}"', "reply_to": "null", "priority": '"normal"', "ref": "null",
        "run": "null", "data": "{}",
    } | fields  # fmt: skip
    return ",".join(f'"{name}":{value}' for name, value in own.items()).removeprefix('"id":')


def fuzz(log, batches, count):
    """Send random drafts in batches; each line has to be the one that the file log's writer makes."""

    @given(st.lists(drafts.filter(lambda draft: not draft.kind.startswith("log.")), min_size=count, max_size=count))
    @settings(
        max_examples=batches, deadline=None,
        suppress_health_check=[*HealthCheck],
    )  # fmt: skip
    def send(batch):
        before = log.head()
        events = log.append([draft._replace(id=None) for draft in batch])
        lines = [line.encode() for seq, line in log.server.lines(before.seq) if seq > before.seq]
        lines = [line for line in lines if b',"kind":"log.' not in line[:150]]
        assert [decode(line) for line in lines] == events
        for line, event, draft in zip(lines, events, batch, strict=True):
            again = serialise(draft._replace(id=event.id), event.ts)
            assert again.middle in line
            assert event[4:15] == again.event(log.head())[4:15]

    send()


def test_the_server_writes_the_bytes_of_the_file_log(log):
    """Whatever the strict writer accepts, the server accepts, and its lines are the same."""
    fuzz(log, examples(4), 25)


@STORM
def test_ten_thousand_drafts_are_written_in_the_same_bytes(log):
    """As above, often."""
    fuzz(log, 400, 25)
    print(f"{log.head().seq} events in the bytes of the file log")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": '"Mail.sent"'}, {"kind": '"mail"'}, {"kind": '"log.repaired"'}, {"id": '"1"'},
        {"id": f'"{ID.upper()}"'}, {"ts": '"yesterday"'}, {"priority": '"critical"'}, {"recipients": '["a","a"]'},
        {"recipients": '"bob"'}, {"recipients": "[1]"}, {"subject": "null"}, {"subject": "5"}, {"thread": "null"},
        {"body": r'"\u0041"'}, {"body": r'"\u0000"'}, {"body": r'"\ud800"'}, {"body": '"a\nb"'}, {"data": "[]"},
        {"data": '{"k":1,"k":2}'}, {"data": r'{"k":1,"\u006b":2}'}, {"data": '{"a":[{"k":1,"k":2}]}'},
        {"data": r'{"k":"\u0000"}'}, {"data": r'{"\ud800":1}'}, {"data": "{\n}"}, {"data": '{"k":NaN}'},
        {"data": '{"k":1e999}'}, {"data": f'{{"k":{MAX_INTEGER + 1}}}'}, {"data": f'{{"k":[-{MAX_INTEGER + 1}]}}'},
        {"data": json.dumps(nested(33), separators=(",", ":"))}, {"data": '{"k":' + "[" * 40_000 + "]" * 40_000 + "}"},
        {"data": '{"k":1},"extra":1'}, {"data": '{},"prev":"","hash":""}{"v":1'}, {"body": f'"{"x" * MAX_LINE}"'},
    ],
    ids=lambda fields: str(fields)[:40],
)  # fmt: skip
def test_what_the_strict_writer_would_refuse_the_server_refuses(log, fields):
    """A client of another make cannot put anything into the log that some reader cannot process."""
    good = middle()
    log.server.send([good], log.place)
    with pytest.raises(InvalidEvent):
        log.server.send(
            [middle(id=f'"{derived_id("another")}"'), middle(**{"id": f'"{derived_id("x")}"'} | fields)], log.place
        )
    assert [event.id for event in log.read()][1:] == [ID]


def test_what_is_at_the_limits_is_accepted(log):
    """The rules are those of the writer, and no narrower."""
    data = {
        "deep": nested(31),
        "most": MAX_INTEGER,
        "least": -MAX_INTEGER,
        "tiny": 5e-324,
        "huge": 1.7e308,
        "é\t": "\x7f",
    }
    (event,) = log.append([Draft("mail.sent", "ada", ("bob",), data=data)])
    assert [*log.read()][-1] == event
    with pytest.raises(InvalidEvent):
        log.append([Draft("mail.sent", "ada", data=nested(33))])


def test_nobody_changes_or_takes_away_a_line(log):
    """Not even the owner: by trigger, as long as the owner leaves it."""
    log.append([Draft("mail.sent", "ada")])
    log.server.put_blob(b"data")
    for table in ("lines", "blobs"):
        for words in ("UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"):
            column = "seq" if table == "lines" else "sha256"
            text = words.format(f"{log.server.address.schema}.{table}", column, column)
            with pytest.raises(LogUnavailable, match="append-only"):
                log.server.run(lambda c, text=text: c.execute(text.encode()))


@pytest.fixture
def login(log, postgres):
    """Return servers that are logged in with one of the roles of the team."""
    with logins(postgres, log.server) as make:
        yield make


RUN = {"kind": '"run.started"', "thread": "null", "id": f'"{derived_id("run")}"'}


def test_each_role_may_what_it_is_for(log, login):
    """A leader appends, a worker for its runs, a member as who it is, a reader copies; none gets past the functions."""
    leader, worker, member, reader = login("leader"), login("worker"), login("member"), login("reader")
    leader.send([middle(**RUN)], log.place)
    leader.send([middle()], "elsewhere")
    assert worker.put_blob(b"x") is None
    for refused in (worker, member):
        with pytest.raises(LogUnavailable, match=r"run\.started is for a leader"):
            refused.send([middle(**RUN | {"id": f'"{derived_id("other")}"'})], log.place)
    with pytest.raises(LogUnavailable, match="does not let this login"):
        reader.send([middle()], log.place)
    assert [seq for seq, _ in reader.lines(0)] == [1, 2, 3]
    schema = log.server.address.schema
    for server in (leader, worker, member, reader):
        for text in (
            f"INSERT INTO {schema}.lines VALUES (9, 'x', 'x', 1)", f"DELETE FROM {schema}.lines",
            f"TRUNCATE {schema}.lines", f"DO $$ BEGIN LOCK TABLE {schema}.turn IN EXCLUSIVE MODE; END $$",
            f"UPDATE {schema}.state SET value = 'x'", f"SELECT {schema}.copy_in(ARRAY['x'], 3)",
            f"SELECT {schema}.put(3, 'x', 1, 'x', false)", f"INSERT INTO {schema}.blobs VALUES ('x', 'x')",
            f"ALTER TABLE {schema}.lines DISABLE TRIGGER ALL", f"UPDATE {schema}.lease SET epoch = 9",
            f"DELETE FROM {schema}.presences", f"UPDATE {schema}.holds SET role = session_user",
            f"INSERT INTO {schema}.grants VALUES (session_user, 'ada')", f"DROP SCHEMA {schema} CASCADE",
        ):  # fmt: skip
            with pytest.raises(LogUnavailable, match="does not let this login"):
                server.run(lambda c, text=text: c.execute(text.encode()))


def test_one_host_leads_and_another_appends_mail_alone(log, tmp_path):
    """Two schedulers of one team would start each run twice. A person may move the lead; the former one is refused."""
    from team_mail.mail.remote.postgres import PostgresLog

    other = PostgresLog(tmp_path / "other" / "mail", log.server)
    log.lead()
    log.append([Draft("run.started", "scheduler")])
    other.append([Draft("mail.sent", "ada", ("bob",))])
    for refused in (other.lead, lambda: other.append([Draft("run.lost", "scheduler")])):
        with pytest.raises(LedElsewhere, match=f"led from .*{tmp_path}"):
            refused()
    other.take_lead()
    other.append([Draft("run.lost", "scheduler")])
    with pytest.raises(LedElsewhere):
        log.append([Draft("run.finished", "scheduler")])
    assert [event.kind for event in log.read()][1:] == ["run.started", "mail.sent", "run.lost"]


def test_a_closed_log_takes_nothing(log):
    """It says why."""
    log.server.set_value("closed", "moved away")
    with pytest.raises(LogUnavailable, match="is closed: moved away"):
        log.append([Draft("mail.sent", "ada")])


def test_the_schema_is_made_once_and_a_newer_one_is_refused(log):
    """`init` and `upgrade` may be called again and again."""
    from team_mail.mail.remote.schema import VERSION, state_of, upgrade

    assert upgrade(log.server) == (VERSION, VERSION)
    log.append([Draft("mail.sent", "ada")])
    log.server.put_blob(b"x")
    state = state_of(log.server)
    assert (state.version, state.events, state.blobs, state.closed) == (VERSION, 2, 1, "")
    log.server.set_value("version", str(VERSION + 1))
    with pytest.raises(LogUnavailable, match="update team-mail"):
        upgrade(log.server)


@pytest.mark.parametrize("shown", ["2026-12-01T00:00:00.000000Z"])
def test_times_have_the_form_that_the_server_asks_for(shown):
    """It is that of `rfc3339`."""
    from datetime import datetime

    assert rfc3339(datetime.fromisoformat(shown)) == shown
