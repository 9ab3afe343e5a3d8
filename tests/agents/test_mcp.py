"""Mail by the tools of `team mcp` alone, in real runs and in a person's session, and a model that follows a script."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from .model import NEWEST

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
TEAM = Path(sys.executable).with_name("team")
with_tools = pytest.mark.parametrize("cli", ["claude", "codex"])


@with_tools
@pytest.mark.parametrize("sandbox", ["none", "bwrap"])
def test_a_sprint_carries_mail_by_tools_alone(project, model, sandbox):
    """Ann sends by a tool; the run that her mail starts lists it, reads it, and answers, by tools as well."""
    if sandbox == "bwrap" and not shutil.which("bwrap"):
        pytest.skip("there is no bwrap here")
    bob = project.folder / ".team" / "personas" / "bob.md"
    bob.write_text("---\nid: bob\nscheduled: mail\n---\nAnswer mail.\n")
    project.team("ann", mcp=True, **({} if sandbox == "none" else {"sandbox": sandbox}))
    first = ("send", {"to": ["bob"], "subject": "Fruit", "body": "The word is plum.", "type": "question"})
    model.scripts = {
        "ann": {"From: bob": (), "": (first,)},
        "bob": {
            "": (
                ("inbox", {"unread": False}),
                ("read", {"message": NEWEST, "ack": True}),
                ("send", {"reply_to": NEWEST, "body": "The word is pear."}),
            )
        },
    }

    ended = project.run("scheduler", "sprint")

    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0
    sent = [event for event in project.events("mail.sent") if event["run"]]
    assert [(event["sender"], event["recipients"], event["body"]) for event in sent] == [
        ("ann", ["bob"], "The word is plum."), ("bob", ["ann"], "The word is pear."),
    ]  # fmt: skip
    assert sent[1]["reply_to"] == sent[0]["id"]
    (acked,) = project.events("mail.acked")
    assert (acked["sender"], acked["ref"], acked["run"]) == ("bob", sent[0]["id"], sent[1]["run"])
    (last,) = [request for request in model.requests if request.persona == "bob" and request.answered == 3]
    assert "sent " in last.text
    assert "In-Reply-To" not in last.text


@with_tools
def test_a_run_whose_server_is_told_another_persona_is_not_that_one(project, model):
    """Its agent may write what it likes into the words of its server: the run's keeper knows who it is."""
    project.team("ann", "bob", mcp=True)
    forged = f"{TEAM} mcp --persona bob < /dev/null; echo exit $?"
    model.scripts = {"ann": {"": (forged, "echo A > a.txt")}}

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Try it"})

    assert code == 0, result
    said = next(request.text for request in model.requests if request.persona == "ann" and request.answered == 1)
    assert "this is a run of ann: it cannot act as bob" in said
    assert "exit 2" in said
