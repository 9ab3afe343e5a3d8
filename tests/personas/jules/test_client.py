"""The client of Jules against the shipped fake, which behaves as was seen of the service."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import ManualClock
from team_mail.mail.errors import UsageError
from team_mail.personas.errors import ServiceError
from team_mail.personas.jules.client import PAGE, JulesClient, pauses, session_id
from team_mail.personas.jules.fake import FakeJules, Play
from team_mail.personas.jules.session import MAX_TEXT, last_change, read_activity, read_session

from ...samples import examples

KEY = "AIza-secret"
SOURCE = {"source": "sources/github/acme/shop", "githubRepoContext": {"startingBranch": "main"}}
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just([None, {"gitPatch": [1]}])
WORDS = [
    "agentMessaged", "agentMessage", "planGenerated", "plan", "steps", "title", "artifacts", "changeSet", "gitPatch",
    "unidiffPatch", "baseCommitId", "bashOutput", "exitCode", "outputs", "pullRequest", "url", "id", "name", "state",
]  # fmt: skip


@pytest.fixture
def jules():
    """A fake whose sessions ask something, and come to a change."""
    with FakeJules(
        Play(patch="--- a/x\n+++ b/x\n", base="c0ffee", asks="Which\x1b[31m?", says="Done."), key=KEY
    ) as fake:
        yield fake


def client(jules, **more):
    return JulesClient(KEY, url=jules.url, clock=ManualClock(), **more)


def test_a_session_is_created_approved_answered_and_read_to_its_end(jules):
    """As the first brief's client has it; what comes late, is left out or is of no known kind does no harm."""
    own = client(jules)
    session = own.create_session(
        "Mend it", "Log in", SOURCE, require_plan_approval=True, automation_mode="AUTO_CREATE_PR"
    )
    assert "state" not in session
    assert jules.sessions[session["id"]] == {
        "prompt": "Mend it", "title": "Log in", "sourceContext": SOURCE, "requirePlanApproval": True,
        "automationMode": "AUTO_CREATE_PR",
    }  # fmt: skip
    assert list(own.activities(session["id"])) == []  # 404 right after the create

    states = [read_session(session).state]
    for _ in range(9):
        states.append(read_session(own.get_session(session["url"])).state)
        if states[-1] == "AWAITING_PLAN_APPROVAL":
            own.approve_plan(session["id"])
        if states[-1] == "AWAITING_USER_FEEDBACK":
            own.send_message(session["id"], "The first")
    assert list(dict.fromkeys(states)) == [
        "QUEUED", "PLANNING", "AWAITING_PLAN_APPROVAL", "AWAITING_USER_FEEDBACK", "IN_PROGRESS", "COMPLETED",
    ]  # fmt: skip
    done = read_session(own.get_session(session["name"]))
    activities = [read_activity(each) for each in own.activities(session["id"])]
    assert last_change(done, activities) == ("--- a/x\n+++ b/x\n", "c0ffee", "Do what was asked")
    assert [each.kind for each in activities] == [
        "planGenerated", "", "planApproved", "agentMessaged", "userMessaged", "progressUpdated", "agentMessaged",
        "sessionCompleted",
    ]  # fmt: skip
    assert activities[3].text == r"Which\x1b[31m?"
    assert activities[5].commands == (("pytest -q", "1 passed\n", 0),)
    assert jules.said(session["id"]) == ["The first"]
    assert [each["id"] for each in own.list_sessions()] == [session["id"]]


def test_many_sessions_come_page_by_page(jules):
    """The newest first, and no more than were asked for."""
    own = client(jules)
    made = [own.create_session(f"{number}")["id"] for number in range(PAGE + 1)]
    before = len(jules.requests)
    assert [each["id"] for each in own.list_sessions()] == made[::-1]
    assert len(jules.requests) == before + 2
    assert [each["id"] for each in own.list_sessions(most=2)] == made[:-3:-1]


@pytest.mark.parametrize(
    ("faults", "waited", "refusal"),
    [([503, 429], 3.0, None), ([404], 0.0, "answered 404"), ([500, 502, 504], 3.0, "answered 504")],
)
def test_a_busy_service_is_asked_again_ever_more_rarely(jules, faults, waited, refusal):
    """1, 2, 4 … seconds and never more than 30; what is wrong with a request is told at once."""
    assert list(pauses(9)) == [1, 2, 4, 8, 16, 30, 30, 30]
    clock, jules.faults = ManualClock(), [*faults]
    own = JulesClient(KEY, url=jules.url, tries=3, clock=clock)
    if refusal:
        with pytest.raises(ServiceError, match=refusal):
            own.create_session("Mend it")
    else:
        assert own.create_session("Mend it")["id"] in jules.sessions
    assert (clock.monotonic(), len(jules.requests)) == (waited, len(faults) + (not refusal))


def test_a_burst_of_creates_fails_with_a_misleading_word_and_is_tried_again():
    """Ten at once: what the service refuses then is no wrong source."""
    with FakeJules(key=KEY, create_takes=0.1) as jules, ThreadPoolExecutor(10) as pool:
        once = [pool.submit(client(jules, tries=1).create_session, "x", "", SOURCE) for _ in range(10)]
        refused = [str(each.exception()) for each in once if each.exception()]
        assert len(jules.sessions) + len(refused) == 10
        assert refused
        assert all("Could not get source: sources/github/acme/shop" in each for each in refused)
        again = [pool.submit(client(jules, tries=99).create_session, "x", "", SOURCE) for _ in range(10)]
        assert all(each.result()["id"] for each in again)


def test_the_key_is_in_no_error_and_goes_nowhere_else(jules):
    """Not even if the service repeats it, and not in clear to another machine."""
    key = "AIza-secret"
    with FakeJules(key=key, burst=0) as echo, pytest.raises(ServiceError) as refused:
        JulesClient(key, url=echo.url, tries=1).create_session("x", "", {"source": key})
    assert "Could not get source: ***" in str(refused.value)
    assert key not in str(refused.value)
    with pytest.raises(ServiceError, match=r"answered 401 to GET .*credentials; look at JULES_API_KEY"):
        JulesClient("wrong", url=jules.url).get_session("1")
    with pytest.raises(UsageError, match="must begin with https"):
        JulesClient(key, url="http://example.org/v1alpha")
    with pytest.raises(UsageError, match="no API key of Jules: set JULES_API_KEY"):
        JulesClient("")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1: Connection refused"):
        JulesClient(key, url="http://127.0.0.1:9/v1alpha", tries=1).get_session("1")


def test_an_answer_that_comes_drop_by_drop_is_not_waited_for():
    """Whatever a server does, a request ends in time."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
                while not over.wait(0.02):
                    connection.sendall(b" ")

        over, thread = threading.Event(), threading.Thread(target=drip)
        thread.start()
        slow = JulesClient(KEY, url=f"http://127.0.0.1:{server.getsockname()[1]}/v1alpha", tries=1, limit=0.1)
        with pytest.raises(ServiceError, match=r"127\.0\.0\.1: no answer within 0\.1 s"):
            slow.get_session("1")
        over.set()
        thread.join()


@pytest.mark.parametrize("name", ["12", "sessions/12", "https://jules.google.com/session/12", " 12 "])
def test_a_session_has_several_names(name):
    """Its id, its name in the interface, and its address; no other text becomes part of a path."""
    assert session_id(name) == "12"
    for wrong in ("", "a/b", "../x", "1?y", "12:approvePlan"):
        with pytest.raises(UsageError, match="is no session of Jules"):
            session_id(wrong)


@settings(max_examples=examples(30), deadline=None)
@given(st.dictionaries(st.sampled_from(WORDS), JSON | st.dictionaries(st.sampled_from(WORDS), JSON), max_size=4))
def test_whatever_the_service_sends_is_read(raw):
    """A field that is missing or of another type is left out, and all text is escaped and cut."""
    session, activity = read_session(raw), read_activity(raw)
    texts = (session.id, session.url, session.title, activity.text, *(each.output for each in activity.commands))
    assert all("\x1b" not in text and len(text) <= MAX_TEXT for text in texts)
