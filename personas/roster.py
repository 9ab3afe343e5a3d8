"""The roster: all personas of a team, read from its folder of Markdown files.

A persona is `<id>.md`, `<id>.md.j2`, `<id>/prompt.md` or `<id>/prompt.md.j2`; names that start with a dot or an
underscore are ignored. A file that is not a valid persona is reported and left out; the others are not affected.
"""

from __future__ import annotations

import os
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from ..mail.log.disk import open_file
from ..mail.render import line
from ..mail.text.nearest import suggestion
from .errors import PersonaError
from .persona import MAX_FILE, Persona, parse_persona

_SUFFIXES = (".md", ".md.j2")
_PROMPTS = ("prompt.md", "prompt.md.j2")


class Roster(NamedTuple):
    """All personas, by descending priority; `problems` has one line for each file that was left out or names nobody."""

    personas: tuple[Persona, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def scheduled(self) -> tuple[Persona, ...]:
        """The personas that take part in sprints."""
        return tuple(persona for persona in self.personas if persona.scheduled)

    @property
    def circle(self) -> str | None:
        """Name personas that wait for each other, so that none would start; None if there are none."""
        try:
            TopologicalSorter({persona.id: persona.after for persona in self.scheduled}).prepare()
        except CycleError as knot:
            return f"personas wait for each other (`after` in their files): {' -> '.join(knot.args[1][::-1])}"
        return None

    def get(self, id: str) -> Persona | None:
        """Return the persona with this id, or None."""
        return next((persona for persona in self.personas if persona.id == id), None)


def read_roster(folder: Path) -> Roster:
    """Read all personas of a folder, usually `.team/personas`. Never raises; a missing folder is an empty roster."""
    personas: list[Persona] = []
    problems: list[str] = []
    try:
        candidates = _files(folder)
    except FileNotFoundError:
        return Roster()
    except OSError as error:
        return Roster(problems=(f"{line(str(folder))}: cannot be read: {error.strerror}",))
    for name, files in sorted(candidates.items()):
        try:
            personas.append(_read(name, files, folder))
        except PersonaError as error:
            problems.append(str(error))
    names = [persona.id for persona in personas]
    problems += [
        f"{line(str(persona.source))}: after names {line(each)!r}, which is no persona here{suggestion(each, names)}"
        for persona in personas
        for each in persona.after
        if each not in names
    ]
    return Roster(tuple(sorted(personas, key=lambda persona: (-persona.priority, persona.id))), tuple(problems))


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each persona, by the name that `team-mail` gives it; each should have one."""
    files: dict[str, list[Path]] = defaultdict(list)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name[0] in "._":
            continue
        if entry.is_dir():
            prompts = [folder / entry.name / name for name in _PROMPTS]
            files[entry.name.split(".")[0]] += [path for path in prompts if path.exists()] or prompts[:1]
        elif entry.name.endswith(_SUFFIXES):
            files[entry.name.split(".")[0]].append(folder / entry.name)
    return files


def _read(id: str, files: list[Path], folder: Path) -> Persona:
    path = files[0]
    if len(files) > 1:
        names = " and ".join(line(str(path.relative_to(folder))) for path in files)
        raise PersonaError(f"{line(str(folder))}: {line(id)} has more than one file: {names}; keep one")
    if id.upper() == "README":
        raise PersonaError(f"{line(str(path))}: is this a persona? If not, rename it to _{line(path.name)}")
    return parse_persona(_text(path), path, id)


def _text(path: Path) -> str:
    """Return the text of a file that may be anything, such as a pipe or an image. Raises PersonaError."""
    shown = line(str(path))
    try:
        if not path.is_file():
            raise PersonaError(f"{shown}: there is no such file; write the prompt there, or start the name with _")
        with open_file(path, follow=True) as file:
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
