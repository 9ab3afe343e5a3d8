"""The commands `team hook install`, `status` and `uninstall`, as their user types them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.open import open_mailbox

from ...conftest import git
from ...console import as_text, run_command


@pytest.fixture
def typed(tmp_path):
    """Run a command in a folder below the top of a repository with a team, with a home of its own."""
    top, home = tmp_path / "project", tmp_path / "home"
    (top / ".team" / "personas").mkdir(parents=True)
    (top / "src").mkdir()
    home.mkdir()
    git(top, "init", "--quiet")
    for name in ("ann", "bob"):
        (top / ".team" / "personas" / f"{name}.md").write_text(f"---\nid: {name}\n---\nWork.\n")
    open_mailbox(top / ".team", create=True).send(Letter("bob", ["ann"], "First", "The word is plum."))

    def run(*words: str, folder: Path = top / "src", stdin: bytes | None = None):
        env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        return as_text(run_command("team", "hook", *words, cwd=folder, env=env, stdin=stdin))

    return run


def test_hooks_are_installed_listed_and_removed(typed, tmp_path):
    """At the top of the checkout from anywhere in it, or in the home; and what was written is what is called."""
    file = tmp_path / "project" / ".claude" / "settings.local.json"
    assert typed("install", "claude", "--persona", "ann").stdout == f"wrote {file}\n"
    assert typed("install", "claude", "--persona", "ann").stdout == f"there is {file}\n"
    assert json.loads(typed("install", "codex", "--user", "--json").stdout)["changed"]
    states = {state["file"]: state for state in json.loads(typed("status", "--json").stdout)["hooks"]}
    assert {name for name, state in states.items() if state["installed"]} == {
        str(file), str(tmp_path / "home" / ".codex" / "hooks.json"),
    }  # fmt: skip
    assert states[str(file)]["persona"] == "ann"
    assert typed("status").stdout.startswith(f"claude\tinstalled\tann\t{file}\nclaude\t-\t\t")
    entry = json.loads(file.read_text())["hooks"]["UserPromptSubmit"][0]["hooks"][0]["command"]
    words = entry.partition(" || ")[2].partition(" #")[0].split()
    shown = typed(*words[2:], stdin=b"{}")
    assert "The word is plum." in json.loads(shown.stdout)["hookSpecificOutput"]["additionalContext"]
    assert typed("uninstall", "claude").stdout == f"removed it from {file}\n"
    assert typed("uninstall", "claude").stdout == f"there is none in {file}\n"
    assert typed("uninstall", "codex", "--user").returncode == 0
    assert not any(state["installed"] for state in json.loads(typed("status", "--json").stdout)["hooks"])


def test_what_cannot_be_installed_is_told(typed, tmp_path):
    """A persona that nobody is, an agent that is not known, and a place without a team."""
    assert "did you mean ann" in typed("install", "claude", "--persona", "nan").stderr
    assert "did you mean claude" in typed("install", "claud").stderr
    (tmp_path / "elsewhere").mkdir()
    refused = typed("install", "claude", "--persona", "ann", folder=tmp_path / "elsewhere")
    assert (refused.returncode, "run it in the team" in refused.stderr) == (2, True)
    loose = typed("install", "claude", "--user")
    assert "team join --persona NAME --shell" in loose.stderr
