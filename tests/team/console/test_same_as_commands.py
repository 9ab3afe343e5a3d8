"""The document of a route is that of the command, field by field: one table for all routes that only look."""

from __future__ import annotations

import re
import shutil

import psutil
import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox
from team_mail.team import session
from team_mail.team.api import sprints
from team_mail.team.console.common.console import Console
from team_mail.team.console.routes import ROUTES
from team_mail.team.open import open_team

from ...conftest import Team
from .asking import Asker

SAME = {
    "/api/status": "team status",
    "/api/roster": "team personas",
    "/api/mail": "team-mail inbox --bodies",
    "/api/mail/search?q=words": "team-mail search words",
    "/api/mail/{mail}": "team-mail read {mail} --peek",
    "/api/mail/{mail}/attachments": "team-mail attachment {mail}",
    "/api/threads/{mail}?whole=1": "team-mail thread {mail}",
    "/api/sent": "team-mail sent",
    "/api/tags": "team-mail tag ls",
    "/api/runs": "team runs",
    "/api/runs/{run}": "team trace {run}",
    "/api/runs/{run}/trace": "team trace {run}",
    "/api/sprints": "scheduler history",
    "/api/sprints/1": "scheduler report 1",
    "/api/tick": "scheduler --dry-run",
    "/api/rounds": "scheduler rounds",
    "/api/agents": "team agents",
    "/api/doctor": "team doctor",
    "/api/history": "team history",
    "/api/dispatches": "team dispatches",
    "/api/dispatches/{dispatch}": "team trace --index --dispatch {dispatch}",
    "/api/dispatches/{dispatch}/tasks/a": "team trace a --dispatch {dispatch}",
    "/api/templates": "team templates",
    "/api/tasks": "team task list",
    "/api/tasks/mend": "team task show mend",
    "/api/schedules": "scheduler schedules list",
    "/api/sessions": "team session list",
    "/api/sessions/login": "team session show login",
    "/api/sessions/login/summary": "team session show login",
    "/api/sessions/login/export": "team session export login",
    "/api/plans/forecast": "team plan --from-sprint",
    "/api/sprints/1/gates": "scheduler gates 1",
    "/api/metrics": "team metrics",
    "/api/query.json?sql=SELECT+seq,$x+FROM+events&p.x=y": "team-mail query SELECT~seq,$x~FROM~events --param x=y",
}
OTHERS = {  # that look, and show what no command prints as JSON, or as bytes
    "/api/health", "/api/personas", "/api/mail/{id}/attachments/{name}", "/api/runs/{run}/patch", "/metrics",
    "/api/query", "/api/query.csv", "/api/queries", "/api/head", "/api/logins", "/api/openapi.json",
    "/api/asks", "/api/asks/{id}", "/api/asks/{id}/stream", "/api/runs/{run}/output",
    "/api/mailbox", "/api/letters/{id}", "/api/runs/{run}/whole", "/api/asking", "/api/registry",
    "/api/views/money", "/api/views/tasks", "/api/views/sprints", "/api/views/start", "/api/views/sprints/{n}",
    "/api/views/dispatches/{id}", "/api/views/plan",
    "/api/views/sql",
}  # fmt: skip
SETTINGS = """
[agents.shell]
command = ["sh", "-c", "echo new > $TEAM_PERSONA.txt"]
[schedules.nightly]
sprint = "all"
cron = "0 3 * * *"
"""
PASSING = {
    "seconds",
    "team_mail_unread_age_seconds",
    "team_mail_log_idle_seconds",
}  # of time, which passes from one look to the next


def settled(value):
    """Leave out of a document what another moment, or another process that looks, has otherwise."""
    if isinstance(value, dict):
        return {name: settled(each) for name, each in value.items() if name not in PASSING | {"body_cut"}}
    if isinstance(value, list):
        return [settled(each) for each in value]
    return value


@pytest.fixture(scope="module")
def worked(tmp_path_factory, poem):
    """A team that has sent mail, run a sprint and a dispatch, with a task, a session and a schedule; asks it."""
    team = Team(shutil.copytree(poem, tmp_path_factory.mktemp("worked") / "project", symlinks=True))
    team.roster("ann", "bob")
    (team.home / "team.toml").write_text(SETTINGS)
    sprints.run_sprint(open_team(team.home, {}))
    open_mailbox(team.home).send(Letter("ann", ["you"], "Some words", "one", attachments=[("a.txt", b"x")]))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TEAM_HOME", "TEAM_RUN", "TEAM_PERSONA", "TEAM_SESSION"):
            patch.delenv(name, raising=False)
        patch.chdir(team.folder)
        ask = Asker(Console(session.reading_context, reopen_team=session.context))
        ask.post("/api/mail", {"to": ["ann"], "body": "hello"})
        ask.post("/api/tasks", {"task": "mend"})
        ask.post("/api/sessions", {"session": "login", "title": "Log in"})
        ask.post("/api/sessions/login/remember", {"key": "k", "text": "v"})
        started = ask.post("/api/dispatches", {
            "tasks": [{"task_id": "a", "agent": "coder", "description": "x", "input_data": {
                "contract_description": "c", "node_type": "Effect", "output_path": "o.py"}}], "agent": "scripted",
        })  # fmt: skip
        assert started.status == 202, started.body
        psutil.Process(started.json["pid"]).wait(60)
        ask.get("/api/schedules")
        yield team, ask


def names(ask):
    """What is put in place of names in addresses and commands."""
    return {
        "mail": ask.get("/api/mail/search?q=words").json[0]["id"], "run": ask.get("/api/runs").json[-1]["run"],
        "dispatch": ask.get("/api/dispatches").json[-1]["dispatch"],
    }  # fmt: skip


@pytest.mark.parametrize("path", SAME)
def test_a_route_has_the_document_of_its_command(worked, printed_in, path):
    """What both show is one value."""
    team, ask = worked
    known = names(ask)
    words = [word.replace("~", " ").format(**known) for word in SAME[path].split()]
    shown = ask.get(path.format(**known))
    assert shown.status == 200, shown.body
    assert settled(shown.json) == settled(printed_in(team.folder, *words))


def test_every_route_that_looks_is_compared():
    """None is added that shows something else than a command."""
    compared = [re.sub(r"\{\w+\}", "[^/?]+", route.path) for route in ROUTES if route.method == "GET"]
    paths = [re.sub(r"\{\w+\}", "x", path.partition("?")[0]) for path in SAME]
    missing = [pattern for pattern in compared if not any(re.fullmatch(pattern, path) for path in paths)]
    allowed = {re.sub(r"\{\w+\}", "[^/?]+", path) for path in OTHERS}
    assert {*missing} <= allowed
