"""What else the server of a log does: tables of others beside the log, and words for whoever listens now.

Nothing of it is a record. What is lost here is made again from the log, which alone decides.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

from .connection import Server
from .place import Address

_PATIENCE = 2.0  # seconds: whoever asks here can do without an answer
MOST_WORDS = 7_900  # bytes that the server passes on at once


class Beside:
    """The place beside the log of one team: a schema of its own, `schema`. Threads may share it."""

    def __init__(self, address: Address) -> None:
        self.team, self.schema = address.schema, f"{address.schema}_queue"
        self._words = f"{address.schema}_words"
        options = f"-c search_path={self.schema},pg_catalog -c statement_timeout={_PATIENCE:.0f}s"  # a lock counts, too
        self._server = Server(address, patience=_PATIENCE, settings={"options": options})

    def rows(self, text: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query, by the names of their columns; a `dict` among the values is given as JSON.

        Raises LogUnavailable, and InDoubt.
        """
        return self._server.rows(text, values)

    def replace(self, script: str, known: str) -> bool:
        """Make the schema anew by a script, unless it is there and `known` by that name; tell whether it was made.

        Raises LogUnavailable where this login may not.
        """
        return self._server.make_schema(self.schema, self.team, script, known)

    def say(self, words: str) -> None:
        """Let everybody have a text who listens now. Raises LogUnavailable."""
        self._server.rows("SELECT pg_notify(%(channel)s, %(words)s)", {"channel": self._words, "words": words})

    def hear(self, stop: threading.Event) -> Iterator[str]:
        """Yield what is said, until `stop` is set; what is said while the server is away is lost."""
        return self._server.heard(self._words, stop)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._server.close()
