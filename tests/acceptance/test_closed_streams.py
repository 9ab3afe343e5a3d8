"""Commands whose standard streams were closed, as a program that starts them may leave them."""

from __future__ import annotations

import subprocess

import pytest

from ..samples import STORM, each_once
from .test_no_files import TASKS, project
from .test_scheduler import BIN, CLEAN

__all__ = ["project"]  # the fixture
SENT = "team-mail send --to ann -s x"


# Those that start something, ask, read their input, or are quick ways of their own.
COMMANDS = [
    ("scheduler --dry-run", 0),
    ("scheduler tick", 0),
    ("scheduler sprint --json", 0),
    ("team doctor", 0),
    ("team ask 'Do it'", 2),
    ("team dispatch", 2),
    ("team dispatch tasks.json", 0),
    (SENT, 0),
    ("team-mail inbox -p ann", 0),
    ("team-mail check -p ann", 0),
]
# The others go the same ways.
MORE = [
    ("scheduler sprint", 0),
    ("scheduler status", 0),
    ("scheduler history", 0),
    ("team config", 0),
    ("team personas", 0),
    ("team try shell", 2),
    ("team plan", 2),
    ("team plan tasks.json", 0),
    ("team-mail watch -p ann --timeout 0", 0),
]
CLOSED = ["<&- >&- 2>&-", "<&-"]


@pytest.mark.parametrize(
    ("words", "code", "closed"),
    [
        *each_once(COMMANDS, CLOSED),
        *(pytest.param(*command, closed, marks=STORM) for command in MORE for closed in CLOSED),
    ],
)
def test_a_command_with_closed_streams_does_what_it_does_with_open_ones(project, words, code, closed):
    """Nobody can be asked then, nothing is printed there, and nothing else happens."""
    (project.folder / "tasks.json").write_text(TASKS)
    ended = subprocess.run(
        ["sh", "-c", f"exec {BIN}/{words} {closed}"], cwd=project.folder, env=CLEAN, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended
    assert words != SENT or len(project.events("mail.sent")) == 1
