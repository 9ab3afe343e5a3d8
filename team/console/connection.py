"""A connection to the server: how many there may be, and how long one may take to say what it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from .common.address import is_near

MOST = 200  # connections
MOST_OF_ONE = 50  # of another machine: none keeps the others out
MOST_HEADERS = 16 << 10  # bytes
_TIME = 10.0  # seconds until the headers of a request are there
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-type: application/json\r\n"
    b"content-length: 40\r\nconnection: close\r\n\r\n"
    b'{"error":"too many connections; retry"}\n'
)


def too_many(client: str, server: str, hosts: Sequence[str]) -> bool:
    """Tell whether a machine may have no more connections. `hosts` are those of all, its new one among them.

    Another machine has a limit of its own. All that comes from this one looks the same, also what a proxy passes on.
    """
    is_here = is_near(client) or client == server
    return len(hosts) > MOST or (not is_here and hosts.count(client) > MOST_OF_ONE)


class Connection(H11Protocol):
    """One connection. `state` of its requests has a dictionary `peer`, which they share."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or answer that there are too many."""
        super().connection_made(transport)
        peer: dict[str, Any] = {}
        self.app_state = {"peer": peer}
        hosts: list[str] = [each.host for each in self.connections if isinstance(each, Connection)]
        if too_many(self.host, self.server[0] if self.server else "", hosts):
            transport.write(_FULL)
            transport.close()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        """Read on; a request that begins has so much time for its headers."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.cycle and not self.cycle.response_complete:
            self._wait_no_more()
        elif self._deadline is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._wait_no_more()
        super().connection_lost(exc)

    @property
    def host(self) -> str:
        """The address of the other end, "" if there is none."""
        return str(self.client[0]) if self.client else ""

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(_TIME, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = None
