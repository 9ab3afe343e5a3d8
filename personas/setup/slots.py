"""Slots: a small number and a range of free ports for each run and gate, so that servers they start do not collide.

A slot is a file that names who took it. It is free again once that file is gone, or neither the process that took it
nor a keeper of its run is alive: so a scheduler that is killed frees its slots, but not before its agents have ended.
No process has to give back anything, and different programs of one team see the same slots.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import json
import os
import socket
import sys
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from ...mail.clock import SystemClock
from ...mail.log.disk import Disk, read_file, replace_file
from ...mail.process import alive, named
from ..errors import NotPrepared, RunLeft
from ..running.process import is_going

FOLDER = "slots"  # in the folder of a team
_VERSION = 1
_LAST_PORT = 65_535
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_EVERY = "::"  # all addresses of this machine, by both protocols
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # how a claim is opened, whatever is there
_SOON = 0.1  # seconds: a folder that was changed so lately may change again without a new time
_TAKEN = {errno.EADDRINUSE, errno.EACCES}


_held: dict[str, range] = {}  # the claims of this process, which need not be read


class _Kept:
    """The slots that this process keeps: their numbers by folder, and when the ports of each claim were tried."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Keep and hold nothing, in a fork: it is the parent's."""
        _held.clear()
        self.holders = 0
        self.spare: dict[str, list[int]] = {}
        self.tried: dict[str, float] = {}


_kept, _turn = _Kept(), threading.Lock()
os.register_at_fork(after_in_child=_kept.reset)


class Slot(NamedTuple):
    """What belongs to one run or gate while it lives: its number, from 0, and the first of its ports."""

    number: int
    port: int

    def values(self) -> dict[str, str]:
        """Return the placeholders of commands, without their braces."""
        return {"slot": str(self.number), "port": str(self.port)}

    def variables(self) -> dict[str, str]:
        """Return the variables that processes find themselves with."""
        return variables_of(self.number, self.port)


def variables_of(slot: int, port: int) -> dict[str, str]:
    """Return the variables that say the same as the placeholders `{slot}` and `{port}`."""
    return {"TEAM_SLOT": str(slot), "TEAM_PORT": str(port)}


class _Claim(NamedTuple):
    """Who has taken a range of ports, and where the keepers of the run have their files; not of our own process."""

    file: str
    ports: range
    process: Mapping[str, Any] = {}
    keepers: str = ""


_known: dict[str, tuple[int, Sequence[_Claim]]] = {}  # the claims of other teams, with the times of their folders


@dataclass(frozen=True)
class Slots:
    """The slots of one team, in a folder of its own; each has `width` ports, the first one of slot 0 is `first`.

    The folders of other teams lie beside this team's; ports that they have taken are left out.
    A slot that this process has kept is `believed` to have free ports for so many seconds after they were tried.
    """

    folder: Path
    first: int = 20_000
    width: int = 10
    believed: float = 1.0

    @contextmanager
    def taken(self, keepers: Path) -> Generator[Slot]:
        """Take the lowest free slot while the context lasts. Raises NotPrepared if no ports are free, and OSError.

        `keepers` is the folder where the keepers of the run have their files, or below which they do.
        """
        slot, left = self._retaken(keepers) or self._take(keepers), False
        try:
            yield slot
        except RunLeft:  # it keeps its slot while its keeper lives
            left = True
            raise
        finally:
            self._give_back(slot.number, left=left)

    def _give_back(self, number: int, *, left: bool) -> None:
        with _turn:
            if _kept.holders and not left:
                heapq.heappush(_kept.spare.setdefault(str(self.folder), []), number)
                return
        _forget(self._file(number), remove=not left)

    def _retaken(self, keepers: Path) -> Slot | None:
        """Take a slot that this process has kept, if its ports are still free."""
        with _turn:
            spare = _kept.spare.get(str(self.folder))
            number = heapq.heappop(spare) if spare else None
        if number is None:
            return None
        file = self._file(number)
        ports = _held[file]
        is_free = SystemClock().monotonic() - _kept.tried.get(file, 0.0) < self.believed or self._tried(file, ports)
        if len(ports) == self.width and is_free and self._rewritten(file, keepers, ports):
            return Slot(number, ports.start)
        _forget(file, remove=True)
        return None

    def _rewritten(self, file: str, keepers: Path, ports: range) -> bool:
        """Write the keepers of another run into the claim of a slot; tell whether it was still ours.

        Where the words are as long as those before, as those of runs are, no reader sees half of them.
        """
        data = _claim(keepers, ports)
        try:
            claim = os.open(file, os.O_RDWR | _PLAIN)
            try:
                if not _is_own(claim):
                    return False
                if os.fstat(claim).st_size == len(data):
                    os.pwrite(claim, data, 0)
                    return True
            finally:
                os.close(claim)
            self._write(file, keepers, ports)
        except OSError:
            return False
        return True

    def _take(self, keepers: Path) -> Slot:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(Disk().open(self.folder / "lock", os.O_RDWR | os.O_CREAT), "r+b", buffering=0) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            own = _claims(str(self.folder))
            taken = {claim.file for claim in own}
            number = next(number for number in count() if self._file(number) not in taken)
            return Slot(number, self._reserve(number, keepers, own))

    def _reserve(self, number: int, keepers: Path, own: Sequence[_Claim]) -> int:
        """Write the claim of a slot with a range of ports that nobody has; return the first port.

        Teams do not wait for each other: of two that wrote the same range at once, the one whose file sorts last moves.
        """
        file, others = self._file(number), [*own, *self._foreign()]
        for port in self._candidates(number):
            ports = range(port, port + self.width)
            if any(_overlap(ports, claim.ports) for claim in others) or not self._tried(file, ports):
                continue
            self._write(file, keepers, ports)
            others = [*own, *self._foreign()]
            if not any(_overlap(ports, claim.ports) and Path(claim.file) < Path(file) for claim in others):
                return port
        _forget(file, remove=True)
        raise NotPrepared(f"no {self.width} free ports from {self.first} on; set port in [workspace] of team.toml")

    @staticmethod
    def _tried(file: str, ports: range) -> bool:
        """Tell whether a server could listen on each of the ports, and remember when that was."""
        _kept.tried[file] = SystemClock().monotonic()
        return all(map(_is_free, ports))

    def _candidates(self, number: int) -> Iterator[int]:
        """Yield first ports: that of the slot itself, then those after it, then those before it."""
        starts = range(self.first, _LAST_PORT - self.width + 2, self.width)
        own = number % len(starts) if starts else 0
        return chain(starts[own:], starts[:own])

    def _foreign(self) -> Sequence[_Claim]:
        """Find the claims of the teams beside this one."""
        team, own = self.folder.parent, self.folder.name
        teams, name = str(team.parent), team.name
        others = (f"{teams}/{peer}/{own}" for peer in os.listdir(teams) if peer != name)  # noqa: PTH208 - as below
        began = SystemClock().now().timestamp()
        return [claim for folder in others for claim in _known_claims(folder, began)]

    def _write(self, file: str, keepers: Path, ports: range) -> None:
        replace_file(Path(file), _claim(keepers, ports))
        _held[file] = ports

    def _file(self, number: int) -> str:
        return f"{self.folder}/{number}.json"


def _claim(keepers: Path, ports: range) -> bytes:
    rest = {"keepers": str(keepers), "port": ports.start, "ports": len(ports)}
    return _beginning(os.getpid()) + json.dumps(rest)[1:].encode() + b"\n"


@cache
def _beginning(pid: int) -> bytes:
    """Return how the claims of this process begin, and those of no other one."""
    return json.dumps({"v": _VERSION, "process": named(pid)})[:-1].encode() + b", "


def _is_own(claim: int) -> bool:
    """Tell whether an open file is a claim of this process; another one's may have the same inode by now."""
    beginning = _beginning(os.getpid())
    return os.pread(claim, len(beginning), 0) == beginning


def _forget(file: str, *, remove: bool) -> None:
    """Hold a slot no longer; with `remove`, nobody does, unless another process has it by now: then it keeps it."""
    with suppress(OSError):
        if remove:
            claim = os.open(file, os.O_RDONLY | _PLAIN)
            try:
                if _is_own(claim):
                    os.unlink(file)  # noqa: PTH108 - as in `_files_in`
            finally:
                os.close(claim)
    _held.pop(file, None)
    _kept.tried.pop(file, None)


@contextmanager
def kept_slots() -> Generator[None]:
    """Keep the slots that are given back, for whoever needs one next in this process: then no other one is looked for.

    To others they are taken until the last such context ends.
    """
    with _turn:
        _kept.holders += 1
    try:
        yield
    finally:
        with _turn:
            _kept.holders -= 1
            spare = {} if _kept.holders else {**_kept.spare}
            for folder in spare:
                del _kept.spare[folder]
        for folder, numbers in spare.items():
            for number in numbers:
                _forget(f"{folder}/{number}.json", remove=True)


def _files_in(folder: str) -> Iterator[str]:
    """Yield the files of claims in a folder, none if it is not there. Each run asks, and pathlib takes longer."""
    with suppress(OSError):
        names = os.listdir(folder)  # noqa: PTH208
        yield from (f"{folder}/{name}" for name in names if name[:1].isdigit() and name.endswith(".json"))


def _claims(folder: str) -> Sequence[_Claim]:
    """Return the claims of a team whose run may still have a process.

    Those of this process are not read, and hold even if somebody has removed their files.
    """
    held = {file: ports for file, ports in [*_held.items()] if _folder_of(file) == folder}
    own = [_Claim(file, ports) for file, ports in held.items()]
    return [*own, *_living(_read(file for file in _files_in(folder) if file not in held))]


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0]


def _known_claims(folder: str, now: float) -> Sequence[_Claim]:
    """Return the claims of another team as `_claims` does, read again only once a file there has come or gone.

    What has no process any more never has one again. `now` is the time in seconds.
    """
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - as in `_files_in`
    except OSError:
        return ()
    known = _known.get(folder)
    if known and known[0] == changed and not known[1]:
        return ()
    claims = [*_living(known[1] if known and known[0] == changed else _read(_files_in(folder)))]
    if changed < 1e9 * (now - _SOON):
        _known[folder] = changed, claims
    return claims


def _read(files: Iterable[str]) -> Iterator[_Claim]:
    """Read claims; what is none, or is gone by now, is passed over."""
    for file in files:
        with suppress(OSError, ValueError, KeyError, TypeError):
            claim: Any = json.loads(read_file(Path(file)))
            ports = range(claim["port"], claim["port"] + claim["ports"])
            yield _Claim(file, ports, {**claim["process"]}, str(claim["keepers"]))


def _living(claims: Iterable[_Claim]) -> Iterator[_Claim]:
    """Yield those of whose run a process may be left."""
    living: dict[str, bool] = {}
    for claim in claims:
        if (process := repr(claim.process)) not in living:
            living[process] = alive(claim.process)
        if living[process] or any(
            _is_kept(Path(now.keepers)) for now in _read([claim.file])
        ):  # it may name another run
            yield claim


def _is_kept(folder: Path) -> bool:
    """Tell whether a keeper whose files are in a folder, or in one below it, is alive."""
    return any(map(is_going, (folder, *(below for below in folder.glob("*") if below.is_dir()))))


def _overlap(ports: range, others: range) -> bool:
    return ports.start < others.stop and others.start < ports.stop


def _is_free(port: int) -> bool:
    """Tell whether a server could listen on a port of this machine's own addresses.

    On Linux one try for all of its addresses is as good as one for each.
    """
    if sys.platform == "linux":
        try:
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                server.bind((_EVERY, port))
                return True
        except OSError as error:
            if error.errno in _TAKEN:
                return False
    for family, address in _LOOPBACK:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((address, port))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
    return True
