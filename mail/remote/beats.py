"""Tells a server again and again that a process is there, and keeps the lead that it has.

All that one process tells goes through one thread with a connection of its own: what is appended may have to wait, and
the lead must not be lost by that.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ..errors import TeamMailError
from ..process import Beat
from .connection import Lease, Server
from .place import Address

FENCE = 30.0  # seconds without an answer after which a leader takes its lead for lost, as an append does
_PAUSE = 0.5  # seconds between two tries while the server does not answer
_PARTS = 3  # of the time that a beat lasts pass before the next one
_SOON = {"connect_timeout": 3, "keepalives_idle": 2, "keepalives_interval": 1, "tcp_user_timeout": 4_000}


class Teller(NamedTuple):
    """Who tells: a process as `myself` names it, in JSON; the place of its team's folder; and both for people."""

    process: str
    place: str
    host: str


class Beats:
    """The beats of one process to one server; `add` starts the thread, and the last `remove` ends it.

    `epoch` is that of the lead that the process has taken, 0 if it has none: of all its logs of the same place.
    """

    def __init__(self, address: Address, teller: Teller) -> None:
        self._server, self._teller = Server(address, patience=0.0, settings=_SOON), teller
        self.epoch = 0
        self._turn = threading.Lock()
        self._talk = threading.Lock()  # while the server is told something
        self._open: dict[Beat, int] = {}  # with the epoch of its lead, 0 if it does not lead
        self._over = threading.Event()
        self._answered = time.monotonic()
        self._pause = _PAUSE

    @property
    def leads(self) -> bool:
        """Whether a beat keeps the lead, or has lost it and is not over yet."""
        return any([*self._open.values()])

    def add(self, beat: Beat, epoch: int) -> None:
        """Tell this from now on, the first time before this returns. Raises LogError."""
        with self._turn:
            self._open[beat] = epoch
            is_first = len(self._open) == 1
        try:
            self._heard(self._tell())
        except TeamMailError:
            self.remove(beat)
            raise
        if is_first:
            self._over.clear()
            for work in (self._go_on, self._watch):
                threading.Thread(target=work, args=[self._over], name="beats", daemon=True).start()

    def remove(self, beat: Beat) -> None:
        """Tell it no more; after the last one the process is gone, and its lead free."""
        with self._turn:
            epoch = self._open.pop(beat, 0)
            is_last = not self._open
            if not any(self._open.values()):
                self.epoch = 0
            if is_last:
                self._over.set()
                self._over = threading.Event()
        for _ in range(2):  # the first may find the connection broken, of a server that was restarted
            with suppress(TeamMailError):  # else it expires
                self._leave(epoch, is_last=is_last)
                return

    def _leave(self, epoch: int, *, is_last: bool) -> None:
        """Tell that what led by this epoch leads no more, and of the last one that the process is gone."""
        if not is_last:
            self._tell(given_back=0 if self.leads else epoch)
            return
        with self._talk:
            if not self._open:
                self._server.leave(self._teller.process, self._teller.place, epoch)
                self._server.close()

    def _go_on(self, over: threading.Event) -> None:
        while not over.wait(self._pause):
            try:
                self._heard(self._tell())
            except TeamMailError:
                self._pause = _PAUSE

    def _watch(self, over: threading.Event) -> None:
        """Give the lead up if the server does not answer: another host may have it by now."""
        while not over.wait(max(_PAUSE, self._answered + FENCE - time.monotonic())):
            if time.monotonic() - self._answered >= FENCE:
                self._lose(f"the server has not answered for {FENCE:.0f} s, so another host may lead by now")

    def _tell(self, given_back: int = 0) -> Lease | None:
        """Tell all of it once, and which lead is given back; return who leads, None if nothing is told any more."""
        with self._talk:
            began, what = time.monotonic(), dict[str, Any]()
            with self._turn:
                for beat in self._open:
                    what = {**beat.what, **what}
                epoch = self._epoch()
                if not self._open:
                    return None
            lease = self._server.beat(*self._teller, json.dumps(what), epoch or -given_back)
            self._answered = began
            return lease

    def _epoch(self) -> int:
        return max((epoch for beat, epoch in self._open.items() if not beat.lost.is_set()), default=0)

    def _heard(self, lease: Lease | None) -> None:
        if lease is None:
            return
        self._pause = lease.rest / _PARTS
        with self._turn:
            epoch = self._epoch()
        if epoch and (lease.place, lease.epoch) != (self._teller.place, epoch):
            self._lose(f"{lease.host or 'another host'} leads now")

    def _lose(self, why: str) -> None:
        with self._turn:
            leading = [beat for beat, epoch in self._open.items() if epoch and not beat.lost.is_set()]
        for beat in leading:
            beat.lose(why)


_turn = threading.Lock()
_known: dict[tuple[Address, Teller], Beats] = {}


def beats_of(address: Address, process: Mapping[str, Any], place: str, host: str) -> Beats:
    """Return the beats of a process to a server, of which this program has one."""
    teller = Teller(json.dumps(process), place, host)
    with _turn:
        return _known.setdefault((address, teller), Beats(address, teller))
