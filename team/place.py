"""Where the workspaces of a team lie: outside of every checkout, in a folder that belongs to one team alone."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from ..mail.errors import TeamMailError, UsageError
from ..mail.log.disk import read_file, reason_of
from ..mail.open import open_log
from ..personas.setup.trees import remove_tree, size_of

NAME = "team-mail"
_TEAM = "team.json"  # in each folder: whose it is
_VERSION = 1


def state_folder(setting: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the workspaces of all teams lie: `[workspace] root`, else below XDG_STATE_HOME or ~/.local/state.

    Raises UsageError where there is no home folder and nothing else is set.
    """
    if setting:
        return Path(setting).expanduser()
    if (named := environ.get("XDG_STATE_HOME", "")).startswith("/"):
        return Path(named) / NAME
    try:
        return Path.home() / ".local" / "state" / NAME
    except RuntimeError:
        raise UsageError(f"there is no home folder for workspaces; {_ADVICE}") from None


def workspace_folder(home: Path, setting: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for the workspaces of the team in `home`, and make it.

    Its name holds the id of the team: of its log's first event and its real path, so that a copy of a repository
    shares nothing. Raises UsageError if it cannot be made, or lies in the team's own checkout: an agent would read
    the user's files above its workspace as its own instructions.
    """
    home = home.resolve()
    if (log := open_log(home)).newest() is None:
        log.create()  # the first event is a part of the name, which must not change when it is written
    team = _identity(home)
    folder = state_folder(setting, environ) / f"{re.sub(r'[^A-Za-z0-9._-]', '-', home.parent.name)[-40:]}-{team[:12]}"
    _check_outside(home, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _TEAM).exists():
            (folder / _TEAM).write_text(json.dumps({"v": _VERSION, "home": str(home), "team": team}) + "\n")
    except OSError as error:
        raise UsageError(f"cannot make workspaces in {folder}: {reason_of(error)}; {_ADVICE}") from None
    return folder


def place_trouble(home: Path, setting: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return why the team in `home` could have no workspaces, or None; nothing of what is tried is left behind."""
    try:
        folder = state_folder(setting, environ)
        _check_outside(home.resolve(), folder)
    except UsageError as error:
        return str(error)
    above = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        Path(mkdtemp(dir=above)).rmdir()
    except OSError as error:
        return f"cannot make workspaces in {folder}: {reason_of(error)}; {_ADVICE}"
    return None


def _check_outside(home: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(home.parent):
        raise UsageError(f"the workspaces would lie in the checkout {home.parent}; {_ADVICE}")


_ADVICE = (
    "set root in [workspace] of team.toml to a folder outside of the checkout that can be written, "
    'as in root = "/var/tmp/team"'
)


@dataclass(frozen=True)
class Orphan:
    """A folder of workspaces whose team is gone, or is another one now; `size` is in bytes."""

    folder: Path
    home: str
    size: int = 0

    def remove(self) -> None:
        """Remove the folder with all that is in it, caches included. Raises WorkspaceStuck if something is left."""
        remove_tree(self.folder)


def orphans(setting: str | None, environ: Mapping[str, str] = os.environ) -> Iterator[Orphan]:
    """Find the folders of workspaces that belong to no team any more."""
    for file in sorted(state_folder(setting, environ).glob(f"*/{_TEAM}")):
        try:
            value: Any = json.loads(read_file(file))
            fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
            home = Path(str(fields["home"]))
            if fields["v"] == _VERSION and not (home.is_dir() and _identity(home.resolve()) == fields["team"]):
                yield Orphan(file.parent, str(home), size_of(file.parent))
        except (OSError, ValueError, KeyError, TeamMailError):
            continue  # not ours to judge: one whose log is on a server that does not answer may be alive, too


def _identity(home: Path) -> str:
    """Name a team by its log's first event and its real path."""
    opened = next(iter(open_log(home).read()), None)
    return hashlib.sha256(os.fsencode(f"{opened.id if opened else ''}\n{home}")).hexdigest()
