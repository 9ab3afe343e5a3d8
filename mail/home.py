"""Where a team lives, and what its `team.toml` says: the only reader of that file.

The team's folder, `.team`, is found by walking up from the current folder as git does, or named by `TEAM_HOME`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from .directory import Directory
from .errors import NoTeam, UsageError

HUMAN = "you"  # the human's id if no setting names one
HUMAN_VARIABLE = "TEAM_TEAM_HUMAN"
RUN_FOLDER = ".team/run"  # in a run's workspace: where its agent and its keeper speak, see personas/running/folder.py
REFUSED = "refused"  # in that folder: a file that says why there is no mail here
_IGNORED = "/mail/\n/runs/\n/work/\n/run/\n/logs/\n"


class TeamFile(NamedTuple):
    """A parsed `team.toml`: its values as TOML gives them, and its text. Both are empty if there is no file."""

    values: dict[str, Any]
    text: str = ""


def find_home(start: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the `.team` folder of `start` or of the nearest folder above. Raises NoTeam."""
    if named := environ.get("TEAM_HOME"):
        return Path(named).absolute()
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / ".team").is_dir():
            return _shared(folder) / ".team"
        if (folder / ".git").is_file() and (_shared(folder) / ".team").is_dir():
            return _shared(folder) / ".team"
    raise NoTeam(f"no team here: no .team folder in {start} or above; the first `team-mail send` makes one")


def find_run_folder(start: Path) -> Path | None:
    """Return the `.team/run` of the workspace that contains `start`; None outside of every workspace."""
    for folder in (start, *start.parents):
        place = folder / RUN_FOLDER
        if (place / "requests").is_dir() or (place / REFUSED).is_file():
            return place
    return None


def planned_home(start: Path) -> Path:
    """Return where a new team's folder goes: the top of the git checkout, else `start`. Nothing is created."""
    start = start.absolute()
    top = next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)
    common = _common_directory(top / ".git")
    return (common.parent if common and common.name == ".git" else top) / ".team"


def is_clone(folder: Path) -> bool:
    """Tell whether the repository around a folder was cloned from another."""
    top = next((above for above in (folder, *folder.parents) if (above / ".git").exists()), folder)
    with suppress(OSError, UnicodeDecodeError):
        return '[remote "origin"]' in (top / ".git" / "config").read_text()
    return False


def _shared(folder: Path) -> Path:
    """Return the folder of the main checkout that a folder of a linked worktree stands for; itself elsewhere.

    All worktrees of a repository have one team, although each may have the committed files of `.team`. Without a main
    checkout, because the repository is bare, it is that of the first worktree that has mail.
    """
    top = next((above for above in (folder, *folder.parents) if (above / ".git").exists()), None)
    common = _common_directory(top / ".git") if top else None
    if top is None or common is None:
        return folder
    below = folder.relative_to(top)
    if common.name == ".git" and (common.parent / below / ".team").is_dir():
        return common.parent / below
    for link in sorted(common.glob("worktrees/*/gitdir")):
        with suppress(OSError, UnicodeDecodeError):
            checkout = Path(link.read_text().strip()).parent / below
            if (checkout / ".team" / "mail").is_dir():
                return checkout
    return folder


def _common_directory(file: Path) -> Path | None:
    """Return the git directory that the `.git` file of a linked worktree leads to; None for any other `.git`."""
    with suppress(OSError, UnicodeDecodeError):
        text = file.read_text()
        if file.is_file() and text.startswith("gitdir:"):
            own = file.parent / text.removeprefix("gitdir:").strip()
            return (own / (own / "commondir").read_text().strip()).resolve()  # a submodule has no such file
    return None


def ignore_mail(home: Path) -> None:
    """Make git ignore the team's mail. A folder that cannot be written is left as it is."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        with suppress(OSError):
            ignore.write_text(_IGNORED)


def read_team_file(home: Path) -> TeamFile:
    """Read `team.toml`; a byte order mark is skipped. Raises UsageError with the line of a mistake."""
    path = home / "team.toml"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return TeamFile({})
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
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
