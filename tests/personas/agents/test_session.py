"""Going on with a session: the words of the command, and sessions that are gone or have a name of their own making."""

from __future__ import annotations

import os

import pytest
from team_mail.personas.agents.presets.preset import presets
from team_mail.personas.agents.session import Sessions
from team_mail.scheduler.settings.settings import AgentSettings
from team_mail.team.open import make_agent

ID = "0cb916db-26aa-40f2-86b5-1ba81b225fd2"
FILES = {
    "claude": (f".claude/projects/-a-b/{ID}.jsonl", "", ("--resume", ID)),
    "codex": (f".codex/sessions/2026/12/01/rollout-2026-12-01T10-43-16-{ID}.jsonl", "", ("resume", ID)),
    "copilot": (f".copilot/session-state/{ID}", "", ("--resume", ID)),
    "gemini": (".gemini/tmp/a/chats/session-2026-12-01T10-45-0cb916db.jsonl", "file", ("--session-file", "{file}")),
}


def sessions(known):
    return Sessions(known.resume, known.sessions, len(known.last), known.not_resumed)


@pytest.mark.parametrize("known", presets(), ids=lambda known: known.name)
def test_each_preset_goes_on_with_a_session_or_says_why_not(known, tmp_path):
    """Its words come before the last ones of its command, as the real program takes them."""
    own, environ = sessions(known), {"HOME": str(tmp_path)}
    assert own.trouble(ID, environ)
    assert own.command(known.words(), ID, environ) == [*known.words()]
    if known.name not in FILES:
        return
    name, _, words = FILES[known.name]
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.touch()
    assert own.trouble(ID, environ) == ""
    command, end = own.command(known.words(), ID, environ), len(known.words()) - len(known.last)
    assert command[:end] == [*known.words()[:end]]
    assert command[end:] == [*(word.replace("{file}", str(file)) for word in words), *known.last]
    assert own.command(known.words(), "", environ) == [*known.words()]


def test_a_variable_names_the_folder_of_the_sessions(tmp_path):
    """As the agent itself reads it."""
    known = next(each for each in presets() if each.name == "codex")
    place = tmp_path / "elsewhere" / "sessions" / "2026" / "12" / "01"
    place.mkdir(parents=True)
    (place / f"rollout-{ID}.jsonl").touch()
    assert sessions(known).trouble(ID, {"HOME": str(tmp_path), "CODEX_HOME": str(tmp_path / "elsewhere")}) == ""


def test_a_link_to_nowhere_is_no_session(tmp_path):
    """Agents write where their sessions are: what leads nowhere is passed over, and does not end the run."""
    known = next(each for each in presets() if each.name == "codex")
    place = tmp_path / ".codex/sessions/2026/12/01"
    place.mkdir(parents=True)
    (place / f"a-{ID}.jsonl").symlink_to("nowhere")
    environ = {"HOME": str(tmp_path)}
    assert sessions(known).trouble(ID, environ) == "its session is not there any more"
    (place / f"b-{ID}.jsonl").touch()
    assert sessions(known).trouble(ID, environ) == ""


@pytest.mark.parametrize("session", ["--dangerously-skip-permissions", "../../../etc/passwd", "*", "a b c d", "x", ""])
def test_a_name_that_is_no_session_gets_into_no_command(session, tmp_path):
    """The agent tells the name itself, and may tell anything."""
    (tmp_path / ".claude" / "projects" / "a").mkdir(parents=True)
    (tmp_path / ".claude" / "projects" / "a" / "aaaa.jsonl").touch()
    known = next(each for each in presets() if each.name == "claude")
    environ = {"HOME": str(tmp_path)}
    assert sessions(known).trouble(session, environ)
    assert sessions(known).command(["claude"], session, environ) == ["claude"]


def test_only_the_command_of_a_preset_is_known_to_resume(monkeypatch, tmp_path):
    """Of a command of the user's own nobody knows where its words would go."""
    known = next(each for each in presets() if each.name == "claude")
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path))
    own = make_agent("claude", AgentSettings(preset="claude", command=known.words()))
    other = make_agent("claude", AgentSettings(preset="claude", command=("claude", "-p")))
    assert own.unresumable(ID) == "its session is not there any more"
    assert "your own" in other.unresumable(ID)
