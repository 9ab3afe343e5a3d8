"""Where a team lives: the `.team` folder, found by walking up like git does, or named by `TEAM_HOME`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from .directory import Directory
from .errors import NoTeam, UsageError

_IGNORED = "mail/\nruns/\nwork/\n"


def find_home(start: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the `.team` folder of `start` or the nearest folder above. Raises NoTeam, saying what makes one."""
    if named := environ.get("TEAM_HOME"):
        return Path(named).absolute()
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / ".team").is_dir():
            return folder / ".team"
    raise NoTeam(f"no team here: no .team folder in {start} or above; the first `team-mail send` makes one")


def planned_home(start: Path) -> Path:
    """Return where a new team's folder goes: the top of the git checkout, else `start`. Nothing is made yet."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start) / ".team"


def ignore_mail(home: Path) -> None:
    """Keep a team's mail out of git. Where this cannot be written, the mail is there all the same."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        with suppress(OSError):
            ignore.write_text(_IGNORED)


def read_directory(home: Path, environ: Mapping[str, str] = os.environ) -> Directory:
    """Read who is on the team: the names in `personas/`, the human and the groups in `team.toml`.

    Within a run, its persona is a guest where it is not on the team: a dispatch may borrow one.

    Raises UsageError for a `team.toml` that cannot be read.
    """
    settings = home / "team.toml"
    told = _read_toml(settings) if settings.exists() else {}
    team, grouped = told.get("team", {}), told.get("groups", {})
    if not isinstance(team, dict) or not isinstance(grouped, dict):
        raise UsageError(f"{settings}: team and groups are tables, as in [team] and [groups]")
    groups: dict[str, tuple[str, ...]] = {}
    for name, names in cast("dict[str, Any]", grouped).items():
        if not isinstance(names, list):
            raise UsageError(f'{settings}: [groups] holds lists of personas, as in docs = ["scribe", "lore"]')
        groups[name] = tuple(str(member) for member in cast("list[Any]", names))
    human = str(cast("dict[str, Any]", team).get("human", "you"))
    return Directory(_personas(home / "personas"), groups, human, _guests(environ))


def _guests(environ: Mapping[str, str]) -> frozenset[str]:
    name = environ.get("TEAM_PERSONA", "").removesuffix("@team")
    return frozenset({name}) if name and environ.get("TEAM_RUN") else frozenset()


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib  # a team without settings need not wait for it

    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None


def _personas(folder: Path) -> frozenset[str] | None:
    """List the roster by name: `<id>.md`, `<id>.md.j2` and folders; hidden and `_` ones are not personas."""
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
