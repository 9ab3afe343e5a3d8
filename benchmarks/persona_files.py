"""Persona files of other tools, in bulk: which of a folder's are read, and what becomes of each of their keys.

`python benchmarks/persona_files.py FOLDER…` imports every file below the folders on its own, and reads the folders
where they lie. It holds of every file: it is read, or refused or skipped with file and reason; a traceback is a fault.
Each of its keys is mapped, or told as lost with its line. Its prompt is kept, `{{` and all. An import of its export to
any format is the same again. Nothing is written outside of a temporary folder.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import yaml
from table import Row, show
from team_mail.mail.team_file import files_below
from team_mail.personas.foreign.exporting import FILES, exported, written
from team_mail.personas.foreign.mapping import persona_of
from team_mail.personas.foreign.own import own_file
from team_mail.personas.foreign.reading import read_sheets
from team_mail.personas.foreign.sheet import FOLDERS, Format, NotAPersona, Sheet
from team_mail.personas.frontmatter import Fault
from team_mail.personas.persona import Persona, parse_persona
from team_mail.personas.roster import read_roster
from team_mail.team.api.outside.personas import EXISTS, REFUSED, SKIPPED, UNCHANGED, WRITTEN, import_personas
from team_mail.team.api.outside.personas import File as Imported

SPOKEN = frozenset({"name", "description", "role", "goal", "backstory", "id", "developer_instructions"})
SLOWEST = 0.25  # seconds for one file, which nobody should have to wait for


@dataclass
class Seen:
    """What was seen of the files of one format: how many came out how, and seconds for each."""

    files: int = 0
    personas: int = 0
    refused: int = 0
    skipped: int = 0
    off: int = 0
    mapped: Counter[str] = field(default_factory=Counter[str])
    told: Counter[str] = field(default_factory=Counter[str])
    braces: int = 0
    again: int = 0
    exports: int = 0
    seconds: list[float] = field(default_factory=list[float])


class Look:
    """Looks at files one by one, and collects what is wrong of what has to hold."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.refused: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.faults: list[str] = []
        self.unknown: Counter[str] = Counter()

    def file(self, path: Path) -> None:
        """Import a file into an empty team, and hold what came of it to its words."""
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            try:
                done = import_personas([path], Path(folder), environ={}).files
            except Exception as error:  # noqa: BLE001 - any is a fault of the product
                self.faults.append(f"{path}: raises {type(error).__name__}: {error}")
                return
            took = time.process_time() - began
            seen = self._of(done)
            seen.files += 1
            seen.seconds.append(took)
            for each in done:
                self._one(each, path, seen)

    def _of(self, done: Sequence[Imported]) -> Seen:
        form = next((str(each.format) for each in done if each.format), "none told")
        return self.seen.setdefault(form, Seen())

    def _one(self, done: Imported, path: Path, seen: Seen) -> None:
        if done.status == REFUSED:
            seen.refused += 1
            self.refused.append(done.why)
            if not re.search(r":\d+: \S|not UTF-8|cannot be read|KiB|no such file", done.why):
                self.faults.append(f"{path}: is refused without its line: {done.why}")
        elif done.status == SKIPPED:
            off = done.format is not None
            seen.off, seen.skipped = seen.off + off, seen.skipped + (not off)
            self.skipped[re.sub(r"^.*?: ", "", done.why) if off else done.why] += 1
        elif done.status in {WRITTEN, UNCHANGED, EXISTS} and done.target:
            seen.personas += 1
            sheet = next(each for each in read_sheets(text_of(path), path, form=None) if each.id == done.id)
            self._keys(done, sheet, path, seen)
            self._prompt(parse_persona(done.target.read_text(), done.target), sheet, path, seen)
            self._round(done.target.read_text(), sheet.format, path, seen)

    def _keys(self, done: Imported, sheet: Sheet, path: Path, seen: Seen) -> None:
        told = {note.key: note for note in done.notes}
        if missed := keys_of(text_of(path), path, sheet) - {*sheet.keys, "developer_instructions"}:
            self.faults.append(f"{path}: does not see {', '.join(sorted(missed))}")
        for key, value in sheet.keys.items():
            if key in told and told[key].lost:
                seen.told[key] += 1
                if "nothing that this project knows" in told[key].why:
                    self.unknown[key] += 1
            elif key in told or key in SPOKEN or value is None:
                seen.mapped[key] += 1
            else:
                self.faults.append(f"{path}: {key} = {str(value)[:60]!r} is dropped without a word")

    def _prompt(self, own: Persona, sheet: Sheet, path: Path, seen: Seen) -> None:
        raw = text_of(path).replace("\r\n", "\n").replace("\r", "\n")
        if sheet.format not in {Format.CODEX, Format.CREWAI} and own.prompt.strip() not in raw:
            self.faults.append(f"{path}: its prompt is not what stands there")
        if "{{" in sheet.prompt or "{%" in sheet.prompt:
            seen.braces += 1
            if sheet.format != Format.EGREGORA and own.template is not False:
                self.faults.append(f"{path}: braces of its prompt would be rendered")

    def _round(self, own: str, form: Format, path: Path, seen: Seen) -> None:
        """Export to every format, import that, and export it again."""
        persona = parse_persona(own, Path(f"{persona_id(own)}.md"))
        for each in Format:
            try:
                first = written([exported(persona, each).sheet])
                back = imported(first, each, persona.id)
                second = written([exported(parse_persona(back, Path(f"{persona.id}.md")), each).sheet])
            except (Fault, NotAPersona) as fault:
                self.faults.append(f"{path}: its export to {each} is not read: {fault}")
                continue
            if second != first:
                self.faults.append(f"{path}: its export to {each} is another one the second time")
            elif each != form:
                seen.exports += 1
            elif back != own:
                self.faults.append(f"{path}: import, export, import is no fixed point")
            else:
                seen.again += 1

    def lying(self, folder: Path) -> tuple[int, int, int]:
        """Read a folder where it lies: each file in it is a persona, a problem, or named as not read."""
        roster = read_roster(folder / "none here", [folder])
        said = [*roster.problems, *roster.unread]
        sources = {persona.source for persona in roster.personas}
        for path in {file.path for file in files_below(folder)}:
            if path not in sources and not any(text.startswith(f"{path}:") for text in said):
                self.faults.append(f"{path}: is passed over where it lies")
        return len(roster.personas), len(roster.problems), len(roster.unread)


def text_of(path: Path) -> str:
    """Return a file's text."""
    return path.read_bytes().decode()


def persona_id(own: str) -> str:
    """Return the id in a file of ours."""
    match = re.search(r"(?m)^id: ['\"]?([\w-]+)", own)
    return match[1] if match else "x"


def imported(text: str, form: Format, id: str) -> str:
    """Return the file of ours that a file of a format becomes."""
    path = Path(FILES[form].format(id=id))
    sheet = read_sheets(text, path, form=form, id=None if form == Format.CREWAI else id)[0]
    return own_file(sheet, persona_of(sheet))


def keys_of(text: str, path: Path, sheet: Sheet) -> set[str]:
    """Return the keys that a parser of the format itself sees; none where the file is no proper YAML."""
    if path.suffix == ".toml":
        return {*tomllib.loads(text.removeprefix("\ufeff"))}
    try:
        if sheet.format == Format.CREWAI:
            return {*map(str, yaml.safe_load(text)[sheet.id])}
        parts = re.split(r"(?m)^---[ \t]*\r?$", text, maxsplit=2)
        return {*map(str, yaml.safe_load(parts[1]))} if len(parts) == 3 and not parts[0].strip("\ufeff\n\r ") else set()
    except (yaml.YAMLError, TypeError):
        return set()


def below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, with those of the hidden folders in which tools look."""
    hidden = [place for name in FOLDERS for place in folder.rglob(name)]
    yield from dict.fromkeys(file.path for place in [*leaves(folder), *hidden] for file in files_below(place))


def leaves(folder: Path) -> Iterator[Path]:
    """Yield the folders that hold files, as no more than 2,000 files of one are looked at."""
    yield from sorted({path.parent for path in folder.rglob("*") if path.is_file()})


def rows(look: Look) -> Iterator[Row]:
    """Yield the rows of the table."""
    for form, seen in sorted(look.seen.items()):
        came = f"{seen.personas} personas, {seen.refused} refused, {seen.skipped} skipped, {seen.off} switched off"
        yield Row(f"{form}: {seen.files} files", came, "", "", "", None)
        if not seen.personas:
            continue
        keys = f"{seen.mapped.total():,} mapped, {seen.told.total():,} told as lost"
        yield Row(f"{form}: their keys", keys, "", "", "none silent", None)
        points = f"{seen.again} of {seen.personas} in their own, {seen.exports} of {seen.personas * 6:,} in others'"
        whole = (seen.again, seen.exports) == (seen.personas, seen.personas * 6)
        yield Row(f"{form}: fixed points", points, "", "", "all", whole)
        yield Row(f"{form}: prompts with braces, kept", f"{seen.braces}", "", "", "", None)
        most = max(seen.seconds)
        times = f"{median(seen.seconds) * 1e3:.1f} ms, slowest {most * 1e3:.0f} ms"
        target = f"≤ {SLOWEST * 1e3:.0f} ms each"
        yield Row(f"{form}: a file, of a processor, in the median", times, "", "", target, most <= SLOWEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    files = [path for folder in given.folders for path in below(folder.absolute())]
    if not files:
        parser.error(f"no persona files lie below {', '.join(map(str, given.folders))}")
    look, lying = Look(), Counter[str]()
    for path in files:
        look.file(path)
    for folder in given.folders:
        for place in leaves(folder.absolute()):
            for what, count in zip(("personas", "problems", "not read"), look.lying(place), strict=True):
                lying[what] += count
    show([*rows(look), Row("read where they lie", str(dict(lying)), "", "", "", None)])
    for title, texts in (
        ("refused", look.refused),
        ("skipped", [f"{count} times: {why}" for why, count in look.skipped.most_common()]),
        ("keys that nobody knows", [f"{key}: {count}" for key, count in look.unknown.most_common()]),
        ("FAULTS", look.faults),
    ):
        print(f"\n{title}: {len(texts)}")
        for text in texts:
            print(f"  {text}")
    sys.exit(bool(look.faults) or any(row.met is False for row in rows(look)))


if __name__ == "__main__":
    main()
