"""The hooks that `team hook install` writes, in real sessions outside of a run, and a model that follows a script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .clis import INSTALLED, KEY
from .model import SHELLS
from .terminal import Terminal

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

# What a session in a terminal is started with, and what it shows when it waits for a prompt.
IN_A_TERMINAL: dict[str, tuple[list[str], str]] = {
    "claude": (["--permission-mode", "default", "--allowedTools", "Bash"], "/effort"),
    "codex": (["--dangerously-bypass-approvals-and-sandbox", "--dangerously-bypass-hook-trust"], "gpt-5 default"),
    "gemini": (["-m", "gemini-2.5-flash", "--yolo"], "Type your message"),
}


def trusted(project, name: str) -> None:
    """Write what an agent's dialogs write when a person has logged in and trusts the project."""
    folder, home = str(project.folder.resolve()), project.home
    if name == "claude":
        known = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        answers = {"hasCompletedOnboarding": True, "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []}}
        (home / ".claude.json").write_text(json.dumps({**answers, "projects": {folder: known}}))
    elif name == "codex":
        (home / ".codex" / "auth.json").write_text(json.dumps({"OPENAI_API_KEY": KEY}))
        with (home / ".codex" / "config.toml").open("a") as file:
            file.write(f'\n[projects."{folder}"]\ntrust_level = "trusted"\n')
    elif name == "gemini":
        (home / ".gemini" / "trustedFolders.json").write_text(json.dumps({folder: "TRUST_FOLDER"}))


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
    if cli == "gemini":
        trusted(project, cli)
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
    assert seen[-1]
    assert len(project.events("mail.read")) == 2
    assert {(event["sender"], event["run"]) for event in project.events("mail.read")} == {("ann", None)}
    assert project.run("team", "hook", "uninstall", cli).returncode == 0
    assert all(file.read_bytes() == data for file, data in before.items())


@pytest.mark.parametrize("cli", sorted(IN_A_TERMINAL))
def test_a_hook_joins_an_interactive_session_to_the_team(project, model, cli):
    """In a terminal: mail is in what the model gets for a prompt, and what comes meanwhile keeps it going once."""
    project.team("ann", "bob")
    assert project.run("team", "hook", "install", cli, "--persona", "ann").returncode == 0
    trusted(project, cli)
    command = Path(sys.executable).with_name("team-mail")
    model.scripts = {"ann": {"": (f'{command} send --to ann --from bob -s Second -b "{PEAR}"',)}}
    words, ready = IN_A_TERMINAL[cli]
    path = next(folder / cli for folder in INSTALLED if (folder / cli).exists())

    def asked() -> list[str]:
        return [request.text for request in model.requests if set(SHELLS) & set(request.tools)]

    with Terminal([str(path), *words], project.folder, project.environ) as terminal:
        terminal.shows(ready)
        project.run("team-mail", "send", "--to", "ann", "--from", "bob", "-s", "First", "-b", PLUM)
        terminal.types("You are `ann`. Do your part.")
        terminal.presses_enter_until(asked)
        terminal.until(lambda: len(asked()) == 3)
        terminal.until(lambda: terminal.shown.count("Done.") >= 2)
        terminal.types("Say more.")
        terminal.presses_enter_until(lambda: len(asked()) >= 4)

    first, second, third, last = asked()
    assert PLUM in first
    assert f"    {PEAR}" not in second
    assert f"    {PEAR}" in third
    assert "Say more." in last
    assert {(event["sender"], event["run"]) for event in project.events("mail.read")} == {("ann", None)}
    assert len(project.events("mail.read")) == 2


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
