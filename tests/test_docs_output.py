"""Every output that a document quotes is made again and compared: what is printed today is what the reader sees.

A block of the language `console` is a session: its commands are run, in the order of the document, in one shell and one
empty folder, and what they print is what stands below them. A block `text NAME` or `json NAME` is made by the function
of that name here. In both, `…` on a line of its own stands for any lines, and at the end of a line for its rest.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLAIN = {"sh", "toml", "python", "json", "yaml", "markdown"}  # for the reader to use: no output
DRAWN = {"diagram", "files"}  # drawn by hand: no command prints them
SAME = [  # what differs from run to run, and what stands for it
    (r"\x1b\[[0-9;]*m", ""),
    (r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "ID"),
    (r"\bdispatch-\d{8}_\d{6}\b", "dispatch-TIME"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?", "TIME"),
    (r"\b[0-9a-f]{7,64}\b", "ID"),
    (r"\b\d+(?:\.\d+)? (ms|s)\b", r"N \1"),
    (r'("\w+_ms": )\d+', r"\1N"),
    (r"\bprocess \d+", "process N"),
    (r"[ \t]+", " "),
]


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: str
    language: str
    name: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Find the fenced blocks of a document, those in lists included."""
    found = re.findall(r"^( *)```(\w*) ?([\w-]*)\n(.*?)^\1```$", path.read_text(), re.DOTALL | re.MULTILINE)
    return [
        Block(path.name, language, name, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, language, name, text in found
    ]


ALL = [block for path in DOCUMENTS for block in blocks(path)]


def normal(text: str, home: Path, masks: str = "") -> list[str]:
    """Reduce an output to what is the same in every run; `masks` are words that change places."""
    text = text.replace(str(home), "/home/you")
    for pattern, replacement in [*SAME, *([(rf"\b(?:{masks})\b", "WHO")] if masks else [])]:
        text = re.sub(pattern, replacement, text)
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def matches(shown: list[str], made: list[str]) -> bool:
    """Tell whether what was made fits what is shown, with its ellipses."""
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.removesuffix("…")) + r".*" * line.endswith("…") + r"\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in made)) is not None


def environment(home: Path) -> dict[str, str]:
    """What a reader's shell has: the commands, a name for git, no team."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "GIT_", "COV_"))}
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in NAMES.items()}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | who | {"HOME": str(home), "PATH": path, "NO_COLOR": "1", "EDITOR": "true", "COLUMNS": "200"}


NAMES = {"NAME": "You", "EMAIL": "you@example.org"}


def commands(text: str) -> list[tuple[str, str]]:
    """Split a session into commands, with the lines that go on with `> `, and what is shown below each."""
    found = re.findall(r"^\$ (.*\n(?:> .*\n)*)((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    return [(command.replace("\n> ", "\n").rstrip("\n"), shown) for command, shown in found]


def run(session: list[str], home: Path) -> list[str]:
    """Run commands one after the other in one shell; return what each printed, output and errors as they came."""
    mark = "=== next ==="
    script = "\n".join(f"echo '{mark}'\n{command}" for command in session)
    ended = subprocess.run(
        ["bash", "-c", script], cwd=home, env=environment(home), text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return [part.removeprefix("\n") for part in ended.stdout.split(f"{mark}\n")[1:]]


# What each session finds when it begins, and the words in it that change places from run to run.
SCENES = {
    "tutorial.md": ("", "forge|scribe|artisan"),
}


@pytest.mark.parametrize("document", [path.name for path in DOCUMENTS if any(
    block.language == "console" for block in blocks(path))])  # fmt: skip
def test_the_sessions_of_a_document_go_as_they_are_shown(document, tmp_path):
    """Whoever types the commands of a document sees what it shows."""
    before, masks = SCENES[document]
    home = tmp_path / "home"
    home.mkdir()
    session = [each for block in ALL if (block.document, block.language) == (document, "console")
               for each in commands(block.text)]  # fmt: skip
    _, *made = run([before or ":", *(command for command, _ in session)], home)
    for (command, shown), output in zip(session, made, strict=True):
        wanted, found = normal(shown, home, masks), normal(output, home, masks)
        assert matches(wanted, found), f"{document}: $ {command}\n\nprints\n\n{output}\n\nand is shown with\n\n{shown}"
