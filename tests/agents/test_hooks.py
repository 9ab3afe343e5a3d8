"""The hooks that `team hook install` writes, in real sessions outside of a run, and a model that follows a script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .clis import INSTALLED

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]
COMMAND = {"codex": str(Path(sys.executable).with_name("team-mail"))}  # whose login shell may have another PATH
PLUM, PEAR = "The word is plum.", "The word is pear."
# What else a session that ends after one prompt is started with: what says that this project is trusted.
ONCE: dict[str, list[str]] = {
    "claude": [],
    "codex": ["--trust", "--dangerously-bypass-hook-trust"],
    "copilot": ["--trust-folder"],
    "gemini": [],
    "opencode": [],
}
AT_STOP = {"claude", "codex", "gemini", "copilot"}  # whose sessions go on with what a hook shows them at their end


def session(project, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one prompt of a person, as the agent's preset has it."""
    words = [*project.cli.preset.words(project.cli.more.get("model"), ONCE[name])]
    path = next(folder / words[0] for folder in INSTALLED if (folder / words[0]).exists())
    return subprocess.run(
        [str(path), *words[1:]], cwd=project.folder, env=project.environ | variables,
        input="You are `ann`. Do your part.", capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("cli", sorted(ONCE))
def test_a_session_is_shown_mail_before_its_turn_and_at_its_stop(project, model, cli):
    """Each message once, and marked as read then; afterwards the agent's file is as it was before."""
    project.team("ann", "bob")
    before = {
        file: file.read_bytes() for file in project.folder.rglob("*") if file.is_file() and ".git" not in file.parts
    }
    assert project.run("team", "hook", "install", cli, "--persona", "ann").returncode == 0
    trusted = project.home / ".gemini" / "trustedFolders.json"  # as its dialog writes it
    if cli == "gemini":
        trusted.write_text(json.dumps({str(project.folder.resolve()): "TRUST_FOLDER"}))
    project.run("team-mail", "send", "--to", "ann", "--from", "bob", "-s", "First", "-b", PLUM)
    model.scripts = {"ann": {"": (f'{COMMAND.get(cli, "team-mail")} send --to ann --from bob -s Second -b "{PEAR}"',)}}

    ended = session(project, cli)

    print(ended.stdout[-3000:], ended.stderr[-3000:])
    assert ended.returncode == 0
    own = [request for request in model.requests if request.persona == "ann"]
    assert PLUM in own[0].text
    assert len(project.events("mail.sent")) == 2
    seen = [request.text.count(f"    {PEAR}") for request in own]
    print(cli, seen)
    if cli in AT_STOP:
        assert seen[-1]
        assert len(project.events("mail.read")) == 2
    assert {(event["sender"], event["run"]) for event in project.events("mail.read")} == {("ann", None)}
    assert project.run("team", "hook", "uninstall", cli).returncode == 0
    assert all(file.read_bytes() == data for file, data in before.items())


@pytest.mark.parametrize("cli", ["claude"])
def test_a_run_is_not_shown_mail_by_the_hooks_of_its_user(project, model, cli):
    """They stand in the home, which a run of this user reads as well; the run has mail of its own."""
    project.team("ann", "bob")
    assert project.run("team", "hook", "install", cli, "--persona", "ann", "--user").returncode == 0
    project.run("team-mail", "send", "--to", "ann", "--from", "bob", "-s", "First", "-b", PLUM)
    model.scripts = {"ann": {"": ("echo A > a.txt",)}}

    code, result = project.dispatch({"task_id": "try", "agent": "ann", "description": "Try it"})

    assert code == 0, result
    own = [request for request in model.requests if request.persona == "ann"]
    assert len(own) == 2
    assert all("from the team of this repository" not in request.text for request in own)
    assert all(event["run"] for event in project.events("mail.read"))
    assert not project.events("claim.taken")
    project.run("team-mail", "send", "--to", "ann", "--from", "bob", "-s", "Second", "-b", PEAR)
    assert session(project, cli).returncode == 0
    assert PEAR in model.requests[-1].text
