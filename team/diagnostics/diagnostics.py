"""The diagnostics of one command: where its lines go while it runs, and a listener that writes one for each report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ...scheduler.progress import Listener, Progress
from ...scheduler.settings.notify import LoggingSettings
from .entry import entry_of
from .file import OwnFile
from .lines import LOGGER, JsonLines, Line, TextLines

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True)
class Wanted:
    """What a command was told: `format` is that of standard error, "" for none, `level` "" for that of the settings."""

    format: str = ""
    level: str = ""


class Diagnostics:
    """A context in which lines are written, to standard error, to the file of `[logging]`, or to neither.

    `session` is a name that all lines bear, "" for none.
    """

    def __init__(self, program: str, settings: LoggingSettings, wanted: Wanted, session: str = "") -> None:
        self._settings, self._wanted = settings, wanted
        self._always: dict[str, Any] = {"session": session} if session else {}
        self._logger = logging.getLogger(LOGGER)
        self._handlers = [*self._made(program)]

    def _made(self, program: str) -> list[logging.Handler]:
        handlers: list[logging.Handler] = []
        lines = JsonLines(program)
        if self._wanted.format:
            handlers.append(logging.StreamHandler(sys.stderr))
            handlers[0].setFormatter(lines if self._wanted.format == "json" else TextLines(program))
        if file := self._settings.file:
            own = OwnFile(Path(file), program, self._settings.rotate, self._settings.keep)
            own.setFormatter(lines)
            handlers.append(own)
        return handlers

    def __enter__(self) -> Self:
        for handler in self._handlers:
            self._logger.addHandler(handler)
            logging.getLogger().addHandler(handler)  # what other packages warn of
        self._logger.propagate = False
        level = self._wanted.level or self._settings.level
        self._logger.setLevel(LEVELS[level] if self._handlers else logging.CRITICAL)
        return self

    def __exit__(self, *_: object) -> None:
        for handler in self._handlers:
            self._logger.removeHandler(handler)
            logging.getLogger().removeHandler(handler)
            handler.close()
        self._logger.propagate = True

    @property
    def on_stderr(self) -> bool:
        """Whether standard error has these lines, and so nothing else."""
        return bool(self._wanted.format)

    def listener(self, beside: Listener) -> Callable[[Progress], None]:
        """Return a listener that writes a line for each report; `beside` is told of it, too, unless these are shown."""

        def listen(progress: Progress) -> None:
            entry = entry_of(progress)
            self.write(entry.level, progress.text, event=entry.event, **entry.fields)
            if not self.on_stderr:
                beside(progress)

        return listen

    def write(self, level: int, text: str, **fields: Any) -> None:
        """Write one line."""
        if self._logger.isEnabledFor(level):
            self._logger.handle(Line(level, text, {**self._always, **fields} if self._always else fields))
