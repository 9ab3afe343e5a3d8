"""The bundled personas: the library, which a team copies and adapts, and the workers.

A worker (`coder`, `debug`) is a persona for tasks of a dispatch, with typed input; no sprint runs it.
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
    """Return the persona files of the library, sorted by name."""
    return _files("library")


def with_bundled(roster: Roster) -> Roster:
    """Return the roster with the bundled personas that the team does not have: the workers, then the library.

    They can be given tasks by name. No sprint runs them, and the team's default agent plays them. The library's files
    for a program or the human are left out, because those take no tasks.
    """
    own = {persona.id for persona in roster.personas}
    return roster._replace(personas=(*roster.personas, *(persona for persona in _bundled() if persona.id not in own)))


@cache
def _bundled() -> tuple[Persona, ...]:
    """Read the personas that can be given a task; cached, because the package's files never change."""
    workers, members = ([_parsed(file) for file in _files(folder)] for folder in ("workers", "library"))
    personas = (*workers, *(persona for persona in members if persona.scheduled))
    return tuple(replace(persona, scheduled=False, agent=None) for persona in personas)


def _parsed(file: Traversable) -> Persona:
    return parse_persona(file.read_text(encoding="utf-8"), Path(str(file)))


def _files(name: str) -> tuple[Traversable, ...]:
    folder = files(__name__.rpartition(".")[0]) / name
    return tuple(sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name))


def copy_into(folder: Path) -> list[Path]:
    """Copy the library into a folder, which is created if needed; return the files that were written.

    A persona that exists there already, in any form, is left alone. Raises TeamMailError if a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existing = {path.name.split(".")[0] for path in folder.iterdir()}
        missing = [file for file in library() if file.name.split(".")[0] not in existing]
        return [_copy(file, folder / file.name) for file in missing]
    except OSError as error:
        raise TeamMailError(f"cannot write personas into {folder}: {error.strerror}; nothing was overwritten") from None


def _copy(file: Traversable, path: Path) -> Path:
    with path.open("xb") as copy:
        copy.write(file.read_bytes())
    return path
