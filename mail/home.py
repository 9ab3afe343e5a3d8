"""Where a team lives: in the folder `.team`, found by walking up from the current folder, or named by `TEAM_HOME`.

Paths are texts here, and only `os` is imported: `team-mail check` runs at every prompt of every agent, and `pathlib`
takes as long to load as Python itself.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HUMAN_VARIABLE = "TEAM_TEAM_HUMAN"
RUN_FOLDER = ".team/run"  # in a run's workspace: where its agent and its keeper speak, see personas/running/folder.py
REFUSED = "refused"  # in that folder: a file that says why there is no mail here
_IGNORED = "/mail/\n/runs/\n/work/\n/run/\n/logs/\n"


def find_home(start: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the `.team` folder of `start` or of the nearest folder above. Raises NoTeam."""
    home = home_of(str(start), environ)
    if home is None:
        from .errors import NoTeam

        where = os.path.abspath(start)
        raise NoTeam(f"no team here: no .team folder in {where} or above; the first `team-mail send` makes one")
    return type(start)(home)


def home_of(start: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return what `find_home` does, or None if there is no team."""
    if named := environ.get("TEAM_HOME"):
        return os.path.abspath(named)
    for folder in _upward(os.path.abspath(start)):
        if os.path.isdir(f"{folder}/.team"):
            return f"{_shared(folder)}/.team"
        if os.path.isfile(f"{folder}/.git") and os.path.isdir(f"{_shared(folder)}/.team"):
            return f"{_shared(folder)}/.team"
    return None


def find_run_folder(start: Path) -> Path | None:
    """Return the `.team/run` of the workspace that contains `start`; None outside of every workspace."""
    place = run_folder_of(str(start))
    return None if place is None else type(start)(place)


def run_folder_of(start: str) -> str | None:
    """Return what `find_run_folder` does."""
    for folder in _upward(start):
        place = f"{folder}/{RUN_FOLDER}"
        if os.path.isdir(f"{place}/requests") or os.path.isfile(f"{place}/{REFUSED}"):
            return place
    return None


def planned_home(start: Path) -> Path:
    """Return where a new team's folder goes: the top of the git checkout, else `start`. Nothing is created."""
    start = start.absolute()
    top = _checkout(str(start)) or str(start)
    common = _common_directory(f"{top}/.git") or ""
    return type(start)(os.path.dirname(common) if os.path.basename(common) == ".git" else top) / ".team"


def is_clone(folder: Path) -> bool:
    """Tell whether the repository around a folder was cloned from another."""
    try:
        with open(f"{_checkout(str(folder)) or folder}/.git/config", encoding="utf-8") as file:
            return '[remote "origin"]' in file.read()
    except (OSError, UnicodeDecodeError):
        return False


def ignore_mail(home: Path) -> None:
    """Make git ignore the team's mail. A folder that cannot be written is left as it is."""
    ignore = home / ".gitignore"
    if not ignore.exists():
        from .log.disk import share

        try:
            ignore.write_text(_IGNORED)
            share(ignore, home)
        except OSError:
            return


def _upward(folder: str) -> Iterator[str]:
    """Yield a folder and those above it; the root is an empty text, to which names are joined by a slash."""
    while folder.rstrip("/"):
        yield folder
        folder = os.path.dirname(folder)
    yield ""


def _checkout(folder: str) -> str | None:
    """Return the top of the git checkout around a folder."""
    return next((above for above in _upward(folder) if os.path.exists(f"{above}/.git")), None)


def _shared(folder: str) -> str:
    """Return the folder of the main checkout that a folder of a linked worktree stands for; itself elsewhere.

    All worktrees of a repository have one team, although each may have the committed files of `.team`. Without a main
    checkout, because the repository is bare, it is that of the first worktree that has mail.
    """
    top = _checkout(folder)
    common = None if top is None else _common_directory(f"{top}/.git")
    if top is None or common is None:
        return folder
    below = folder[len(top) :]
    main = os.path.dirname(common) + below
    if os.path.basename(common) == ".git" and os.path.isdir(f"{main}/.team"):
        return main
    try:
        links = sorted(os.listdir(f"{common}/worktrees"))
    except OSError:
        links = []
    for link in links:
        text = _text(f"{common}/worktrees/{link}/gitdir")
        if text is not None and os.path.isdir(f"{os.path.dirname(text)}{below}/.team/mail"):
            return os.path.dirname(text) + below
    return folder


def _common_directory(file: str) -> str | None:
    """Return the git directory that the `.git` file of a linked worktree leads to; None for any other `.git`."""
    text = _text(file) or ""
    if not text.startswith("gitdir:"):
        return None
    own = os.path.join(os.path.dirname(file), text.removeprefix("gitdir:").strip())
    common = _text(f"{own}/commondir")  # a submodule has no such file
    return None if common is None else os.path.realpath(os.path.join(own, common))


def _text(path: str) -> str | None:
    """Return the text of a small file of git's, without the space around it; None if it cannot be read."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
