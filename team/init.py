"""Making a team in a repository: settings to edit, personas to choose from, and mail kept out of git.

Everything that could stop it is asked before anything is written, and nothing that is there is overwritten.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from ..mail.directory import EVERYBODY
from ..mail.errors import TeamMailError, UsageError
from ..mail.home import ignore_mail
from ..mail.nearest import suggestion
from ..personas.bundled import copy_into, library
from ..personas.errors import NotARepository
from ..personas.git import Git, find_repository

_COMMANDS = ("claude", "codex", "gemini", "opencode", "copilot", "amp", "aider", "cursor-agent", "goose")


class Made(NamedTuple):
    """What a team now has: its folder, what of it is new, the branch it starts from, and agents found in PATH."""

    home: Path
    settings: bool
    personas: tuple[str, ...]
    base: str
    agents: tuple[str, ...]


def make_team(start: Path, personas: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> Made:
    """Make the team of the repository that `start` lies in, with all bundled personas or those named.

    A team that has personas gets none unless they are named; "all" names all.

    Raises NotARepository where there is none, or none with a branch and a commit; UsageError for an unknown persona.
    """
    _, top = find_repository(start)
    base = _branch(top)
    _known(personas)
    home = Path(environ["TEAM_HOME"]).absolute() if environ.get("TEAM_HOME") else top / ".team"
    try:
        home.mkdir(parents=True, exist_ok=True)
        new = _settings(home / "team.toml", base)
        copied = _copied(home / "personas", personas)
        ignore_mail(home)
    except OSError as error:
        raise TeamMailError(
            f"cannot write {error.filename or home}: {error.strerror}; nothing was overwritten"
        ) from None
    found = tuple(name for name in _COMMANDS if shutil.which(name, path=environ.get("PATH", "")))
    return Made(home, new, copied, base, found)


def _branch(top: Path) -> str:
    """Return the branch that is checked out in `top`, which must have a commit to start from."""
    head = Git(_git_directory(top))
    named = head.run("symbolic-ref", "--quiet", "--short", "HEAD")
    commit = head.run("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if named.returncode:
        raise NotARepository(
            f"{top} has no branch checked out (detached at {commit.stdout.decode()[:10]}); "
            "a sprint starts from a branch: git switch main, or git switch -c NAME"
        )
    if commit.returncode:
        raise NotARepository(f'{top} has no commit yet; make the first: git add . && git commit -m "Begin"')
    return os.fsdecode(named.stdout).strip()


def _git_directory(top: Path) -> Path:
    """Return the checkout's own git directory: a linked worktree has one with a HEAD of its own."""
    link = top / ".git"
    return (top / link.read_text().removeprefix("gitdir:").strip()).resolve() if link.is_file() else link


def _known(personas: Sequence[str]) -> None:
    names = sorted(file.name.split(".")[0] for file in library())
    for name in personas:
        if name not in {*names, EVERYBODY}:
            raise UsageError(f"no bundled persona {name!r}{suggestion(name, names)}")


def _settings(path: Path, base: str) -> bool:
    """Write the settings, unless there are any."""
    text = (files(__name__.rpartition(".")[0]) / "template.toml").read_text(encoding="utf-8")
    text = text.replace('base = "main"', f"base = {json.dumps(base, ensure_ascii=False)}", 1)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError:
        path.unlink(missing_ok=True)  # half of a file would be taken for the whole
        raise
    return True


def _copied(folder: Path, personas: Sequence[str]) -> tuple[str, ...]:
    there = {path.name.split(".")[0] for path in folder.iterdir()} if folder.is_dir() else set[str]()
    if there and not personas:
        return ()
    if not personas or [*personas] == [EVERYBODY]:
        return tuple(path.name.split(".")[0] for path in copy_into(folder))
    folder.mkdir(exist_ok=True)
    wanted = [file for file in library() if file.name.split(".")[0] in {*personas} - there]
    for file in wanted:
        with (folder / file.name).open("xb") as copy:
            copy.write(file.read_bytes())
    return tuple(file.name.split(".")[0] for file in wanted)
