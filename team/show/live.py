"""Live progress of a sprint or dispatch: a table of its runs on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

from ...mail.clock import Clock, SystemClock
from ...mail.process import shown
from ...mail.render import line
from ...mail.text.units import counted
from ...personas.kinds import OutcomeStatus
from ...scheduler.landing.integrate import PatchesWoven
from ...scheduler.progress import Progress
from ...scheduler.runs.progress import RunEnded, RunPlaced, RunStarted, RunTaken, RunUsed, SetUpFailed
from ...scheduler.sprint.plan import TickPlan, TickPlanned, Waiting
from ...scheduler.state.usage import total
from .tables import span
from .tick import integration

_COLOURS = {
    "done": "green", OutcomeStatus.FAILED: "red", OutcomeStatus.SETUP: "red",
    OutcomeStatus.TIMEOUT: "red", OutcomeStatus.QUOTA: "red", OutcomeStatus.LIMITED: "yellow",
    "running": "cyan", "waiting": "dim",
}  # fmt: skip
# These are shown first if the terminal has too few lines.
_FIRST = (
    "running", "waiting", OutcomeStatus.FAILED, OutcomeStatus.SETUP, OutcomeStatus.TIMEOUT, OutcomeStatus.QUOTA,
)  # fmt: skip
_AROUND = 4  # lines of the terminal that the table leaves empty


class Row(NamedTuple):
    """One persona of a batch, or one task. `started` is a monotonic time, `seconds` the duration.

    `places` says which lines of which files it has changed so far.
    """

    name: str
    attempt: int
    status: str = "waiting"
    detail: str = ""
    started: float | None = None
    seconds: float | None = None
    places: str = ""


class Show:
    """Shows progress on standard error. Use it as a context manager, and its `on_progress` as a listener."""

    def __init__(self, *, quiet: bool = False, clock: Clock | None = None) -> None:
        self._quiet = quiet
        self._clock = clock or SystemClock()
        self._turn = threading.Lock()
        self._rows: dict[str, Row] = {}
        self._live: Any = None
        self._printed: set[tuple[str, ...]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def on_progress(self, progress: Progress) -> None:
        """Show a tick's plan, a run's start or end, the result of a weave, or the text of anything else."""
        match progress:
            case RunStarted() | RunTaken():
                self._started(progress)
            case RunUsed():
                self._used(progress)
            case RunPlaced():
                self._placed(progress)
            case RunEnded():
                self._ended(progress)
            case SetUpFailed():
                self._set_up_failed(progress)
            case TickPlanned():
                if not progress.plan.idle:
                    self._planned(progress.plan)
            case Waiting():
                skips = [skip for skip in progress.plan.skips if skip.parked or "next try" in skip.why]
                waits = ", ".join(f"{skip.persona} ({skip.why})" for skip in skips)
                self.note(f"{progress.text}: {waits}" if waits else progress.text)
            case PatchesWoven():
                self._tell([progress.text, *integration(progress.integration)])
            case _:
                self._tell([progress.text])

    def _started(self, run: RunStarted | RunTaken) -> None:
        """Show a run as running; where a worker has it, also which one."""
        name, where = run.launch.name, shown(run.worker) if isinstance(run, RunTaken) else ""
        with self._turn:
            self._rows[name] = Row(name, run.launch.attempt, "running", where, started=self._clock.monotonic())
        if where and not self._live:
            self._say([run.text])

    def _used(self, run: RunUsed) -> None:
        """Show in the table what a run has used so far; lines would be too many."""
        with self._turn:
            row = self._rows.get(run.launch.name)
            if row and row.started is not None and total([run.usage]).tokens:
                self._rows[run.launch.name] = row._replace(detail=f"{total([run.usage]).text} so far")

    def _placed(self, run: RunPlaced) -> None:
        """Show in the table where a run is by now."""
        with self._turn:
            row = self._rows.get(run.launch.name)
            if row and row.started is not None:
                self._rows[run.launch.name] = row._replace(places=run.places.shown)

    def _ended(self, run: RunEnded) -> None:
        launch, outcome = run.launch, run.outcome
        ok = outcome.status == OutcomeStatus.OK
        used = total([outcome.usage])
        detail = f"{counted(run.files, 'file')} changed" if ok else outcome.detail
        detail += f", {used.text}" if used.usd or used.tokens else ""
        status = "done" if ok else str(outcome.status)
        with self._turn:
            self._rows[launch.name] = Row(launch.name, launch.attempt, status, detail, seconds=outcome.seconds)
        if not self._live:
            self._say([f"  {launch.name} (attempt {launch.attempt}): {status} in {span(outcome.seconds)}, {detail}"])

    def _set_up_failed(self, failure: SetUpFailed) -> None:
        """Say what a set-up printed last; the same words of several runs are said once."""
        self.note(failure.text)
        if failure.output not in self._printed:
            self._printed.add(failure.output)
            for words in failure.output:
                self.note(f"  | {words}")

    def _tell(self, lines: Iterable[str]) -> None:
        """Print lines above the table."""
        for text in lines:
            self.note(text)

    def _planned(self, plan: TickPlan) -> None:
        """Add what a step starts to the table, and what waits for room."""
        if plan.starts and not self._live:
            self.note(f"{_title(plan)}: {len(plan.starts)} to run")
        for skip in plan.aside:
            self.note(f"set aside: {skip.persona}, {skip.why}")
        if plan.overspent and (over := (f"nothing more starts: {plan.overspent.text}",)) not in self._printed:
            self._printed.add(over)
            self.note(*over)
        with self._turn:
            due = {launch.persona: launch for launch in plan.launches}
            self._rows |= {name: Row(name, launch.attempt, detail=launch.why) for name, launch in due.items()}
        self._show_rows()

    def note(self, text: str) -> None:
        """Print a line, above the table if there is one."""
        if not self._live:
            self._say([text])
        elif not self._quiet:
            with _unwatched():
                self._live.console.print(line(text), markup=False, highlight=False)

    def waiting(self, rows: Iterable[Row]) -> None:
        """Show runs that are about to start, by the names that their progress will have."""
        with self._turn:
            self._rows = {row.name: row for row in rows}
        self._show_rows()

    def _show_rows(self) -> None:
        if self._rows and not (self._live or self._quiet) and sys.stderr and sys.stderr.isatty():
            self._open()

    def _say(self, lines: list[str]) -> None:
        if not self._quiet and sys.stderr:
            with self._turn, _unwatched():
                sys.stderr.write("".join(f"{line(text)}\n" for text in lines))
                sys.stderr.flush()

    def _open(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            get_renderable=self.table, console=Console(stderr=True), refresh_per_second=8, transient=False,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._live.start()

    def _close(self) -> None:
        if self._live:
            with _unwatched():
                self._live.refresh()
                self._live.stop()
            self._live = None

    def table(self) -> Any:
        """Return the current table for Rich: name, attempt, status, time, detail."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False, expand=True)
        for _ in range(4):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)  # a long detail is cut, not the names
        with self._turn:
            rows = [*self._rows.values()]
        for row in _fitting(rows, shutil.get_terminal_size().lines - _AROUND):
            style = _COLOURS.get(row.status, "")
            words = line(", ".join(part for part in (row.places, row.detail) if part))
            cells = (f"  {row.name}", str(row.attempt), row.status, self._time(row), words)
            table.add_row(*(Text(cell, style=style if cell is row.status else "") for cell in cells))
        over = sum(row.seconds is not None for row in rows)
        table.caption = f"{over} of {len(rows)} over"
        return table

    def _time(self, row: Row) -> str:
        if row.started is not None:
            return span(self._clock.monotonic() - row.started)
        return span(row.seconds) if row.seconds is not None else ""


def _title(plan: TickPlan) -> str:
    return f"tick {plan.wave} of sprint {plan.sprint}, {plan.mode}"


@contextmanager
def _unwatched() -> Generator[None]:
    """Continue after standard error was closed, and discard the rest, also at exit."""
    try:
        yield
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _fitting(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """Choose the rows that fit: first those that run, wait or failed, then those that are done."""
    if len(rows) <= most:
        return rows
    return sorted(rows, key=lambda row: _FIRST.index(row.status) if row.status in _FIRST else len(_FIRST))[
        : max(1, most)
    ]
