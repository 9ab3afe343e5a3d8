"""The fold of sessions against a list of rules, and the acts of two programs with the same log."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.directory import Directory
from team_mail.mail.errors import UnknownRecipient, UsageError
from team_mail.mail.log.blobs import MemoryBlobs
from team_mail.mail.log.event import Draft
from team_mail.mail.log.memory import MemoryLog
from team_mail.mail.mailbox import Mailbox
from team_mail.mail.query.memory import MemoryProjections
from team_mail.scheduler.errors import NoSuchSession, SessionError, SessionExists
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.sessions.session import fold_sessions
from team_mail.scheduler.sessions.sessions import Sessions, check_startable
from team_mail.scheduler.state.recent import fact_of_event

from ...samples import examples

TEAM = Directory(frozenset({"forge", "scribe"}), {}, "you")
VERBS = ("created", "paused", "resumed", "completed", "deleted")


def opened(log):
    return Sessions(Mailbox(log, MemoryBlobs(), MemoryProjections(log), TEAM))


@pytest.fixture
def log():
    return MemoryLog()


def naive(steps):
    """The status of each session by a table of what leads where."""
    leads = {
        ("active", "paused"): "paused", ("active", "completed"): "completed", ("paused", "resumed"): "active",
        ("paused", "completed"): "completed",
    }  # fmt: skip
    status = {}
    for name, verb, again in steps:
        if verb == "created":
            status.setdefault(name, "active")
        elif name in status:
            now = status[name]
            if verb == "deleted":
                status[name] = "deleted"
            elif verb == "resumed" and again:
                status[name] = "active"
            else:
                status[name] = leads.get((now, verb), now)
    return status


@settings(max_examples=examples(25))
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(VERBS), st.booleans()), max_size=12))
def test_the_status_is_what_a_table_of_rules_says(steps):
    """Whatever order events come in, and whoever wrote nonsense between."""
    log = MemoryLog()
    for name, verb, again in steps:
        data = {"session": name, "title": "", "participants": []} | ({"again": True} if again else {})
        log.append([Draft(f"session.{verb}", "you", data=data), Draft(f"session.{verb}", "scheduler", data=data)])
        log.append([Draft("session.paused", "you", data={"session": 7})])
    folded = fold_sessions(map(fact_of_event, log.read()))
    assert {name: str(each.status) for name, each in folded.items()} == naive(steps)


def test_two_programs_that_create_a_session_at_once_write_one_event(log):
    """The second one is told so, unless it repeats a request by its key."""
    ours, theirs = opened(log), opened(log)
    ours.create("login", "you", "Log in", ["forge", "forge@team"], key="k")
    with pytest.raises(SessionExists, match=r"^Session 'login' already exists. Use resume_session to continue.$"):
        theirs.create("login", "you")
    assert theirs.create("login", "you", "Log in", ["forge"], key="k").participants == ("forge",)
    with pytest.raises(SessionExists):
        theirs.create("login", "you", "Another", key="k")
    assert [event.kind for event in log.read()].count("session.created") == 1


def test_two_programs_that_change_a_session_at_once_write_one_event(log):
    """Who comes second reads again: it finds what it wanted, or is refused."""
    ours, theirs = opened(log), opened(log)
    ours.create("login", "you")
    first = []

    def others_first(_):
        if not first:
            first.append(theirs.change("login", Kind.SESSION_PAUSED, "forge"))

    session, now = ours.change("login", Kind.SESSION_PAUSED, "you", others_first)
    assert (session.by, now, first[0][1]) == ("forge", False, True)
    assert [event.kind for event in log.read()].count("session.paused") == 1


def test_a_session_goes_from_status_to_status(log):
    """What is completed or deleted is opened again only by who says so."""
    sessions = opened(log)
    sessions.create("login", "you")
    for kind in (Kind.SESSION_PAUSED, Kind.SESSION_COMPLETED, Kind.SESSION_DELETED):
        assert sessions.change("login", kind, "you")[1]
        seq = log.head().seq
        assert not sessions.change("login", kind, "you")[1]
        assert log.head().seq == seq, "what is so already is not written again"
        with pytest.raises(SessionError, match="nothing was started"):
            check_startable(sessions.mailbox.projections, "login")
    with pytest.raises(SessionError, match="--again"):
        sessions.change("login", Kind.SESSION_RESUMED, "you")
    assert sessions.change("login", Kind.SESSION_RESUMED, "you", again=True)[0].status == "active"
    check_startable(sessions.mailbox.projections, "login")


@pytest.mark.parametrize("name", ["", "a/b", "..", "a" * 65, "a b", "ä", "-a", "a\n"])
def test_what_is_no_name_is_refused_with_the_rule(log, name):
    """And nothing is written."""
    with pytest.raises(UsageError, match="letters"):
        opened(log).create(name, "you")
    assert log.head().seq == 1


def test_names_that_are_not_there_are_refused_with_the_nearest(log):
    """Of sessions and of participants."""
    sessions = opened(log)
    sessions.create("login", "you")
    with pytest.raises(
        NoSuchSession, match=r"^Session 'lgoin' not found. Create it first with create_session. Did you mean login\?$"
    ):
        sessions.get("lgoin")
    with pytest.raises(UnknownRecipient, match="forge"):
        sessions.create("x", "you", participants=["fogre"])


def test_what_is_appended_bears_the_name_of_the_session():
    """At one place, also what names another one, which keeps it; what belongs to none has no such key."""
    log = MemoryLog(session="login")
    log.append([Draft("claim.taken", "you", data={"a": 1}), Draft("claim.taken", "you", data={"session": "other"})])
    log.session = None
    log.append([Draft("claim.taken", "you", data={"a": 1})])
    assert [event.data for event in log.read()][1:] == [{"session": "login", "a": 1}, {"session": "other"}, {"a": 1}]
