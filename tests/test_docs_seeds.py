"""docs/seeds.md: each command of its tables is run, in the order of the table, and shows what its row says."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .samples import STORM
from .test_docs_output import ROOT, SUCCESS, first_success, run

PAGE = (ROOT / "docs" / "seeds.md").read_text()
SECTIONS = dict(re.findall(r"^## The (\w+) brief.*?\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
LONG = {"timeout 15 scheduler run --continuous", "team demo --team orion"}  # they are run with the storms


@dataclass(frozen=True)
class Row:
    """One promise: the command that shows it, what to look for in its output, and its exit code."""

    promise: str
    command: str
    shows: str
    code: int
    here: str


def rows(section: str) -> list[Row]:
    """Read the table of a section; within a cell `\\|` stands for a pipe."""
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [row_of(line) for line in lines]


def row_of(line: str) -> Row:
    promise, command, shows, here = (
        cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|"))[:-1]
    )
    code = re.search(r"exit code (\d+)$", shows)
    texts = [re.match(r"`(.+?)`(?:, exit code \d+)?$|$", cell) for cell in (command, shows)]
    assert all(texts), f"not a command and a text in code spans: {line}"
    return Row(promise, *(text[1] or "" for text in texts), int(code[1]) if code else 0, here)


ALL_OF_SECOND = pytest.param("second", set[str](), marks=STORM, id="all of the second")
ROWS = {brief: rows(section) for brief, section in SECTIONS.items()}


@pytest.fixture
def prepared(brief: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder to begin in, and what a reader types there first; the demo is the one of the README, made already."""
    (before,) = re.findall(r"^```sh\n(.*?)^```$", SECTIONS[brief], re.DOTALL | re.MULTILINE)
    demo = SUCCESS.splitlines()[0] + " && "
    if before.startswith(demo):
        return first_success(tmp_path_factory)[0], before.removeprefix(demo)
    return tmp_path_factory.mktemp(brief), before.replace("/path/to/team-mail", str(ROOT))


@pytest.mark.parametrize(("brief", "left_out"), [*((brief, LONG) for brief in SECTIONS), ALL_OF_SECOND])
def test_every_command_of_a_brief_shows_what_its_row_says(
    brief: str, left_out: set[str], prepared: tuple[Path, str]
) -> None:
    """A promise whose command fails, or no longer prints what is to be looked for, is no longer true."""
    folder, before = prepared
    before = f"export XDG_STATE_HOME={folder}-state\n{before}"  # what other tests left behind is not this team's
    table = [row for row in ROWS[brief] if row.command and row.command not in left_out]
    assert len(table) > 10

    if not left_out or brief == "fifth":  # a process that another one forked gets no signal of `timeout` or `kill`
        before = f"export PATH={Path(sys.executable).parent}:$PATH\n{before}"
    session = [before, *(row.command for row in table)]
    made, *outputs = run([f"{command}\necho exit code $?" for command in session], folder)

    assert made.endswith("exit code 0\n"), made
    untrue = [
        f"{row.promise}\n$ {row.command}\n\nprints\n\n{output}\n\nnot {row.shows!r} and exit code {row.code}"
        for row, output in zip(table, outputs, strict=True)
        if row.shows not in output or not output.endswith(f"exit code {row.code}\n")
    ]
    assert untrue == [], "\n\n".join(untrue)


def test_what_is_not_here_is_said_to_be_so() -> None:
    """A row without a command shows nothing, so it says why; one with a command names what to look for."""
    assert {*SECTIONS} == {"first", "second", "third", "fourth", "fifth"}
    for row in (row for table in ROWS.values() for row in table):
        assert bool(row.command) == bool(row.shows), row
        assert row.command or row.here.startswith("not here: "), row
    assert {row.command for row in ROWS["second"]} >= LONG
