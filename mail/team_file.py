"""What a team's `team.toml` says, and who is on the team: the only reader of that file."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from .directory import Directory
from .errors import UsageError
from .home import HUMAN_VARIABLE
from .log.disk import read_file, reason_of

HUMAN = "you"  # the human's id if no setting names one


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
        raise UsageError(_syntax_error(path, text, str(error))) from None


def read_directory(home: Path, environ: Mapping[str, str] = os.environ) -> Directory:
    """Read who is on the team: the roster in `personas/`, the human, and the groups of `team.toml`.

    The human is the one of `TEAM_TEAM_HUMAN`, else of `team.toml`, as in the scheduler's settings. Raises UsageError
    for a `team.toml` that cannot be read.
    """
    values = read_team_file(home).values
    team, groups = values.get("team", {}), values.get("groups", {})
    if not isinstance(team, dict) or not isinstance(groups, dict):
        raise UsageError("team.toml: team and groups are tables, as in [team] and [groups]")
    for name, members in cast("dict[str, Any]", groups).items():
        if not isinstance(members, list):
            raise UsageError(f'team.toml: group {name} must be a list of personas, as in docs = ["scribe", "lore"]')
    human = environ.get(HUMAN_VARIABLE, "").strip() or str(cast("dict[str, Any]", team).get("human", HUMAN))
    return directory_of(home, human, cast("dict[str, list[Any]]", groups), environ)


def directory_of(
    home: Path, human: str, groups: Mapping[str, Sequence[Any]], environ: Mapping[str, str] = os.environ
) -> Directory:
    """Return the directory of the team in `home`, given the human and the groups of its settings.

    The persona of a run is a guest if it is not on the roster: a dispatch may use a bundled one.
    """
    members = {name: tuple(map(str, names)) for name, names in groups.items()}
    return Directory(_personas(home / "personas"), members, human, _guests(environ))


def _guests(environ: Mapping[str, str]) -> frozenset[str]:
    name = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    return frozenset({name}) if name and environ.get("TEAM_RUN") else frozenset()


def _syntax_error(path: Path, text: str, reason: str) -> str:
    """Put the line of a syntax error first; tomllib puts it last."""
    match = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", reason)
    line = match[1] if match and match[1] else text.count("\n") + 1
    column = f" at column {match[2]}" if match and match[2] else ""
    what = reason[: match.start()] if match else reason
    return f"{path.name}:{line}: {what[:1].lower()}{what[1:]}{column}; correct the TOML there"


def _personas(folder: Path) -> frozenset[str] | None:
    """Return the ids of the roster: `<id>.md`, `<id>.md.j2` and folders, except hidden and `_` ones."""
    if not folder.is_dir():
        return None
    names = frozenset(
        entry.name.split(".")[0]
        for entry in os.scandir(folder)
        if entry.name[0] not in "._"
        and entry.name.split(".")[0].upper() != "README"
        and (entry.is_dir() or entry.name.endswith((".md", ".md.j2")))
    )
    return names or None
