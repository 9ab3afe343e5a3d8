"""What an agent's hook does: it shows the unread mail of a person's session, and marks what it has shown.

It runs before each turn and at each stop, so without mail it is as quick as `team-mail check` and prints nothing. It
never stands in the agent's way: whatever goes wrong is told on standard error, and ends with exit code 0. Within a run
it does nothing, since a run has mail of its own.
"""

from __future__ import annotations

import json
import os
import sys

from ...mail.ancestors import is_below_keeper
from ...mail.home import home_of, run_folder_of

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from typing import Any


_MOST_INPUT = 1 << 20  # bytes of what an agent tells its hook
_STOP, _START = "stop", "start"


def main() -> None:
    """Run `team hook show AGENT [--persona NAME] EVENT`."""
    try:
        words = sys.argv[3:]
        persona = words[words.index("--persona") + 1] if "--persona" in words else ""
        show(words[0], words[-1], persona, _told())
    except Exception as error:  # noqa: BLE001 - a hook that fails would stand in the agent's way
        from ...mail.commands.output import silence
        from ...mail.text.escape import line

        silence()
        sys.stderr.write(f"team hook: {line(str(error)) or type(error).__name__}\n")


def show(agent: str, event: str, persona: str, told: dict[str, Any]) -> None:
    """Print the unread mail of a session in the form that its agent wants, and mark what was printed as read.

    `persona` is that of the hook; the one that `team join` named in the session's environment comes first. `told` is
    what the agent told of the event. Raises TeamMailError, OSError.
    """
    here = str(told.get("cwd") or os.getcwd())  # noqa: PTH109
    home = home_of(here)
    own = (os.environ.get("TEAM_PERSONA") or persona).removesuffix("@team")
    if home is None or not own or _is_of_run(here, home) or (event == _STOP and told.get("stop_hook_active")):
        return
    is_mail = _is_mail(home, own)
    if is_mail or event == _START:
        from .mail import printed

        printed(agent, event, home, own, is_mail=is_mail)


def _is_of_run(here: str, home: str) -> bool:
    folders = run_folder_of(here) or run_folder_of(os.path.dirname(home))  # noqa: PTH120
    return bool(os.environ.get("TEAM_RUN") or folders or is_below_keeper())


def _is_mail(home: str, persona: str) -> bool:
    """Tell whether a persona may have unread mail: where the lines of the log do not tell, it may."""
    from ...mail.check.cursor import people_of
    from ...mail.check.unread import Uncertain, unread

    if not os.path.isdir(f"{home}/mail"):  # noqa: PTH112
        return False
    try:
        return bool(unread(f"{home}/mail", persona, people_of(home, persona)))
    except Uncertain:
        return True


def _told() -> dict[str, Any]:
    """Return what the agent tells of the event; {} for nothing, or for what cannot be understood."""
    if sys.stdin is None or sys.stdin.isatty():
        return {}
    try:
        told = json.loads(sys.stdin.buffer.read(_MOST_INPUT))
    except (ValueError, OSError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}  # pyright: ignore[reportUnknownVariableType]
