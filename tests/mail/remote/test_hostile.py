"""What somebody with the login of a worker sends who writes SQL of their own."""

from __future__ import annotations

import pytest
from team_mail.mail.errors import LogUnavailable, TeamMailError
from team_mail.mail.log.event import Draft, derived_id, serialise
from team_mail.mail.process import myself
from team_mail.mail.remote.schema import VERSION, upgrade

from ...postgres import logins, needs_postgres, remote_log

pytestmark = needs_postgres
TS = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
def log(request, tmp_path):
    return remote_log(request, tmp_path / "mail")


@pytest.fixture
def login(log, postgres):
    """Return servers that are logged in with one of the roles of the team."""
    with logins(postgres, log.server) as make:
        yield make


@pytest.mark.parametrize(
    "form", ["ARRAY[[%(text)s]]", "('[0:0]={}'::text[] || %(text)s)", "ARRAY[%(text)s, NULL]", "ARRAY[NULL::text]"]
)
@pytest.mark.parametrize("role", ["worker", "leader"])
def test_no_form_of_an_array_leads_past_the_rules(log, login, form, role):
    """Of one event the first is judged: it has to be the one that is written."""
    log.append([Draft("mail.sent", "ada", ("bob",), "hello")])
    made = serialise(Draft("mail.sent", "ada", ("bob",), "hello"), TS).middle.decode()
    text = made.replace('"kind":"mail.sent"', '"kind":"run.finished"') + ',"kind":"mail.sent"'  # the last one counts
    server, schema = login(role), log.server.address.schema
    log.server.grant(server.address.url.split("//")[1].split("@")[0], "ada")
    before = log.head()
    with pytest.raises(TeamMailError):
        server.rows(f"SELECT * FROM {schema}.send({form}, 'a place', 0)", {"text": text})
    assert log.head() == before


@pytest.mark.parametrize(
    ("process", "what"),
    [
        ('{"boot":"x","pid":1,"start":"y"}', "no JSON"),
        ('{"boot":"x","pid":1,"start":"y"}', "[]"),
        ('{"boot":"x","pid":1,"start":"y"}', '{"a":' * 3000 + "1" + "}" * 3000),
        ('{"boot":"x","pid":1,"start":"y","z":' + "[" * 3000 + "]" * 3000 + "}", "{}"),
        ('{"boot":"x","pid":1,"start":"y","z":"' + "z" * 100_000 + '"}', "{}"),
        ('{"boot":"x","pid":1,"start":"y","pid":[]}', "{}"),
    ],
)
def test_what_a_login_tells_of_itself_stops_nobody_who_asks(log, login, process, what):
    """Whoever leads asks every second who is there."""
    other = login("member")
    with pytest.raises(TeamMailError):
        other.beat(process, "a place", "a host", what, 0)
    with log.beat({"boot": "b", "pid": 2, "start": "s"}, {}):
        assert [each.process for each in log.presences()] == [{"boot": "b", "pid": 2, "start": "s"}]


@pytest.mark.parametrize(
    "process",
    [{"boot": [], "pid": 1, "start": {}}, {"boot": "x", "pid": "y", "start": None}, {"pid": -1}, {"pid": 2**53}, {}],
)
def test_a_process_of_no_form_is_not_there(log, process):
    """It stands in `run.taken` as a worker wrote it."""
    log.append([Draft("mail.sent", "ada", ("bob",), "hello")])
    assert log.present(process) is False
    assert log.present(process | {"boot": myself()["boot"]}) is False


def test_a_login_tells_of_few_processes_and_that_none_of_them_leads(log, login):
    """Every host reads them all, again and again; those that are gone make room."""
    other, schema = login("worker"), log.server.address.schema
    tell = f"""SELECT {schema}.beat(format('{{"boot":"%%s","pid":1,"start":"1"}}', n), 'p', 'h', '{{}}', 3)"""
    for _ in range(2):
        other.rows(f"{tell} FROM generate_series(1, 500) AS n", {})
    with pytest.raises(TeamMailError, match="tells of 500 processes already"):
        other.rows(f"{tell} FROM generate_series(501, 501) AS n", {})
    assert {each.epoch for each in log.presences()} == {0}
    log.server.rows(f"UPDATE {schema}.presences SET expires = expires - interval '1 minute' WHERE boot <> '7'", {})
    other.rows(f"{tell} FROM generate_series(501, 501) AS n", {})
    assert {each.process["boot"] for each in log.presences()} == {"7", "501"}


def test_an_id_that_somebody_has_used_for_another_event_is_told(log):
    """Ids of what a leader writes can be foreseen; it must not take mail for its own event, and wait for that."""
    own = derived_id("offered", "run-1", "2")
    log.append([Draft("mail.sent", "ada", ("bob",), "hello", id=own)])
    with pytest.raises(LogUnavailable, match=r"event 2, mail\.sent by ada, has the id of a run\.offered"):
        log.append([Draft("run.offered", "scheduler", run="run-1", data={"epoch": 2}, id=own)])
    assert [event.kind for event in log.append([Draft("mail.sent", "ada", ("bob",), "hello", id=own)])] == ["mail.sent"]


def test_a_lock_that_any_login_can_take_holds_up_no_upgrade(log, login):
    """One that is advisory, everybody may keep."""
    schema, other = log.server.address.schema, login("reader")
    other.rows("SELECT pg_advisory_lock(hashtext('team-mail'), hashtext(%(schema)s))", {"schema": schema})
    log.server.rows("SET lock_timeout = '1s'", {})
    assert upgrade(log.server) == (VERSION, VERSION)
