"""How a run of Jules prints what happens in its session.

Between the events, a plain line says how the session stands; of a run that ends in time, it is the last that is told.
"""

from __future__ import annotations

from ..streams.printer import Printer
from .session import Activity

_TOOL = "bash"


def print_activity(activity: Activity, printer: Printer) -> None:
    """Print what happened: what was said as words, and each command as a call of a tool."""
    if activity.text and activity.kind != "userMessaged":
        printer.say(activity.text, id=activity.id)
    for number, command in enumerate(activity.commands):
        call = f"{activity.id}/{number}"
        printer.call(call, _TOOL, {"command": command.command})
        printer.answer(call, command.output, failed=command.exit != 0)
