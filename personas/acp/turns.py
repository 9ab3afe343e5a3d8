"""One run of an agent: its turns, from the first prompt to the end that is told.

A turn is followed by another one where something was refused, which the agent hears the reasons of, and where mail
has come into `.team/run/inbox` meanwhile. A run is a success only if its last turn came to its own end.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import warnings
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...mail.home import RUN_FOLDER
from ...mail.render import line, listed
from ..running.folder import Arrivals
from ..streams.printer import Printer
from .child import Child
from .client import Client
from .figures import Figures
from .judge import Judge
from .orders import Orders
from .session import Session, SessionFailed
from .told import Told

_MOST_TURNS = 8  # after the first one
_HASTE = 1.5  # seconds for an agent to end a turn that is cancelled
_CUT = {  # why a turn is no success
    "refusal": "its model refused to go on",
    "max_tokens": "its answer was cut: it had the most tokens that its model writes",
    "max_turn_requests": "it had asked its model as often as it may in a turn",
    "cancelled": "its turn was cancelled",
}
_REFUSED = """\
Some of your tool calls were refused, by the rules of your role:

{reasons}

Do not try them again, nor by another way. Finish what you can do without them; if that is everything, end."""
_CAME = """\
While you worked, this came into `{folder}`: {names}. Read it; if it changes what is to be done, do it, else end."""


class Run:
    """Plays one run in `workspace`."""

    def __init__(self, orders: Orders, workspace: Path, printer: Printer) -> None:
        self._orders, self._workspace, self._printer = orders, workspace, printer
        self._figures = Figures(orders.counts, resumed=bool(orders.resume))
        self._told = Told(printer, self._figures, orders.error, muted=bool(orders.resume))
        self._stop = asyncio.Event()

    async def play(self, child: Child, prompt: str) -> int:
        """Play it; return the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        session = Session(child, Client(self._told, Judge(self._orders.rules, self._workspace)), self._orders,
                          self._workspace)  # fmt: skip
        try:
            text, failed = await self._until_stopped(self._played(session, prompt)) or ("", False)
            if self._stop.is_set():
                await self._cancel(session)
                text = "; ".join(filter(None, ["it was ended before its turn was over", child.said]))
                failed = True
        except SessionFailed as error:
            text, failed = str(error), True
        self._told.flush()
        self._told.spend()
        self._printer.end(text, failed=failed)
        with suppress(Exception):  # the SDK's own tasks may fail at their end, and nothing depends on them any more
            await asyncio.wait_for(session.close(), _HASTE)
        await child.end()
        return int(failed)

    async def _played(self, session: Session, prompt: str) -> tuple[str, bool]:
        """Return the last words, and whether they tell of a failure."""
        resumed = await session.open(await session.greet())
        if not resumed:
            self._figures = self._told.figures = Figures(self._orders.counts)
        self._told.muted = False
        self._printer.begin(session.id, session.model)
        for note in session.notes:
            self._printer.stand(note)
        self._figures.begin()
        arrivals = Arrivals(self._workspace)
        for left in reversed(range(_MOST_TURNS + 1)):
            self._told.begin_turn()
            response = await session.prompt(prompt)
            self._told.flush()
            if (why := self._why_failed(response)) and not (left and self._is_by_refusal(response)):
                return why, True
            arrivals.take()
            prompt = self._next(arrivals.new())
            if not prompt:
                break
        return self._told.last, False

    def _why_failed(self, response: Any) -> str:
        """Return why a turn is no success, empty if it is one.

        Some agents say that their model failed, and end the turn as any other; what they used tells that none answered.
        """
        was_answered = self._figures.turn(response.model_dump(mode="json", by_alias=True, exclude_none=True))
        self._told.spend()
        last = line(self._told.last)
        if why := _CUT.get(response.stop_reason, ""):
            return f"{why}: {last}" if last else why
        if self._told.broke:
            return last or "it reported an error of its turn, and gave no reason"
        silent = self._orders.tells and not was_answered and not self._told.worked
        if silent or (self._orders.error and last.startswith(self._orders.error)):
            return last or "its model did not answer"
        return ""

    def _is_by_refusal(self, response: Any) -> bool:
        """Tell whether the agent itself has cancelled its turn because a call was refused: another one may follow."""
        return response.stop_reason == "cancelled" and bool(self._told.refusals) and not self._stop.is_set()

    def _next(self, came: list[str]) -> str:
        """Return what the agent is told next, of its refusals and what `came`; nothing if there is nothing more."""
        refused = [*dict.fromkeys(self._told.refusals)]
        parts = [_REFUSED.format(reasons="\n".join(f"- {each}" for each in refused))] if refused else []
        if came:
            names = listed([f"`{line(name)}`" for name in came])
            parts.append(_CAME.format(folder=f"{RUN_FOLDER}/inbox", names=names))
        return "\n\n".join(parts)

    # -- its end from outside

    async def _until_stopped(self, work: Awaitable[tuple[str, bool]]) -> tuple[str, bool] | None:
        """Wait for the run's own end, or until it is asked to end: then None."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if task.done():
            return task.result()
        self._task = task
        return None

    async def _cancel(self, session: Session) -> None:
        """Ask the agent to end its turn, and give it a moment for that."""
        with suppress(Exception):  # it may be gone already: all of the run's processes were asked to end
            if session.id:
                await session.cancel()
                await asyncio.wait_for(asyncio.shield(self._task), _HASTE)
        self._task.cancel()


async def play(orders: Orders, child: Child, prompt: str, workspace: Path, printer: Printer) -> int:
    """Play the run of these orders; return its exit code."""
    warnings.simplefilter("ignore")  # what the SDK says of its own methods is nothing for those who read a run's output
    logging.getLogger().addHandler(logging.NullHandler())
    return await Run(orders, workspace, printer).play(child, prompt)
