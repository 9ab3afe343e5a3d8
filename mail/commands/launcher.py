"""In the workspace of a run, this command gives way to the run's own `team-mail`, which asks the run's keeper."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import NoTeam, UsageError
from ..home import REFUSED, find_home, find_run_folder


def become_launcher() -> None:
    """Replace this process by the launcher of the run whose workspace it is in; return if it is in none.

    No variable counts here: a process of a run that drops its environment still is in the run. Raises UsageError where
    there is no mail, as in the checkout of a gate.
    """
    with suppress(FileNotFoundError, NoTeam):  # the current folder was deleted
        if folder := find_run_folder(Path.cwd()) or find_run_folder(find_home(Path.cwd(), {}).parent):
            if (folder / REFUSED).is_file():
                raise UsageError((folder / REFUSED).read_text(errors="replace").strip())
            launcher = folder / "team-mail"
            os.execv(launcher, [str(launcher), *sys.argv[1:]])  # noqa: S606
