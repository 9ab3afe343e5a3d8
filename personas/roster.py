"""The roster: all personas of a team, read from its folder of files, and from folders of other tools.

A persona is `<id>.md`, `<id>.md.j2`, `<id>/prompt.md` or `<id>/prompt.md.j2`; names that start with a dot or an
underscore are ignored. `personas/foreign` reads the files that are written for other tools. A file that is not a valid
persona is reported and left out; the others are not affected.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from ..mail.log.disk import open_file
from ..mail.render import line
from ..mail.team_file import PROMPTS, files_below, files_of, persona_folders
from ..mail.text.nearest import suggestion
from .errors import PersonaError
from .foreign.marks import in_shape, is_marked
from .foreign.sheet import NotAPersona, Note, Sheet
from .frontmatter import Fault
from .persona import MAX_FILE, Persona, parse_persona

_LOOKS_LIKE_ONE = (".md", ".toml", ".yaml", ".yml", ".json", ".mdc", ".txt", ".j2", ".markdown")


class Roster(NamedTuple):
    """All personas, by descending priority; `problems` has one line for each file that was left out or names nobody.

    `notes` tell what became of the keys of other tools' files, and `unread` names files that nobody takes for a
    persona, a line each.
    """

    personas: tuple[Persona, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    unread: tuple[str, ...] = ()

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

    def reached(self, names: Iterable[str], default: str) -> list[str]:
        """Return those whose mail reaches their runs while they go on: as their files say, else as the `default`."""
        own = {persona.id: persona.deliver for persona in self.personas if persona.deliver}
        return [name for name in names if own.get(name, default) == "running"]

    def get(self, id: str) -> Persona | None:
        """Return the persona with this id, or None."""
        return next((persona for persona in self.personas if persona.id == id), None)


def read_roster(folder: Path, elsewhere: Sequence[Path] = (), agents: Mapping[str, str] | None = None) -> Roster:
    """Read all personas of a folder, usually `.team/personas`. Never raises; a missing folder is an empty roster.

    Args:
        folder: The team's own folder. What lies there takes part in sprints, unless its file says otherwise.
        elsewhere: Folders of other tools, read where they lie. What lies there takes part if its file says so.
        agents: The agents of the team for files that are written for one, by preset; "" for the team's default.
    """
    reading = _Reading(agents)
    reading.own(folder)
    for tool_folder in elsewhere:
        reading.others(tool_folder, folder.absolute().parent.parent.resolve())
    personas, problems = reading.personas, reading.problems
    names = [persona.id for persona in personas]
    problems += [
        f"{line(str(persona.source))}: after names {line(each)!r}, which is no persona here{suggestion(each, names)}"
        for persona in personas
        for each in persona.after
        if each not in names
    ]
    ordered = sorted(personas, key=lambda persona: (-persona.priority, persona.id))
    return Roster(tuple(ordered), tuple(problems), tuple(reading.notes), tuple(reading.unread))


def own_roster(home: Path) -> Roster:
    """Read the roster of the team in `home` where no other of its settings count. Raises UsageError for `team.toml`."""
    return read_roster(home / "personas", persona_folders(home))


class _Reading:
    """Collects the personas of several folders, of which the first that has an id wins."""

    def __init__(self, agents: Mapping[str, str] | None) -> None:
        self.personas: list[Persona] = []
        self.problems: list[str] = []
        self.notes: list[Note] = []
        self.unread: list[str] = []
        self._agents = agents
        self._several: dict[Path, list[Sheet]] = {}  # of files with more than one persona

    def own(self, folder: Path) -> None:
        """Read the team's own folder."""
        try:
            candidates = _files(folder)
            self.unread += _unread(folder, {path for files in candidates.values() for path in files})
        except FileNotFoundError:
            return
        except OSError as error:
            self.problems.append(f"{line(str(folder))}: cannot be read: {error.strerror}")
            return
        for name, files in sorted(candidates.items()):
            try:
                self._take(_one(name, files, folder), name, scheduled=True)
            except PersonaError as error:
                self.problems.append(str(error))

    def others(self, folder: Path, top: Path) -> None:
        """Read a folder of another tool, in the repository at `top`."""
        if not folder.is_dir():
            self.problems.append(f"{line(str(folder))}: there is no such folder, which team.personas names; correct it")
            return
        taken = {persona.id: persona.source for persona in self.personas}
        for name, path in files_below(folder):
            if name in taken:
                self.unread.append(
                    f"{line(str(path))}: is not read, because {line(str(taken[name]))} is {line(name)}, too"
                )
                continue
            if not path.resolve().is_relative_to(top):
                self.problems.append(
                    f"{line(str(path))}: is a link that leads out of the repository; put the file there"
                )
                taken[name] = path
                continue
            passed_over = len(self.unread)
            try:
                self._take(path, name, scheduled=False)
            except PersonaError as error:
                self.problems.append(str(error))
            if len(self.unread) == passed_over:  # a file that is nobody's stands in nobody's way
                taken[name] = path

    def _take(self, path: Path, id: str, *, scheduled: bool) -> None:
        many = path.suffix in {".yaml", ".yml"}
        if many and path in self._several:
            sheets = self._several[path]
        else:
            self._several[path] = []
            text = read_text(path)
            if scheduled and not many and not is_marked(text, path):
                self.personas.append(in_shape(parse_persona(text, path, id)))
                return
            sheets = self._several[path] = self._sheets(text, path, None if many else id, own=scheduled)
        for sheet in (each for each in sheets if each.id == id):
            self._follow(sheet, scheduled=scheduled)

    def _sheets(self, text: str, path: Path, id: str | None, *, own: bool) -> list[Sheet]:
        """Return the personas of a file that is written for another tool; none for one of ours, which is taken."""
        from .foreign.reading import read_own, read_sheets  # a team of its own files needs none of it

        try:
            if id is None or not own:
                return read_sheets(text, path, id=id)
            if sheet := read_own(text, path, id):
                return [sheet]
            self.personas.append(parse_persona(text, path, id))
        except NotAPersona as why:
            self.unread.append(f"{line(str(path))}: is not read: it {line(str(why))}")
        except Fault as fault:
            raise PersonaError(f"{line(str(path))}:{fault.line}: {line(str(fault))}") from None
        return []

    def _follow(self, sheet: Sheet, *, scheduled: bool) -> None:
        """Take the persona that follows from a sheet."""
        from .foreign.mapping import persona_of

        shown = line(str(sheet.source))
        try:
            mapped = persona_of(sheet, self._agents, scheduled=scheduled)
        except Fault as fault:
            raise PersonaError(f"{shown}:{fault.line}: {line(str(fault))}") from None
        if mapped.off:
            self.unread.append(f"{shown}: is not read: {line(sheet.id)} is switched off there")
            return
        self.notes += mapped.notes
        self.personas.append(mapped.persona)


def _unread(folder: Path, taken: set[Path]) -> Iterator[str]:
    """Name the files that look like a persona and are not read."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name[0] in "._" or path in taken or not entry.is_file() or not entry.name.endswith(_LOOKS_LIKE_ONE):
            continue
        yield f"{line(str(path))}: is not read, as its name is none of a persona; start it with _ if it is for you"


def _files(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each persona, by the name that `team-mail` gives it; each should have one."""
    files: dict[str, list[Path]] = defaultdict(list)
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = folder / entry.name
        if entry.name[0] in "._":
            continue
        if entry.is_dir():
            prompts = [path / name for name in PROMPTS]
            files[entry.name.split(".")[0]] += [each for each in prompts if each.exists()] or prompts[:1]
        else:
            for name, _ in files_of(path):
                files[name].append(path)
    return files


def _one(id: str, files: Sequence[Path], folder: Path) -> Path:
    """Return the file of a persona. Raises PersonaError unless there is one."""
    path = files[0]
    if len(files) > 1:
        names = " and ".join(line(str(path.relative_to(folder))) for path in files)
        raise PersonaError(f"{line(str(folder))}: {line(id)} has more than one file: {names}; keep one")
    if id.upper() == "README":
        raise PersonaError(f"{line(str(path))}: is this a persona? If not, rename it to _{line(path.name)}")
    return path


def read_text(path: Path) -> str:
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
