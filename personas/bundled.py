"""The bundled personas: the library, whose files a team takes over as its own and changes, and the workers.

A worker (`coder`, `debug`) is a persona for tasks of a dispatch, whose input has a form of its own; no sprint runs it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ..mail.errors import TeamMailError
from .persona import Persona, parse_persona
from .roster import Roster


def library() -> tuple[Traversable, ...]:
    """List the library's persona files by name."""
    return _files("library")


def with_bundled(roster: Roster) -> Roster:
    """Add to a team's own personas the bundled ones that it does not have: the workers, then the library.

    They are there for tasks that name them: no sprint runs them, and the team's own agent plays them. Those of the
    library that stand for a program or the human are nobody to give a task to.
    """
    own = {persona.id for persona in roster.personas}
    return roster._replace(personas=(*roster.personas, *(one for one in _bundled() if one.id not in own)))


@cache
def _bundled() -> tuple[Persona, ...]:
    """Read all that can be given a task, once in a process: they come with the package and never change."""
    workers, members = ([_parsed(file) for file in _files(folder)] for folder in ("workers", "library"))
    found = (*workers, *(one for one in members if one.scheduled))
    return tuple(replace(one, scheduled=False, agent=None) for one in found)


def _parsed(file: Traversable) -> Persona:
    return parse_persona(file.read_text(encoding="utf-8"), Path(str(file)))


def _files(name: str) -> tuple[Traversable, ...]:
    folder = files(__name__.rpartition(".")[0]) / name
    return tuple(sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name))


def copy_into(folder: Path) -> list[Path]:
    """Copy the library into a folder, made if need be; return what was written.

    A persona that is there already, in whatever form, is left as it is. Raises TeamMailError when the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = {path.name.split(".")[0] for path in folder.iterdir()}
        wanted = [file for file in library() if file.name.split(".")[0] not in there]
        return [_copy(file, folder / file.name) for file in wanted]
    except OSError as error:
        raise TeamMailError(f"cannot write personas into {folder}: {error.strerror}; nothing was overwritten") from None


def _copy(file: Traversable, path: Path) -> Path:
    with path.open("xb") as copy:
        copy.write(file.read_bytes())
    return path
