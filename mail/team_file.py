"""What a team's `team.toml` says, and who is on the team: the only reader of that file."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from .directory import Directory, Subteam, channels_of
from .errors import UsageError
from .home import HUMAN_VARIABLE
from .log.disk import open_file, read_file, reason_of

HUMAN = "you"  # the human's id if no setting names one
_LOG_URL, _LOG_NAME, _NAME = "TEAM_LOG_URL", "TEAM_LOG_NAME", "team_mail"
_LOG_TABLE = rb"(?m)^[ \t]*\[?[ \t]*[\"']?log\b"  # a file without such a line has no table of that name
MAX_PERSONAS = 256 << 10  # bytes of a file of personas
_FOLDERS = 'personas must be a list of folders, as in personas = [".claude/agents"]'
PROMPTS = ("prompt.md", "prompt.md.j2")  # in a folder of the persona's name
MOST_FILES = 2000  # that are looked at in a folder of another tool
_DEEPEST = 6  # folders below that one
_FOREIGN = (".agent.md", ".chatmode.md", ".toml")  # ends of names that only other tools have


class TeamFile(NamedTuple):
    """A parsed `team.toml`: its values as TOML gives them, and its text. Both are empty if there is no file."""

    values: dict[str, Any]
    text: str = ""


def read_team_file(home: Path) -> TeamFile:
    """Read `team.toml`; a byte order mark is skipped. Raises UsageError with the line of a mistake."""
    path = home / "team.toml"
    try:
        data = read_file(path, follow=True)
    except FileNotFoundError:
        return TeamFile({})
    except OSError as error:
        raise UsageError(f"cannot read {path}: {reason_of(error)}") from None
    try:
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(f"{path.name}:{line}: not UTF-8; convert the file (iconv -f latin1 -t utf-8)") from None
    import tomllib  # a team without settings does not wait for it

    try:
        return TeamFile(tomllib.loads(text), text)
    except RecursionError:
        raise UsageError(f"{path.name}:1: lists or tables nested too deep") from None
    except ValueError as error:
        line, what = syntax_error(text, str(error))
        raise UsageError(f"{path.name}:{line}: {what}; correct the TOML there") from None


def read_log(home: Path, environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """Read url and name of a log on a server; None if the log is in the team's folder, as it is by default.

    Every command asks for this, so a file in which no line begins with `log` is not parsed. Raises UsageError.
    """
    values: dict[str, Any] = {}
    try:
        if re.search(_LOG_TABLE, read_file(home / "team.toml", follow=True)):
            values = _table(read_team_file(home).values, "log")
    except OSError:
        values = {}  # whoever needs the rest of the file says what is wrong with it
    url = environ.get(_LOG_URL, "").strip() or values.get("url", "")
    name = environ.get(_LOG_NAME, "").strip() or values.get("name", _NAME)
    if not isinstance(url, str) or not isinstance(name, str):
        raise UsageError('team.toml: log.url and log.name must be texts, as in url = "postgresql://HOST/DATABASE"')
    if "url" in values and not url:
        raise UsageError("team.toml: log.url is empty; take it out for a log in the team's folder")
    return (url, name) if url else None


def read_directory(home: Path, environ: Mapping[str, str] = os.environ) -> Directory:
    """Read who is on the team: the roster in `personas/`, the human, and the groups, teams and channels of `team.toml`.

    The human is the one of `TEAM_TEAM_HUMAN`, else of `team.toml`, as in the scheduler's settings. Raises UsageError
    for a `team.toml` that cannot be read.
    """
    values = read_team_file(home).values
    team, groups = _table(values, "team"), _table(values, "groups")
    for name in groups:
        _names(groups, name, f'group {name} must be a list of personas, as in docs = ["scribe", "lore"]')
    teams = {name: _subteam(name, table) for name, table in _table(values, "teams").items()}
    channels = {name: _listed("channels", name, table) for name, table in _table(values, "channels").items()}
    human = environ.get(HUMAN_VARIABLE, "").strip() or str(team.get("human", HUMAN))
    elsewhere = folders_of(home, _names(team, "personas", f"team.{_FOLDERS}"))
    return directory_of(home, human, groups, teams=teams, channels=channels, elsewhere=elsewhere, environ=environ)


def persona_folders(home: Path) -> tuple[Path, ...]:
    """Return the folders of other tools in which there are personas, as `team.toml` says. Raises UsageError."""
    team = _table(read_team_file(home).values, "team")
    return folders_of(home, _names(team, "personas", f"team.{_FOLDERS}"))


def folders_of(home: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """Return the folders of personas that the settings name, counted from the folder that holds `.team`."""
    return tuple(home.absolute().parent / name for name in names)


def directory_of(
    home: Path,
    human: str,
    groups: Mapping[str, Sequence[Any]],
    *,
    teams: Mapping[str, Subteam] | None = None,
    channels: Mapping[str, Sequence[str]] | None = None,
    elsewhere: Sequence[Path] = (),
    environ: Mapping[str, str] = os.environ,
) -> Directory:
    """Return the directory of the team in `home`, given the human, groups, teams and channels of its settings.

    `channels` are those of `[channels]`; teams have more. `elsewhere` are the folders of personas that the settings
    name. The persona of a run is a guest if it is not on the roster: a dispatch may use a bundled one.
    """
    teams = teams or {}
    if twice := sorted(groups.keys() & teams.keys()):
        raise UsageError(f"team.toml: {twice[0]} is a group and a team, so @{twice[0]} would be both; rename one")
    members = {name: tuple(map(str, names)) for name, names in groups.items()}
    members |= {name: team.members for name, team in teams.items()}
    guests = _guests(environ)
    return Directory(roster_names(home, elsewhere), members, human, guests, channels_of(teams, channels))


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"team.toml: {name} must be a table, as in [{name}]")
    return cast("dict[str, Any]", table)


def _subteam(name: str, table: Any) -> Subteam:
    members, reviewers = (_listed("teams", name, table, key) for key in ("members", "reviewers"))
    return Subteam(members, reviewers, str(table.get("channel", "")))


def _listed(kind: str, name: str, table: Any, key: str = "members") -> tuple[str, ...]:
    """Return the personas that a key of the table `[kind.NAME]` lists."""
    if not isinstance(table, dict):
        raise UsageError(f"team.toml: {kind}.{name} must be a table: write [{kind}.{name}] above its settings")
    fault = f'{kind}.{name}.{key} must be a list of personas, as in {key} = ["scribe", "lore"]'
    return _names(cast("dict[str, Any]", table), key, fault)


def _names(table: Mapping[str, Any], key: str, fault: str) -> tuple[str, ...]:
    names = table.get(key, [])
    if not isinstance(names, list):
        raise UsageError(f"team.toml: {fault}")
    return tuple(map(str, cast("list[Any]", names)))


def _guests(environ: Mapping[str, str]) -> frozenset[str]:
    name = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    return frozenset({name}) if name and environ.get("TEAM_RUN") else frozenset()


def syntax_error(text: str, reason: str) -> tuple[int, str]:
    """Return the line of a syntax error in TOML, and what is wrong; tomllib puts both into one sentence."""
    match = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", reason)
    line = int(match[1]) if match and match[1] else text.count("\n") + 1
    column = f" at column {match[2]}" if match and match[2] else ""
    what = reason[: match.start()] if match else reason
    return line, f"{what[:1].lower()}{what[1:]}{column}"


class PersonaFile(NamedTuple):
    """A file that may be a persona's, and the name by which mail addresses that persona."""

    id: str
    path: Path


def roster_names(home: Path, elsewhere: Sequence[Path] = ()) -> frozenset[str] | None:
    """Return the ids of the roster in `home`, None if there is none: files of its `personas/`, and folders.

    Hidden ones and those that begin with `_` are left out. `elsewhere` are more folders, with what is below them.
    """
    names = {file.id for folder in elsewhere for file in files_below(folder)}
    folder = home / "personas"
    if folder.is_dir():
        for entry in os.scandir(folder):
            if entry.name[0] not in "._" and not _is_readme(entry.name):
                if entry.is_dir():
                    names.add(entry.name.split(".")[0])
                else:
                    names.update(file.id for file in files_of(Path(entry.path)))
    return frozenset(names) or None


def roster_files(home: Path, elsewhere: Sequence[Path] = ()) -> list[Path]:
    """List what the roster is read from: the files of its folder and of its subfolders, and those of the others."""
    personas = home / "personas"
    here = sorted(personas.iterdir()) if personas.is_dir() else []
    own = [*here, *(file for folder in here if folder.is_dir() for file in sorted(folder.iterdir()))]
    others = (path for folder in elsewhere for _, path in files_below(folder))
    return [personas, *own, *elsewhere, *dict.fromkeys(others)]


def files_of(path: Path, *, foreign: bool = False) -> list[PersonaFile]:
    """Return what a file in a folder of personas may hold, or in one of another tool: one persona, several, or none."""
    if path.suffix in {".yaml", ".yml"}:
        return [PersonaFile(name, path) for name in crew_names(_beginning(path))]
    name = foreign_id(path.name) if foreign else id_of(path.name)
    return [PersonaFile(name, path)] if name else []


def files_below(folder: Path) -> list[PersonaFile]:
    """Return what a folder of another tool may hold, with folders in it, in the order of their paths.

    Links to folders are not followed, and not more than MOST_FILES files are looked at.
    """
    files: list[PersonaFile] = []
    seen = 0
    for place, folders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if name[0] not in "._") if depth < _DEEPEST else []
        for name in sorted(names):
            seen += 1
            if seen > MOST_FILES:
                return files
            if name in PROMPTS and depth:
                files.append(PersonaFile(Path(place).name, Path(place, name)))
            elif name[0] not in "._" and not _is_readme(name):
                files += files_of(Path(place, name), foreign=True)
    return files


def id_of(name: str) -> str:
    """Return the id of the persona in a file of this name, "" if it is none: `scribe` for `scribe.md`."""
    if name.endswith(_FOREIGN):
        return foreign_id(name)
    return name.split(".", maxsplit=1)[0] if name.endswith((".md", ".md.j2")) else ""


def foreign_id(name: str) -> str:
    """Return the id of the persona in another tool's file of this name, "" if it is none.

    What no address can have becomes a hyphen: `next-js-expert` for `next.js expert.md`.
    """
    suffix = next((each for each in (*_FOREIGN, ".md.j2", ".md") if name.endswith(each)), "")
    return re.sub(r"-*[^\w-]\W*", "-", name.removesuffix(suffix)).strip("-") if suffix else ""


def crew_names(text: str) -> list[str]:
    """Return the names at the beginning of lines, of which each is followed by a colon and nothing else."""
    return [*dict.fromkeys(re.findall(r"(?m)^([\w-]+)[ \t]*:[ \t]*(?:#.*)?\r?$", text))]


def _beginning(path: Path) -> str:
    try:
        with open_file(path, follow=True) as file:
            return file.read(MAX_PERSONAS).decode(errors="replace")
    except OSError:
        return ""


def _is_readme(name: str) -> bool:
    return name.split(".", maxsplit=1)[0].upper() == "README"
