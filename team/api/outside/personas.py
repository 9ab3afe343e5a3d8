"""Personas from and to the files of other tools: what is imported, what is exported, and what gets lost on the way."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....mail.errors import TeamMailError, UsageError
from ....mail.log.disk import replacing
from ....mail.render import line
from ....mail.team_file import PROMPTS, files_below, foreign_id
from ....mail.text.nearest import suggestion
from ....personas.bundled import with_bundled
from ....personas.errors import PersonaError
from ....personas.foreign.exporting import FILES, exported, written
from ....personas.foreign.mapping import Mapped, persona_of
from ....personas.foreign.own import own_file
from ....personas.foreign.reading import read_sheets
from ....personas.foreign.sheet import FOLDERS, Format, NotAPersona, Note, Sheet
from ....personas.frontmatter import Fault
from ....personas.persona import Persona
from ....personas.roster import own_roster, read_text
from ....scheduler.settings.reading import read_settings
from ....scheduler.sprint.control import by_people_only

WRITTEN, UNCHANGED, EXISTS, REFUSED, SKIPPED = "written", "unchanged", "exists", "refused", "skipped"


@dataclass(frozen=True)
class File:
    """What became of one persona of a file.

    `status` is WRITTEN (or would be), UNCHANGED, EXISTS where another persona of that name is in the way, REFUSED
    for what cannot be read, and SKIPPED for a file that no tool takes for a persona, each with `why`. `target` is where
    it is, or would be; `notes` tell what became of its keys, and `lost` what an export does not say.
    """

    source: Path
    status: str
    id: str = ""
    format: Format | None = None
    target: Path | None = None
    why: str = ""
    notes: tuple[Note, ...] = ()
    lost: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the file as a JSON object."""
        notes = [{"key": each.key, "line": each.line, "why": each.why, "lost": each.lost} for each in self.notes] + [
            {"key": each.partition(":")[0], "line": None, "why": each, "lost": True} for each in self.lost
        ]
        return {
            "source": str(self.source), "status": self.status, "persona": self.id or None, "why": self.why or None,
            "format": str(self.format) if self.format else None, "notes": notes,
            "target": str(self.target) if self.target else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """An import, or an export if it is `out`, file by file; `dry` tells that nothing was written."""

    files: tuple[File, ...]
    dry: bool
    out: bool = False

    @property
    def failed(self) -> tuple[File, ...]:
        """The files that could not be read, or not be written."""
        return tuple(file for file in self.files if file.status in {EXISTS, REFUSED})

    @property
    def read(self) -> Counter[str]:
        """How many personas were read, by format."""
        return Counter(str(file.format) for file in self.files if file.status in {WRITTEN, UNCHANGED, EXISTS})

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team personas import --json`."""
        counts = Counter(file.status for file in self.files)
        return {
            "dry": self.dry, "read": dict(sorted(self.read.items())), "written": counts[WRITTEN],
            "unchanged": counts[UNCHANGED], "exists": counts[EXISTS], "refused": counts[REFUSED],
            "skipped": counts[SKIPPED],
            "files": [file.document() for file in self.files],
        }  # fmt: skip


def import_personas(
    paths: Sequence[Path],
    home: Path,
    *,
    form: Format | None = None,
    to: Path | None = None,
    dry: bool = False,
    force: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Transfer:
    """Write files of ours for those of other tools; nobody of them takes part in sprints unless a file says so.

    Raises UsageError for a path that is not there, and within a run; SettingsError.

    Args:
        paths: Files, or folders with what is below them.
        home: The team's folder, whose agents play what is written for them.
        form: Whose files they are, by default what their names and keys say.
        to: The folder to write into, by default that of the team's personas.
        dry: Whether nothing is written.
        force: Whether a file that is there already, and says something else, is overwritten.
        environ: Where `TEAM_…` variables are read from.
    """
    if not dry:
        by_people_only("team personas import", home)
    agents = read_settings(home, environ).settings.players if (home / "team.toml").exists() else None
    target = to or home / "personas"
    importing = _Importing(target, agents, form, dry=dry, force=force)
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist; name a file or a folder")
        for file in _below(path):
            importing.add(file)
    return Transfer(tuple(importing.files), dry)


def _below(path: Path) -> Iterator[Path]:
    """Yield the files of a folder, with those in the hidden folders in which tools look for their agents."""
    if not path.is_dir():
        yield path
        return
    folders = (path, *(path / hidden for hidden in FOLDERS))
    yield from dict.fromkeys(file.path for folder in folders for file in files_below(folder))


class _Importing:
    """Imports files one by one; remembers which file each persona came from."""

    def __init__(
        self, target: Path, agents: Mapping[str, str] | None, form: Format | None, *, dry: bool, force: bool
    ) -> None:
        self.files: list[File] = []
        self._target, self._agents, self._form, self._dry, self._force = target, agents, form, dry, force
        self._from: dict[str, tuple[Path, str]] = {}
        there = sorted(target.iterdir()) if target.is_dir() else []
        self._there = {path.name.split(".")[0]: path for path in there if path.name[0] not in "._"}

    def add(self, path: Path) -> None:
        """Import the personas of a file."""
        try:
            name = path.absolute().parent.name if path.name in PROMPTS else foreign_id(path.name)
            sheets = read_sheets(read_text(path), path, form=self._form, id=name)
        except NotAPersona as why:
            self.files.append(File(path, SKIPPED, why=f"it {why}"))
        except Fault as fault:
            self.files.append(File(path, REFUSED, why=f"{line(str(path))}:{fault.line}: {line(str(fault))}"))
        except PersonaError as error:
            self.files.append(File(path, REFUSED, why=str(error)))
        else:
            for sheet in sheets:
                self.files.append(self._persona(sheet, path))

    def _persona(self, sheet: Sheet, path: Path) -> File:
        try:
            mapped = persona_of(sheet, self._agents)
            text = own_file(sheet, mapped)
        except Fault as fault:
            why = f"{line(str(path))}:{fault.line}: {line(str(fault))}"
            return File(path, REFUSED, sheet.id, sheet.format, why=why)
        target = self._target / f"{sheet.id}.md"
        why, status = self._conflict(sheet, mapped, text, target)
        if status == WRITTEN and not self._dry:
            _write(target, text)
        if status in {WRITTEN, UNCHANGED}:
            self._from[sheet.id] = path, text
        return File(path, status, sheet.id, sheet.format, target, why, mapped.notes)

    def _conflict(self, sheet: Sheet, mapped: Mapped, text: str, target: Path) -> tuple[str, str]:
        """Say why a persona is not written, and what it is then; "" and WRITTEN if it is."""
        shown = line(str(sheet.source))
        if mapped.off:
            return f"{shown}: is switched off there", SKIPPED
        if known := self._from.get(sheet.id):
            first, said = known
            if said == text:
                return "", UNCHANGED
            return f"{shown}: {sheet.id} came from {line(str(first))} already; rename one of them", EXISTS
        there = self._there.get(sheet.id)
        if there is not None and there.name != target.name:
            return f"{shown}: {sheet.id} is {line(str(there))} already; remove that, or rename one of them", EXISTS
        return _overwriting(target, text, force=self._force)


def export_personas(
    home: Path,
    form: Format,
    names: Sequence[str] = (),
    *,
    to: Path | None = None,
    dry: bool = False,
    force: bool = False,
) -> Transfer:
    """Write personas of the team as files of another tool.

    Raises UsageError for a name that is nobody's, and within a run.

    Args:
        home: The team's folder.
        form: Whose files they become.
        names: Which personas, by default all of the roster; bundled ones are found, too.
        to: The folder to write into, by default where the tool looks for its files in the repository.
        dry: Whether nothing is written.
        force: Whether a file that is there already, and says something else, is overwritten.
    """
    if not dry:
        by_people_only("team personas export", home)
    made = [(persona, exported(persona, form)) for persona in _chosen(home, names)]
    groups = [made] if form == Format.CREWAI and made else [[each] for each in made]
    files: list[File] = []
    for group in groups:
        target = _place(home, form, group[0][0].id, to)
        status, why = _put(target, written([each.sheet for _, each in group]), dry=dry, force=force)
        files += [
            File(persona.source or target, status, persona.id, form, target, why, lost=each.lost)
            for persona, each in group
        ]
    return Transfer(tuple(files), dry, out=True)


def _chosen(home: Path, names: Sequence[str]) -> list[Persona]:
    """Return the personas of these names, or the roster. Raises UsageError for a name that is nobody's."""
    roster = own_roster(home)
    known = {persona.id: persona for persona in with_bundled(roster).personas}
    for name in names:
        if name not in known:
            raise UsageError(f"no persona {name!r}{suggestion(name, sorted(known))}")
    return [known[name] for name in names] or [*roster.personas]


def _put(target: Path, text: str, *, dry: bool, force: bool) -> tuple[str, str]:
    """Write a file unless something else is there; return what became of it, and why."""
    why, status = _overwriting(target, text, force=force)
    if status == WRITTEN and not dry:
        _write(target, text)
    return status, why


def _place(home: Path, form: Format, name: str, to: Path | None) -> Path:
    path = Path(FILES[form].format(id=name))
    if to is None:
        return home.absolute().parent / path
    return to / (Path(*path.parts[-2:]) if form == Format.EGREGORA else path.name)


def _overwriting(target: Path, text: str, *, force: bool) -> tuple[str, str]:
    if not target.exists():
        return "", WRITTEN
    if target.is_file() and target.read_bytes() == text.encode():
        return "", UNCHANGED
    return ("", WRITTEN) if force else (f"{line(str(target))} exists, and differs; --force overwrites it", EXISTS)


def _write(target: Path, text: str) -> None:
    """Write a file as a whole, and the folders that it needs. Raises TeamMailError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, durable=False) as scratch:
            scratch.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise TeamMailError(f"cannot write {target}: {error.strerror}") from None
