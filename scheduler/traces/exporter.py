"""Sends traces while a team is led: one thread follows the log, another sends what has ended, every two seconds.

How far it came is in `.team/work/otel`, which may be deleted: then it begins with what comes. After a failure it reads
the log again from there, so nothing is kept in memory for a collector that is down.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from ...mail.errors import TeamMailError
from ...mail.log.disk import replace_file
from ...mail.log.log import Log
from ..context import Context
from ..leader import Companion
from ..state.reading import read_recent
from .otlp import MOST, read_headers, send
from .spans import Span, Tracer

_EVERY = 2.0  # seconds between two requests
_PAUSE, _LONGEST = 5.0, 60.0  # seconds after a failure
_JOIN = 2.0


def tracer_of(log: Log) -> Tracer:
    """Return a tracer for the team of a log."""
    return Tracer(next((event.id for event in log.read()), ""))


class Exporter(Companion):
    """A context in which traces are sent as things end. `say` is told, in one line for people, what hinders it.

    There are `every` seconds between two requests, and `pause` after a failure, at first. With other settings it goes
    on from where the last request ended.
    """

    def __init__(
        self, context: Context, say: Callable[[str], object], *, every: float = _EVERY, pause: float = _PAUSE
    ) -> None:
        super().__init__(context, say)
        self._every, self._pause = every, pause

    def __enter__(self) -> Self:
        if self._context.settings.otel.endpoint:
            read_headers(self._context.settings.otel.headers_file)
        return super().__enter__()

    def settings_of(self, context: Context) -> object:
        """Return the table of the collector; None if there is none."""
        return context.settings.otel if context.settings.otel.endpoint else None

    def start(self, context: Context) -> _Running:
        """Begin to send."""
        return _Running(context, self._say, self._every, self._pause)


class _Running:
    """The thread that sends by one version of the settings."""

    def __init__(self, context: Context, say: Callable[[str], object], every: float, pause: float) -> None:
        self.context, self._say, self._every, self._pause = context, say, every, pause
        self._url = context.settings.otel.endpoint or ""
        self._stop, self._sent = threading.Event(), threading.Event()
        self._cursor = context.home / "work" / "otel"
        self._thread = threading.Thread(target=self._lead, name="traces", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Send what has ended, and no more."""
        self._stop.set()
        self._thread.join(_JOIN)

    def _lead(self) -> None:
        pause = self._pause
        while not self._stop.is_set():
            try:
                self._export()
            except (TeamMailError, OSError) as error:
                pause = self._pause if self._sent.is_set() else pause
                self._sent.clear()
                self._say(f"traces: {error}; tried again in {pause:g} s")
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST)

    def _export(self) -> None:
        """Follow the log from where the last request ended, and send what has ended; to the end, or to an error."""
        log, name = self.context.mailbox.log, self.context.home.absolute().parent.name
        headers = read_headers(self.context.settings.otel.headers_file)
        since = self._read()
        over, ended = threading.Event(), _Ended()
        after = read_recent(self.context.mailbox.projections, 0, self.context.clock.now()) - 1
        follower = threading.Thread(target=self._follow, args=(log, min(after, since), since, ended, over), daemon=True)
        follower.start()
        try:
            while True:
                is_last = self._stop.wait(self._every)
                for spans in ended.take():
                    send(self._url, spans, name, headers)
                    self._write(spans[-1].seq)
                    self._sent.set()
                if is_last:
                    return
        finally:
            over.set()
            follower.join(_JOIN)

    def _follow(self, log: Log, after: int, since: int, ended: _Ended, over: threading.Event) -> None:
        tracer = tracer_of(log)
        for event in log.follow(after, over):
            span = tracer.add(event)
            if span and span.seq > since:
                ended.add(span)

    def _read(self) -> int:
        """Return the last seq that was sent; without one, the present end of the log, which is kept at once."""
        with suppress(OSError, ValueError):
            return int(self._cursor.read_text())
        head = self.context.mailbox.log.head().seq
        self._write(head)
        return head

    def _write(self, seq: int) -> None:
        self._cursor.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._cursor, f"{seq}\n".encode())


class _Ended:
    """Spans that have ended and are not sent yet."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def add(self, span: Span) -> None:
        with self._lock:
            self._spans.append(span)

    def take(self) -> list[list[Span]]:
        """Return them, as many at a time as a request may hold."""
        with self._lock:
            spans, self._spans = self._spans, []
        return [spans[at : at + MOST] for at in range(0, len(spans), MOST)]
