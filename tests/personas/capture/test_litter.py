"""What agents leave behind for themselves is left out of the patch and told, unless the project has such a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from team_mail.personas.workspace import Mirror, Workspace

from ...conftest import git


@pytest.fixture
def workspace(tmp_path) -> Callable[..., Workspace]:
    def make(**files: str) -> Workspace:
        folder = tmp_path / "project"
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        for name, text in {"README": "one\n", **files}.items():
            (folder / name).write_text(text)
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "begin")
        return Mirror(folder, tmp_path / "work").workspace("run-1", git(folder, "rev-parse", "HEAD"))

    return make


def written(place: Path, *names: str, text: str = "x\n") -> None:
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)


def test_litter_is_left_out_and_told(workspace):
    """By the usual names, in any folder, and by the globs of the settings."""
    made = workspace()
    written(made.path, "new", ".aider.chat.history.md", "deep/.claude/settings.local.json", ".codex/sessions/1.jsonl")
    written(made.path, "out/session.log", ".claude/commands/ours.md")

    captured = made.capture(["out/*.log"])

    assert captured.files == (".claude/commands/ours.md", "new")
    (note,) = captured.notes
    assert note.startswith("left out of the patch: .aider.chat.history.md, .codex/sessions/1.jsonl, deep/.claude/")
    assert note.endswith(" and 1 more")


def test_a_file_that_the_base_has_is_no_litter(workspace):
    """A project that keeps such a file may change it."""
    made = workspace(**{".aider.conf.yml": "a: 1\n"})
    written(made.path, ".aider.conf.yml")
    assert made.capture().files == (".aider.conf.yml",)


@pytest.mark.parametrize("before", [{}, {".gitignore": "*.log\n"}])
def test_lines_that_only_ignore_litter_are_left_out(workspace, before):
    """Aider writes its own names into .gitignore unasked; any other line there is a change."""
    made = workspace(**before)
    old = before.get(".gitignore", "")
    written(made.path, ".gitignore", text=f"{old}.aider*\n")
    captured = made.capture()
    assert captured.files == ()
    assert captured.notes == ("left out of the patch: lines of .gitignore that ignore an agent's own files",)

    written(made.path, ".gitignore", text=f"{old}.aider*\nbuild/\n")
    assert made.capture().files == (".gitignore",)


def test_litter_alone_is_no_change(workspace):
    """A commit on another branch is the change then."""
    made = workspace()
    git(made.path, "switch", "-qc", "fix")
    written(made.path, "fix", ".aider.input.history")
    git(made.path, "add", "-A")
    git(made.path, "commit", "-qm", "fix")
    git(made.path, "switch", "-q", "work")
    written(made.path, ".aider.input.history")
    assert made.capture().files == ("fix",)


def test_the_folder_of_a_run_is_never_captured(workspace):
    """Whatever the agent does to ignore files, to its index, or to the letters' case."""
    made = workspace()
    written(made.path, ".gitignore", text="!.team/\n!.team/run/\n!.team/run/**\n")
    written(made.path, ".team/run/prompt.md", ".team/run/outbox/1.md", "new")
    git(made.path, "add", "-f", ".team/run")
    git(made.path, "commit", "-qm", "all of it")
    captured = made.capture()
    assert captured.files == (".gitignore", "new")
    assert captured.kept == ()
    assert b".team" not in captured.patch.replace(b"+!.team", b"")
