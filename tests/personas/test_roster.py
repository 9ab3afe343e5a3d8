"""The roster: every persona of a folder, and a problem for every file that is not one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from team_mail.mail.team_file import read_directory
from team_mail.personas.persona import MAX_FILE
from team_mail.personas.roster import Roster, read_roster


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ".team" / "personas"
    made.mkdir(parents=True)
    return made


def test_the_roster_has_every_persona_in_the_folder(folder):
    """All four forms of file count, higher priority comes first, and mail has the same addresses."""
    (folder / "scribe.md").write_text("Write.")
    (folder / "forge.md.j2").write_text("---\npriority: 5\n---\nBuild.")
    for name, file in (("lore", "prompt.md"), ("maya", "prompt.md.j2")):
        (folder / name).mkdir()
        (folder / name / file).write_text("---\nscheduled: false\n---\nTell.")
    for name in ("_draft.md", ".hidden.md", "notes.txt"):
        (folder / name).write_text("Not one.")
    (folder / "_templates").mkdir()
    roster = read_roster(folder)
    assert [persona.id for persona in roster.personas] == ["forge", "lore", "maya", "scribe"]
    assert [persona.id for persona in roster.scheduled] == ["forge", "scribe"]
    assert roster.problems == ()
    assert roster.get("scribe") is roster.personas[3]
    assert roster.get("nobody") is None
    assert read_directory(folder.parent).personas == {persona.id for persona in roster.personas}


def test_a_file_that_is_not_a_persona_is_reported_and_left_out(folder):
    """A bad file costs one persona, and its message says which and why."""
    (folder / "good.md").write_text("Work.")
    (folder / "empty.md").write_text("")
    (folder / "latin.md").write_bytes(b"one\nCaf\xe9\n")
    (folder / "huge.md").write_bytes(b"x" * (MAX_FILE + 1))
    (folder / "bare").mkdir()
    (folder / "README.md").write_text("# How to")
    (folder / "twice.md").write_text("One.")
    (folder / "twice").mkdir()
    (folder / "twice" / "prompt.md").write_text("Two.")
    (folder / "link.md").symlink_to("nowhere")
    (folder / "all.md").write_text("Everybody.")
    os.mkfifo(folder / "pipe.md")
    roster = read_roster(folder)
    assert [persona.id for persona in roster.personas] == ["good"]
    problems = dict(
        zip(("README", "all", "bare", "empty", "huge", "latin", "link", "pipe", "twice"), roster.problems, strict=True)
    )
    for name, says in {
        "README": "rename it to _README.md", "all": "is not a valid name", "bare": "no such file",
        "empty": "the file is empty",
        "huge": "over 256 KiB", "latin": ":2: not UTF-8", "link": "no such file", "pipe": "no such file",
        "twice": "has more than one file: twice/prompt.md and twice.md; keep one",
    }.items():  # fmt: skip
        assert says in problems[name]
        assert f"{folder}" in problems[name]
        assert len(problems[name].splitlines()) == 1


def test_a_missing_folder_is_an_empty_roster(folder):
    """A file in place of the folder is a problem, a missing folder is not."""
    assert read_roster(folder / "none") == Roster()
    (folder / "file").write_text("")
    assert "cannot be read" in read_roster(folder / "file").problems[0]
