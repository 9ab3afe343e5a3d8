"""In the workspace of a run, this command does as the run's own `team-mail`, which asks the run's keeper."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import NoTeam, UsageError
from ..home import REFUSED, RUN_FOLDER, find_home, find_run_folder
from ..process import ORPHAN, check_not_in_run, run_of

# Not the `team-mail` of that folder, which is a script of the run: an agent, or a repository that you cloned, may have
# put another in its place. See personas/running/launcher.py.
_LAUNCHER = Path(__file__).parents[2] / "personas" / "running" / "launcher.py"


def become_launcher() -> None:
    """Replace this process by the launcher of the run that it belongs to; return if it belongs to none.

    Raises as `own_run_folder` does.
    """
    if folder := own_run_folder():
        words = [sys.executable, "-I", "-S", str(_LAUNCHER), str(folder), *sys.argv[1:]]
        os.execv(sys.executable, words)  # noqa: S606


def own_run_folder() -> Path | None:
    """Return the `.team/run` of the run that this process belongs to, None if it belongs to none.

    It does in the workspace of a run, and anywhere below the keeper of a run of the same team. No variable of its own
    counts: a process of a run that drops its environment still is in the run. Raises UsageError where there is no mail,
    as in the checkout of a gate.
    """
    with suppress(FileNotFoundError, NoTeam):  # the current folder was deleted
        if folder := find_run_folder(Path.cwd()) or find_run_folder(find_home(Path.cwd(), {}).parent):
            return _checked(folder)
    with suppress(FileNotFoundError, NoTeam):
        home = find_home(Path.cwd())
        if run := run_of(home):
            if run == ORPHAN:
                check_not_in_run(home, "has no mail any more")
            return _checked(Path(run.workspace) / RUN_FOLDER)
    return None


def _checked(folder: Path) -> Path:
    if (folder / REFUSED).is_file():
        raise UsageError((folder / REFUSED).read_text(errors="replace").strip())
    if not (folder / "requests").is_dir():
        raise UsageError(f"this process belongs to a run, and {folder} is gone: there is no mail without it")
    return folder
