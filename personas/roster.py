"""The roster: all personas of a team, read from its folder of Markdown files.

A persona is `<id>.md`, `<id>.md.j2`, `<id>/prompt.md` or `<id>/prompt.md.j2`; what begins with a dot or an underscore
is not one. A file that is no persona is named and left out; the others work on.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from ..mail.render import line
from .errors import PersonaError
from .persona import MAX_FILE, Persona, parse_persona

_SUFFIXES = (".md", ".md.j2")
_PROMPTS = ("prompt.md", "prompt.md.j2")


class Roster(NamedTuple):
    """All personas, those of higher priority first; `problems` are one line for each that was left out."""

    personas: tuple[Persona, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def scheduled(self) -> tuple[Persona, ...]:
        """Those who take part in sprints."""
        return tuple(persona for persona in self.personas if persona.scheduled)

    def get(self, id: str) -> Persona | None:
        """Return the persona of that id, if there is one."""
        return next((persona for persona in self.personas if persona.id == id), None)


def read_roster(folder: Path) -> Roster:
    """Read the personas of a folder, `.team/personas` as a rule. It never raises; no folder is an empty roster."""
    personas: list[Persona] = []
    problems: list[str] = []
    try:
        found = _files(folder)
    except FileNotFoundError:
        return Roster()
    except OSError as error:
        return Roster(problems=(f"{line(str(folder))}: cannot be read: {error.strerror}",))
    for name, files in sorted(found.items()):
        try:
            personas.append(_read(name, files, folder))
        except PersonaError as error:
            problems.append(str(error))
    return Roster(tuple(sorted(personas, key=lambda persona: (-persona.priority, persona.id))), tuple(problems))


def _files(folder: Path) -> dict[str, list[Path]]:
    """List each persona's files by name, as `team-mail` reads the names: there should be one file to each."""
    found: dict[str, list[Path]] = defaultdict(list)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name[0] in "._":
            continue
        if entry.is_dir():
            prompts = [folder / entry.name / name for name in _PROMPTS]
            found[entry.name.split(".")[0]] += [path for path in prompts if path.exists()] or prompts[:1]
        elif entry.name.endswith(_SUFFIXES):
            found[entry.name.split(".")[0]].append(folder / entry.name)
    return found


def _read(id: str, files: list[Path], folder: Path) -> Persona:
    path = files[0]
    if len(files) > 1:
        names = " and ".join(line(str(path.relative_to(folder))) for path in files)
        raise PersonaError(f"{line(str(folder))}: {line(id)} is there twice: {names}; keep one")
    if id.upper() == "README":
        raise PersonaError(f"{line(str(path))}: is it a persona? If not, call it _{line(path.name)}")
    return parse_persona(_text(path), path, id)


def _text(path: Path) -> str:
    """Read a file that may be anything: a pipe, an image, a disk full."""
    shown = line(str(path))
    try:
        if not path.is_file():
            raise PersonaError(f"{shown}: there is no such file; write the prompt there, or begin the name with _")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise PersonaError(f"{shown}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise PersonaError(f"{shown}: over {MAX_FILE >> 10} KiB; a prompt is a page or two")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        at = data.count(b"\n", 0, error.start) + 1
        raise PersonaError(f"{shown}:{at}: not UTF-8; save it as UTF-8") from None
