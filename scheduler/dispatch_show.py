"""A dispatch as one watches it: its tasks in a live table on a terminal, a line for each run's end elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from ..mail.clock import Clock
from .live import Row, Show
from .player import News
from .task import Task


class DispatchShow(Show):
    """Hears of a dispatch's runs, and shows them on standard error. Use it as a context manager."""

    def __init__(self, tasks: Sequence[Task], *, quiet: bool = False, clock: Clock | None = None) -> None:
        super().__init__(quiet=quiet, clock=clock)
        self._tasks = tasks
        self._begun = False

    def told(self, news: News | str) -> None:
        """Show a run's start or end, or a line on what is at work."""
        if isinstance(news, News):
            self.ran(news)
            return
        self.note(news)
        if not self._begun:
            self._begun = True
            self.waiting(Row(task.task_id, 1, detail=task.description) for task in self._tasks)

    def _close(self) -> None:
        """Leave no task behind that seems to wait still: what was blocked or cancelled will not run."""
        with self._turn:
            self._rows = {
                name: row._replace(status="not run") if row.status == "waiting" else row
                for name, row in self._rows.items()
            }
        super()._close()
