"""How a route starts what goes on for long: as a process of its own, which the console neither owns nor ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ....scheduler.context import Context
from ....scheduler.errors import NotLeader, NotReady
from ....scheduler.leader import TAKEN, leading_anywhere
from ....scheduler.sprint.control import by_people_only
from ...work.starting import NotStarted, start
from ..common.answer import Refused
from ..common.console import Console

_CONFLICT = 409


def started(
    console: Console,
    command: str,
    words: Sequence[str],
    begun: Callable[[int], Mapping[str, Any] | None],
    given: bytes = b"",
) -> dict[str, Any]:
    """Start a command of the team; return its process and what it has begun. Raises Refused with what it said."""
    home = console.context.home
    by_people_only(f"{command} {words[0]}", home)
    try:
        return start(home, command, words, begun, given).document()
    except NotStarted as error:
        raise Refused(_CONFLICT, str(error)) from None


def check_startable_now(context: Context, troubles: Sequence[str]) -> None:
    """Raise NotReady with what would keep a sprint from starting, NotLeader if another process leads the team."""
    if troubles:
        raise NotReady("; ".join(troubles))
    if leader := leading_anywhere(context.home / "work", context.mailbox.log):
        raise NotLeader(f"{TAKEN}: process {leader['pid']}; wait for it, or end it")


def begun_after(
    context: Context, kind: str, found: Callable[[Mapping[str, Any], int], Mapping[str, Any] | None] | None = None
) -> Callable[[int], Mapping[str, Any] | None]:
    """Return what tells whether an event of a kind, or whose kind begins so, was written from now on.

    `found` is asked with its data and the process's id what was begun, by default its seq.
    """
    log = context.mailbox.log
    after = log.head().seq

    def begun(pid: int) -> Mapping[str, Any] | None:
        for event in log.read(after):
            if event.kind.startswith(kind):
                what = {"seq": event.seq} if found is None else found(event.data, pid)
                if what is not None:
                    return what
        return None

    return begun
