"""The shipped fake: projections of a log in memory, for tests.

It runs the same compiled SQL as the real one, on a table that it fills by reading the log, so it works over any log and
touches no file. What it does without is the speed: each question reads the events that are new.
"""

from __future__ import annotations

import json
import threading
from typing import Any

from ..log.event import Event
from ..log.log import Log
from .query import memory_connection, result_rows
from .statement import bound, columns, literal, of_mailbox, sql


class MemoryProjections:
    """Projections over the events that `log.read` yields. Threads may share an instance; they take turns."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._turn = threading.Lock()
        self._connection = memory_connection()
        self._last = 0
        typed = ", ".join(f'"{name}" {dtype}' for name, dtype in columns().items())
        self._connection.execute(f'CREATE TABLE "events" ({typed})')
        self._connection.execute('CREATE VIEW "standing" AS SELECT * EXCLUDE (v, body, prev) FROM "events"')
        self._connection.execute('CREATE VIEW "again" AS SELECT * FROM "events"')

    def rows(self, name: str, **arguments: Any) -> list[dict[str, Any]]:
        """Run the projection `name` as of now and return its rows."""
        text = sql(name)
        with self._turn:
            self._update()
            if of_mailbox(text):
                mailbox = bound(sql("mailbox"), {"persona": arguments["persona"]})
                self._connection.execute(f'CREATE OR REPLACE TEMP VIEW "mailbox" AS {mailbox}')
                self._connection.execute('CREATE OR REPLACE TEMP VIEW "launches" AS SELECT * FROM "mailbox"')
            text = text.replace('"letters"', f"({bound(sql('letters'), {'persona': arguments.get('persona')})})")
            return result_rows(self._connection.execute(bound(text, arguments)))

    def part(self, seq: int) -> int:
        """Return the first seq of all, for there is one part."""
        del seq
        return 1

    def lacks(self, *texts: str) -> bool:
        """Leave it to the database."""
        del texts
        return False

    def _update(self) -> None:
        events = list(self._log.read(self._last))
        if events:
            self._connection.execute(f'INSERT INTO "events" VALUES {", ".join(map(_row, events))}')
            self._last = events[-1].seq


def _row(event: Event) -> str:
    data = json.dumps(event.data, ensure_ascii=False)
    values = (*event[:6], list(event.recipients), *event[7:14], data, *event[15:])
    return f"({', '.join(map(literal, values))})"
