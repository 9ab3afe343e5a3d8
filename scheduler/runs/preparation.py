"""The preparation of a run: how long it may take, its slot, files of the checkout, caches, and the set-up."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ...mail.errors import TeamMailError
from ...mail.log.disk import reason_of
from ...mail.render import clean
from ...mail.text.globs import escape
from ...personas.agent import Job, Outcome
from ...personas.capture.changes import Change
from ...personas.errors import NotPrepared
from ...personas.kinds import OutcomeStatus
from ...personas.running.left import read_left
from ...personas.running.process import is_going
from ...personas.running.warden_process import leased
from ...personas.setup.caches import FOLDER as CACHES
from ...personas.setup.caches import RUNS
from ...personas.setup.preparation import NOTHING, Prepared, furnish, set_up
from ...personas.setup.slots import Slot, kept_slots
from ...personas.workspace import Workspace
from ..context import Context
from ..foretell.looker import OpenRun
from ..payload import as_bytes, as_text
from ..progress import Listener
from ..setup import setup_of, slots_of
from ..state.facts import Run
from .launch import Launch
from .progress import setup_failed

FOLDER = "setup"  # in the folder of a run: the output of its set-up
_LAST_LINES = 20
_LAST_WORDS = 200  # characters
_TIMEOUT = 1_800.0  # seconds, for agents that no table of the settings describes


class Ready(NamedTuple):
    """A workspace in which an agent may start. `made` is what the set-up changed there."""

    prepared: Prepared
    made: frozenset[Change] = frozenset()

    @property
    def apart(self) -> tuple[str, ...]:
        """Globs of the files that are no part of a patch, whatever the agent does to them."""
        return tuple(map(escape, (*self.prepared.copied, *self.prepared.caches)))

    def saved(self) -> dict[str, Any]:
        """Return all that is needed at the end of a run, as JSON can hold it."""
        prepared, outcome = self.prepared, self.prepared.outcome
        return {
            "copied": [*prepared.copied], "caches": [*prepared.caches], "notes": [*prepared.notes],
            "reused": prepared.reused, "output": as_text(prepared.output),
            "seconds": outcome and outcome.seconds,
            "made": [[as_text(path), as_text(mode), as_text(oid), tracked] for path, mode, oid, tracked in self.made],
        }  # fmt: skip

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Ready:
        """Take back what `saved` returned. Raises KeyError, TypeError, ValueError."""
        seconds = saved["seconds"]
        outcome = None if seconds is None else Outcome(OutcomeStatus.OK, 0, float(seconds), "exit 0")
        copied, caches, notes = (tuple(map(str, saved[name])) for name in ("copied", "caches", "notes"))
        prepared = Prepared(copied, caches, notes, outcome, bool(saved["reused"]), as_bytes(saved["output"]))
        made = {
            Change(as_bytes(path), as_bytes(mode), as_bytes(oid), bool(own)) for path, mode, oid, own in saved["made"]
        }
        return cls(prepared, frozenset(made))


UNPREPARED = Ready(NOTHING)


def looked_at(context: Context, runs: Iterable[Run]) -> Iterator[OpenRun]:
    """Yield those of some runs that go on without a scheduler, as whoever started them left them."""
    for run in runs:
        folder = context.home / "runs" / run.id
        left, table = read_left(folder) if is_going(folder) else None, context.settings.agents.get(run.agent)
        with suppress(KeyError, TypeError, ValueError):
            if left:
                ready, sparse = Ready.restored(left.ready), context.sparse_of(run.persona)
                workspace = context.mirror.left(run.id, run.base, sparse)
                litter = table.litter if table else ()
                yield OpenRun(run.id, run.persona, workspace, folder, litter, ready.apart, ready.made)


@contextmanager
def slot_of(context: Context, folder: Path) -> Generator[Slot]:
    """Take a slot for a run whose files are in `folder`. Raises NotPrepared if there is none."""
    with ExitStack() as stack:
        try:
            slot = stack.enter_context(slots_of(context).taken(folder))
        except (TeamMailError, OSError) as error:
            raise not_prepared(error) from None
        yield slot


def timeout_of(context: Context, launch: Launch, left: float | None) -> float:
    """Return how long a run may take: what its launch says, else its persona, else its agent, in the sprint.

    `left` is the time that the sprint has left; all of them are in seconds.
    """
    settings, persona = context.settings.agents.get(launch.agent), context.roster.get(launch.persona)
    own = persona.timeout if persona else None
    timeout = launch.timeout or own or (settings.timeout if settings else _TIMEOUT)
    return timeout if left is None else min(timeout, left)


@contextmanager
def between_runs(context: Context, base: str = "", *, needed: bool = False) -> Generator[None]:
    """Keep the warden and the slots of this process between runs; with `needed`, the warden is started at once.

    With a `base`, workspaces of that commit are prepared for meanwhile; the first run is told of what goes wrong.
    """

    def prepare() -> None:
        with suppress(TeamMailError, OSError):
            context.mirror.prepare(base)

    thread = threading.Thread(target=prepare, name="mirror", daemon=True)
    if base:
        thread.start()
    with leased(needed=needed), kept_slots():
        try:
            yield
        finally:
            if base:
                thread.join()


@dataclass(frozen=True)
class RunPreparation:
    """Prepares the workspaces of runs; `listener` is told of set-ups that fail."""

    context: Context
    listener: Listener

    def prepare(  # noqa: PLR0917 - a run, and all that is its own
        self, launch: Launch, workspace: Workspace, folder: Path, slot: Slot, left: float | None, stop: threading.Event
    ) -> Ready:
        """Give a workspace all that it needs. `left` is the time that the sprint has left, in seconds.

        A set-up that fails or is stopped is in the result. Raises NotPrepared for anything else that goes wrong.
        """
        context, setup = self.context, setup_of(self.context)
        timeout = setup.timeout if left is None else min(setup.timeout, left)
        job = Job(
            launch.run, launch.persona, launch.attempt, launch.sprint, "", workspace.path, folder / FOLDER,
            context.home, timeout, stop, slot=slot.number, port=slot.port,
        )  # fmt: skip
        try:
            furnished = furnish(setup, context.top, context.mirror.root / CACHES / RUNS, workspace.path)
            done = set_up(setup, job)
            made = workspace.changes() if done.outcome and not done.failed else frozenset[Change]()
        except (TeamMailError, OSError) as error:
            raise not_prepared(error) from None
        prepared = replace(furnished, outcome=done.outcome and _as_setup(done.outcome, done.output), output=done.output)
        if prepared.outcome and prepared.outcome.status == OutcomeStatus.SETUP:
            self.listener(setup_failed(launch, prepared.outcome, last_lines(prepared.output)))
        return Ready(prepared, made)


def last_lines(output: bytes, most: int = _LAST_LINES) -> tuple[str, ...]:
    """Return the last lines of what a set-up printed, safe to show."""
    return tuple(clean(output.decode(errors="replace")).splitlines()[-most:])


def _as_setup(outcome: Outcome, output: bytes) -> Outcome:
    """Turn the outcome of commands into that of a run: one that was not stopped, and failed, started no agent."""
    if outcome.status in {OutcomeStatus.OK, OutcomeStatus.STOPPED}:
        return outcome
    words = last_lines(output, 1) if outcome.exit else ()
    last = f": {words[0].strip()[-_LAST_WORDS:]}" if words and not words[0].startswith("$ ") else ""
    return replace(outcome, status=OutcomeStatus.SETUP, detail=f"set-up failed: {outcome.detail}{last}")


def not_prepared(error: TeamMailError | OSError) -> NotPrepared:
    """Return what to raise where no agent can start in a workspace, which is no fault of the agent."""
    return NotPrepared(f"set-up failed: {reason_of(error) if isinstance(error, OSError) else error}")
