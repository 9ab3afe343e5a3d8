"""The material of the demo: a small real project in git, and a team whose personas a script plays."""

from __future__ import annotations

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

from ...mail.home import ignore_mail
from ...personas.git import Git
from ...scheduler.kinds import Mode

THINKING = 0.7  # how long a persona pretends to think, in seconds and on average
_HANGS = "visionary"
_PATIENCE = "4s"
_HUMAN = "you"
_WAIT = frozenset({_HUMAN, "weaver"})  # nobody plays them
PERSONAS = {
    "absolutist": ("💯", "annotates the cart"),
    "artisan": ("🎨", "gives a function its right name, everywhere"),
    "builder": ("🏗️", "gives orders a shape"),
    "curator": ("🎭", "puts first what a reader looks for first"),
    "deps": ("📦", "brings a pin up to date"),
    "essentialist": ("💎", "removes what nobody calls"),
    "evaluator": ("🧐", "reviews, and mails a colleague"),
    "forge": ("🔨", "lets carts be shipped"),
    "lore": ("📜", "remembers what happened"),
    "maya": ("💝", "says what a person at the till should do"),
    "meta": ("🔍", "crashes once, then writes down how the team works"),
    "oracle": ("🔮", "answers questions, and asks you one"),
    "sapper": ("💣", "lets a failure be one, and breaks a test by it"),
    "scribe": ("✍️", "documents the tax"),
    "sentinel": ("🛡️", "closes a hole in the store"),
    "shepherd": ("🐑", "tests what has no test"),
    "steward": ("🎯", "keeps the record of changes"),
    "streamliner": ("⚡", "makes a loop a sum"),
    "visionary": ("🔭", "hangs once, then has ideas"),
    "weaver": ("🕸️", "no agent but a program: it lands what the others made"),
    _HUMAN: ("🧑", "you, who are asked what the team cannot know"),
}
QUICK = ("absolutist", "artisan", "forge", "lore", "meta", "scribe", "steward")  # the working personas of a quick demo
_SETTINGS = """\
# The team of the demo: one script plays everybody.
[team]
base = "main"
human = "{human}"
agent = "script"

[agents.script]
command = {command}
timeout = "1m"

[sprint]
parallel = "{parallel}"
max_parallel = {count}
retry_backoff = "0s"
{gather}
[gates.tests]
command = {tests}
timeout = "1m"
"""
_GATHER = f"""\
# By default, the first patch waits 2 s for others to be woven with it: nothing for agents that work for minutes.
# These think for {THINKING} s on average; after 2 s most of them have ended, and would wait for the weave.
gather = "200ms"
"""


def make_project(folder: Path, archive: str = "project.txt") -> None:
    """Create the project's repository in an empty or new folder, with one commit on `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in project_files(archive).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    _git(folder)("init", "--quiet", "--initial-branch=main", cwd=folder)
    commit(folder, "Open the shop")


def make_team(folder: Path, mode: str, *, quick: bool = False) -> None:
    """Create the team: 19 working personas, the weaver and the human. `mode` is "parallel" or "sequential".

    A quick team has 7 working personas, without delays.
    """
    home = folder / ".team"
    (home / "personas").mkdir(parents=True)
    names = [*QUICK, *sorted(_WAIT)] if quick else [*PERSONAS]
    for name in names:
        (home / "personas" / f"{name}.md").write_text(_persona(name), encoding="utf-8")
    script = copied(folder.parent, "agent.py")
    settings = _SETTINGS.format(
        human=_HUMAN,
        command=json.dumps(
            [sys.executable, "-P", str(script), "{persona}", "{attempt}", str(0 if quick else THINKING)]
        ),
        parallel="never" if mode == Mode.SEQUENTIAL else "always",
        count=len(names),
        gather="" if quick else _GATHER,
        tests=json.dumps([sys.executable, "-m", "unittest", "--quiet"]),
    )
    (home / "team.toml").write_text(settings, encoding="utf-8")
    ignore_mail(home)
    commit(folder, "Hire a team")


def copied(folder: Path, name: str) -> Path:
    """Copy a script out of the package, so that it runs without it."""
    script = folder / name
    script.write_text(_resource(name), "utf-8")
    return script


def project_files(archive: str = "project.txt") -> dict[str, str]:
    """Read a project from its archive: a line `-- name --` begins each file."""
    _, *parts = re.split(r"(?m)^-- (.+) --\n", _resource(archive))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def persona_file(id: str, emoji: str, description: str, *front: str) -> str:
    """Return the text of a persona's file; `front` are more lines of its front matter."""
    fields = {"id": id, "name": id.capitalize(), "emoji": emoji, "description": description}
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    return "---\n" + "\n".join([*lines, *front]) + f"\n---\nYou are {id}. What you do in this shop: {description}.\n"


def commit(folder: Path, subject: str) -> None:
    """Commit all that is in a project."""
    git = _git(folder).using(work_tree=folder)
    git("add", "--all", cwd=folder)
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@kiosk.invalid")
    git(*who, "commit", "--quiet", f"--message={subject}", cwd=folder)


def _persona(id: str) -> str:
    front = ["scheduled: false"] if id in _WAIT else []
    return persona_file(id, *PERSONAS[id], *front, *([f"timeout: {_PATIENCE}"] if id == _HANGS else []))


def _git(folder: Path) -> Git:
    return Git(folder / ".git")


def _resource(name: str) -> str:
    return (files(__name__.rpartition(".")[0]) / name).read_text(encoding="utf-8")
