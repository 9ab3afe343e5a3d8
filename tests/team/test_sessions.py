"""Sessions as people and programs meet them: the commands, what is gathered, what a pause holds up."""

from __future__ import annotations

import json
import os

import pytest
from team_mail.mail.commands import daily
from team_mail.mail.errors import UnknownSession, UsageError
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.open import open_log
from team_mail.mail.process import ORPHAN, runs_above
from team_mail.personas.agents.function import FunctionAgent
from team_mail.scheduler.dispatch.events import started
from team_mail.scheduler.errors import SessionError
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.sessions.sessions import Sessions
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_tick
from team_mail.team.api import sprints
from team_mail.team.commands import team as team_command
from team_mail.team.dispatcher import ParallelDispatcher
from typer.testing import CliRunner

from ..console import Piped

TASKS = [
    {"task_id": "first", "agent": "ann", "description": "x"},
    {"task_id": "second", "agent": "bob", "description": "x", "dependencies": ["first"]},
]


@pytest.fixture
def at(team, monkeypatch):
    """Runs a command of `team` in the team's repository; returns its exit code and what it printed as JSON."""
    monkeypatch.chdir(team.folder)
    for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        ended = CliRunner().invoke(team_command.app, [*words, *(["--json"] if "export" not in words else [])])
        printed = ended.stdout or ended.stderr
        return ended.exit_code, json.loads(printed) if printed.startswith("{") else printed

    return run


def log_of(team):
    return [*open_log(team.home).read()]


def test_a_session_from_its_creation_to_its_end(at, team):
    """Each command says what it did; what was so already is exit code 0, and nothing is written."""
    code, made = at("session", "create", "login", "--title", "Log in", "--participants", "ann, bob")
    assert (code, made["status"], made["participants"]) == (0, "active", ["ann", "bob"])
    at("session", "create", "other")
    assert [each["session"] for each in at("session", "list")[1]["sessions"]] == ["other", "login"]
    assert [each["session"] for each in at("session", "list", "--limit", "1")[1]["sessions"]] == ["other"]
    assert at("session", "pause", "login")[1]["already"] is False
    seq = len(log_of(team))
    code, again = at("session", "pause", "login")
    assert (code, again["already"], again["by"], len(log_of(team))) == (0, True, "you", seq)
    assert [each["session"] for each in at("session", "list", "--status", "paused")[1]["sessions"]] == ["login"]
    assert at("session", "resume", "login")[1]["status"] == "active"
    assert at("session", "complete", "login")[1]["status"] == "completed"
    assert at("session", "complete", "login")[1]["already"] is True
    code, refused = at("session", "resume", "login")
    assert (code, refused["code"]) == (1, "SESSION_REFUSED")
    assert "--again" in refused["error"]
    assert at("session", "resume", "login", "--again")[0] == 0
    assert at("session", "delete", "login")[1]["status"] == "deleted"
    assert at("session", "delete", "login")[1]["already"] is True
    assert [each["session"] for each in at("session", "list")[1]["sessions"]] == ["other"]
    assert [each["status"] for each in at("session", "list", "--all")[1]["sessions"]] == ["active", "deleted"]
    assert at("session", "show", "login")[0] == 0


@pytest.mark.parametrize("verb", ["show", "summary", "pause", "resume", "complete", "delete"])
def test_a_session_that_there_is_not_is_told_word_for_word(at, verb):
    """With exit code 1."""
    code, refused = at("session", verb, "x")
    assert (code, refused["error"]) == (1, "Session 'x' not found. Create it first with create_session.")
    assert refused["code"] == "SESSION_NOT_FOUND"


def test_nothing_is_kept_in_a_session_that_there_is_not(at, team):
    """The nearest name is told."""
    at("session", "create", "login")
    (team.folder / "plan.txt").write_text("first\n")
    for words in (("remember", "lgoin", "a", "b"), ("attach", "lgoin", "plan.txt"), ("pause", "lgoin")):
        code, refused = at("session", *words)
        assert (code, refused["error"]) == (
            1, "Session 'lgoin' not found. Create it first with create_session. Did you mean login?",
        )  # fmt: skip
    assert [event.kind for event in log_of(team)] == ["log.opened", "session.created"]


SENSELESS = [
    ("session", "create", "a/b"),
    ("session", "create", ""),
    ("session", "create", "a" * 200),
    ("session", "create", ".."),
    ("session", "create", "x", "--participants", "nobody"),
    ("session", "show", "a/b"),
    ("session", "list", "--limit", "0"),
    ("session", "list", "--status", "gone"),
    ("session", "remember", "login", "", "text"),
    ("session", "remember", "login", "key", " "),
    ("session", "remember", "login", "key", "text", "--tag", ""),
    ("session", "remember", "login", "key", "text", "--to", "nobody"),
    ("session", "attach", "login", "no-such-file"),
]


def test_what_makes_no_sense_is_refused_and_nothing_is_written(at, team):
    """Exit code 2, whatever is wrong about the request itself."""
    at("session", "create", "login")
    seq = len(log_of(team))
    for words in SENSELESS:
        assert at(*words)[0] == 2, words
        assert len(log_of(team)) == seq, words


def test_a_name_of_a_session_in_the_environment_is_checked(at, monkeypatch, team):
    """Before anything is written."""
    monkeypatch.setenv("TEAM_SESSION", "../x")
    ended = CliRunner().invoke(team_command.app, ["task", "add", "fix"])
    assert "TEAM_SESSION '../x' is not a name" in str(ended.exception)
    assert not (team.home / "mail").exists()


def test_two_processes_create_the_same_session_at_once(at, team):
    """One event is written, and one of them is told."""
    words = ("session", "create", "login")
    both = [Piped("team", *words, cwd=team.folder, env={**os.environ}) for _ in range(2)]
    told = sorted((each.communicate()[1], each.returncode) for each in both)
    assert told == [("", 0), ("team: Session 'login' already exists. Use resume_session to continue.\n", 1)]
    assert [event.kind for event in log_of(team)].count("session.created") == 1


def test_what_is_remembered_and_kept_is_mail_that_wakes_nobody(at, team, monkeypatch):
    """The newest text of a key counts; who is named is sent it."""
    at("session", "create", "login")
    (team.folder / "plan.txt").write_text("first\n")
    at("session", "remember", "login", "choice", "passwords")
    at("session", "remember", "login", "choice", "passkeys", "--tag", "auth", "--to", "ann")
    at("session", "attach", "login", "plan.txt", "--text", "The plan")
    monkeypatch.setenv("TEAM_SESSION", "login")
    at("task", "add", "fix")
    _, shown = at("session", "summary", "login")
    (memory,), (file,) = shown["memories"], shown["artifacts"]
    assert (memory["key"], memory["text"], memory["tags"]) == ("choice", "passkeys", ["auth"])
    assert (file["name"], file["text"], file["size"]) == ("plan.txt", "The plan", 6)
    assert (shown["messages"], shown["unread"], shown["tasks"]) == (3, 1, ["fix"])
    exported = at("session", "export", "login")[1]
    assert [each["body"] for each in exported["messages"]] == ["passwords", "passkeys", "The plan"]
    at("session", "complete", "login")
    assert at("session", "remember", "login", "more", "text")[0] == 1
    page = CliRunner().invoke(team_command.app, ["session", "summary", "login"]).stdout
    assert "remember choice: passkeys #auth" in page
    assert "file plan.txt: team-mail attachment" in page


def test_all_that_a_dispatch_and_its_runs_write_bears_the_session(at, team):
    """Also the mail that an agent sends, and what it finds in its environment."""
    at("session", "create", "login")
    script = 'echo "of $TEAM_SESSION" > note.txt; team-mail send --to ann --subject "from $TEAM_SESSION" --body x'
    team.context({}, f"[agents.sh]\ncommand = ['sh', '-c', '''{script}''']\n")
    before = len(log_of(team))
    done = ParallelDispatcher(agent="sh", home=team.home, session="login").dispatch(TASKS[:1])
    assert done.status == "success"
    team.context({}, "")
    events = log_of(team)[before:]
    assert {event.data.get("session") for event in events} == {"login"}
    assert [event.subject for event in events if event.kind == "mail.sent"] == ["from login"]
    assert team.text(f"team/dispatch-{done.correlation_id[-8:]}", "note.txt") == ["of login"]
    _, shown = at("session", "show", "login")
    assert (len(shown["dispatches"]), shown["patches_landed"], shown["messages"], shown["runs"]) == (1, 1, 1, 1)
    assert shown["dispatches"][0]["finished"] is True


def test_a_dispatch_in_a_paused_session_is_refused_with_who_paused_it(at, team):
    """So is a sprint; and a session that there is not."""
    at("session", "create", "login")
    at("session", "pause", "login")
    (team.folder / "tasks.json").write_text(json.dumps({"tasks": TASKS}))
    code, refused = at("dispatch", "tasks.json", "--session", "login", "--agent", "scripted")
    assert code == 1
    assert "session 'login' is paused since 20" in refused["error"]
    assert "by you; team session resume login goes on" in refused["error"]
    assert at("dispatch", "tasks.json", "--session", "lgoin", "--agent", "scripted")[0] == 1
    context = team.context()
    context.mailbox.log.session = "login"
    with pytest.raises(SessionError, match="paused"):
        sprints.run_sprint(context)
    assert {event.kind for event in log_of(team)} == {"log.opened", "session.created", "session.paused"}


def test_a_sprint_of_a_paused_session_starts_nothing_until_it_is_resumed(at, team):
    """Each tick is idle, and says by which command it goes on."""
    at("session", "create", "login")
    ticker = team.ticker()
    ticker.context.mailbox.log.session = ticker.dispatcher.context.mailbox.log.session = "login"
    Sessions(ticker.context.mailbox).change("login", Kind.SESSION_PAUSED, "you")
    idle = run_tick(ticker, StartRequest("asked for")).plan.idle
    assert idle
    assert "team session resume login goes on" in idle
    at("session", "resume", "login")
    assert ticker.plan(StartRequest("asked for")).idle is None


def test_a_dispatch_under_way_waits_while_its_session_is_paused(at, team):
    """Its runs end; the next task starts once somebody resumes."""
    at("session", "create", "login")
    context, order = team.context(), []

    def play(job):
        order.append(job.assignment.task)
        if job.assignment.task == "first":
            Sessions(context.mailbox).change("login", Kind.SESSION_PAUSED, "you")
        return {}

    def listen(progress):
        if progress.text.startswith("second waits: session 'login' is paused"):
            order.append("waits")
            Sessions(context.mailbox).change("login", Kind.SESSION_RESUMED, "you")

    done = ParallelDispatcher(agent=FunctionAgent(play), home=team.home, session="login", listener=listen).dispatch(
        TASKS
    )
    assert done.status == "success"
    assert order == ["first", "waits", "second"]


def test_resuming_a_session_goes_on_with_what_was_cut_off(at, team):
    """In the session of the dispatch; until then `show` names the command."""
    at("session", "create", "login")
    base = team.git("rev-parse", "main")
    draft = started(
        "01890000-0000-7000-8000-0000e7a9c376", {"tasks": TASKS}, config={}, base=base,
        branch="team/dispatch-e7a9c376", agent="scripted",
    )  # fmt: skip
    gone = draft.data["supervisor"] | {"pid": 999_999_999}
    team.context().mailbox.log.append([draft._replace(data=draft.data | {"supervisor": gone, "session": "login"})])
    page = CliRunner().invoke(team_command.app, ["session", "show", "login"]).stdout
    assert "1 dispatch (1 cut off)" in page
    assert "team session resume login goes on with dispatch e7a9c376" in page
    assert at("session", "show", "login")[1]["dispatches"][0]["cut_off"] is True
    code, resumed = at("session", "resume", "login", "--quiet")
    assert (code, resumed["already"]) == (0, True)
    assert [each["status"] for each in resumed["dispatches"][0]["results"]] == ["success", "success"]
    written = [event for event in log_of(team) if event.kind in {"run.started", "dispatch.finished"}]
    assert [event.data.get("session") for event in written] == ["login"] * 3


def test_a_session_with_open_runs_is_neither_completed_nor_deleted(at, team):
    """The message names them; only force completes it."""
    at("session", "create", "login")
    data = {
        "persona": "ann", "attempt": 1, "tick": 1, "sprint": 1, "base": "", "agent": "shell", "reason": "batch",
        "mail": [], "supervisor": {}, "session": "login",
    }  # fmt: skip
    team.context().mailbox.log.append([Draft("run.started", "scheduler", run="abcdef0123", data=data)])
    for verb in ("complete", "delete"):
        code, refused = at("session", verb, "login")
        assert code == 1
        assert "ann (abcdef01)" in refused["error"]
    page = CliRunner().invoke(team_command.app, ["session", "show", "login"]).stdout
    assert "now: ann (" in page
    assert at("session", "complete", "login", "--force")[0] == 0
    assert at("session", "delete", "login")[0] == 1


def test_tasks_of_a_paused_session_are_not_claimed(at):
    """Neither as the next one nor by name; those of others are."""
    at("session", "create", "login")
    at("task", "add", "fix", "--session", "login", "--priority", "high")
    at("task", "add", "news")
    at("session", "pause", "login")
    code, refused = at("claim", "fix")
    assert code == 1
    assert "fix waits: session 'login' is paused" in refused["error"]
    assert at("claim", "--next")[1]["task"] == "news"
    assert at("claim", "--next") == (3, {})
    assert at("task", "add", "more", "--session", "lgoin")[0] == 1
    at("session", "resume", "login")
    assert at("claim", "--next", "--session", "login")[1]["task"] == "fix"


def test_a_run_does_nothing_to_sessions(at, team, monkeypatch):
    """Whatever its environment says."""
    at("session", "create", "login")
    seq = len(log_of(team))
    monkeypatch.setenv("TEAM_RUN", "r1")
    monkeypatch.setenv("TEAM_PERSONA", "ann")
    for words in (("create", "x"), ("pause", "login"), ("complete", "login"), ("remember", "login", "a", "b")):
        assert at("session", *words)[0] == 2
    monkeypatch.delenv("TEAM_RUN")
    runs_above.cache_clear()
    monkeypatch.setattr("team_mail.mail.process.runs_above", lambda: (ORPHAN,))
    assert at("session", "delete", "login")[0] == 2
    monkeypatch.undo()
    assert len(log_of(team)) == seq


def test_a_key_is_repeated_under_another_session(at, team, monkeypatch):
    """Who sends again, sends the same message, wherever it says to be."""
    for name in ("login", "other"):
        monkeypatch.setenv("TEAM_SESSION", name)
        team.context().mailbox.send(Letter("you", ["ann"], "Hello", key="k"))
    monkeypatch.delenv("TEAM_SESSION")
    assert [event.data["session"] for event in log_of(team) if event.kind == "mail.sent"] == ["login"]
    assert os.environ.get("TEAM_SESSION") is None


def test_a_message_is_sent_under_the_session_that_is_named(at, team, monkeypatch, capsys):
    """Whatever TEAM_SESSION says; a name without a session is refused, since it may be mistyped."""
    at("session", "create", "login")
    monkeypatch.setenv("TEAM_SESSION", "other")
    assert daily.send(["bob"], "Look", "x", session="login") == 0
    assert daily.send(["bob"], "Look", "x") == 0
    assert [event.data["session"] for event in log_of(team)[-2:]] == ["login", "other"]
    head = len(log_of(team))
    with pytest.raises(UnknownSession) as refused:
        daily.send(["bob"], "Look", "x", session="lgoin")
    assert str(refused.value) == "Session 'lgoin' not found. Create it first with create_session. Did you mean login?"
    assert refused.value.exit_code == 1
    for name in ("", "a/b", "..", "x" * 200):
        with pytest.raises(UsageError, match="is not a name"):
            daily.send(["bob"], "Look", "x", session=name)
    monkeypatch.setenv("TEAM_RUN", "run-1")
    monkeypatch.setenv("TEAM_PERSONA", "ann")
    with pytest.raises(UsageError, match=r"belongs to session 'other'.* leave --session out"):
        daily.send(["bob"], "Look", "x", session="login")
    assert len(log_of(team)) == head
    assert daily.send(["bob"], "Look", "x", session="other") == 0
    capsys.readouterr()
