"""Time. Code that needs it takes a `Clock`, so that tests set it by hand and never sleep."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from .errors import UsageError

ALL = 1 << 53  # larger than any seq
_PATIENCE = 60.0  # seconds for what others do in a test


class Clock(Protocol):
    """Wall time, time for deadlines, and waiting."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, for timeouts only."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def wait(self, event: threading.Event, seconds: float, *, busy: bool = False) -> bool:
        """Wait until an event is set, at most so long; return whether it is.

        `busy` tells that others are at work meanwhile, of whom the event will tell.
        """
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float, *, busy: bool = False) -> bool:  # noqa: ARG002
        """Wait until an event is set, at most so long; return whether it is."""
        return event.wait(seconds)


class ManualClock:
    """The shipped fake: a clock that moves only when it is set or when `sleep` is called, for tests."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.current = start
        self.elapsed = 0.0

    def now(self) -> datetime:
        """Return the time that it was set to."""
        return self.current

    def monotonic(self) -> float:
        """Return the total seconds of all sleeps."""
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        """Advance by that many seconds, immediately."""
        self.elapsed += seconds
        self.current += timedelta(seconds=seconds)

    def wait(self, event: threading.Event, seconds: float, *, busy: bool = False) -> bool:
        """Advance by that many seconds, unless the event is set; the work of others takes no time."""
        if not (event.wait(_PATIENCE) if busy else event.is_set()):
            self.sleep(seconds)
        return event.is_set()


def rfc3339(moment: datetime) -> str:
    """Format an aware time as in the log: UTC, microseconds, `Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def moment(text: str) -> tuple[int, str | None]:
    """Parse the value of `--as-of`: a seq as (seq, None), or a time as (ALL, RFC 3339 in UTC). Raises UsageError."""
    if text.isascii() and text.isdigit() and len(text) < 16:  # noqa: PLR2004 - as many digits as a seq can have
        return int(text), None
    try:
        return ALL, rfc3339(datetime.fromisoformat(text).astimezone())
    except (ValueError, OverflowError):
        raise UsageError(f"as of {text!r}: give a message number or a time such as 2026-12-24T18:00") from None
