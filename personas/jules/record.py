"""Which session plays which work: a file in `.team/work/jules`, written before Jules is asked for a session.

So a run that goes on where an earlier one was cut off finds its session. One whose create was never answered is found
at Jules by the mark in its title.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ...mail.clock import Clock
from ...mail.log.disk import read_file, replacing

VERSION = 1
_FOLDER = ("work", "jules")  # in `.team`
_LOOK = 0.1  # seconds between two looks for a free place
_UNSAFE = re.compile(r"[^\w.-]")
_NAME = 100  # characters
_TASK = re.compile(r"task \S+ of (\S+)")
SENDING, SENT = "sending", "sent"


def work_of(task: str | None, dispatch: str) -> str:
    """Return the name of what a run works on: a task of a dispatch, or all that a persona does in sprints."""
    return f"task {task} of {dispatch}" if task else "sprints"


@dataclass(frozen=True)
class Record:
    """The session of one piece of work of a persona.

    `work` names the work of runs that go on with each other's session. `mark` is in the session's title. `session` is
    its id, empty until Jules has answered, and `asked` when Jules was asked for it. `run` is the run that last went on
    with it, and `over` tells that this one took what it came to. `start` is what was pushed for it, empty if nothing
    was. `questions` are the activities that were passed on as questions, and `heard` the mails that were passed on to
    it, each with how far. `earlier` are the sessions of the same work that were given up or are over.
    """

    persona: str
    work: str
    run: str
    mark: str
    title: str
    asked: str
    session: str = ""
    url: str = ""
    over: bool = False
    heard: dict[str, str] = field(default_factory=dict[str, str])
    earlier: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    v: int = VERSION

    def age(self, now: datetime) -> float:
        """Return how many seconds ago Jules was asked for it."""
        return (now - datetime.fromisoformat(self.asked)).total_seconds()


class Records:
    """The records of one team; `home` is its `.team` folder."""

    def __init__(self, home: Path) -> None:
        self._folder = home.joinpath(*_FOLDER)

    def read(self, persona: str, work: str) -> Record | None:
        """Return the record of a piece of work, if there is one that this version understands."""
        record = _read(self._file(persona, work))
        return record if record and (record.persona, record.work) == (persona, work) else None

    def write(self, record: Record) -> Record:
        """Put a record on disk, durably. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._file(record.persona, record.work)) as scratch:
            scratch.write_text(json.dumps(asdict(record)))
        return record

    def hear(self, record: Record, mail: str, state: str) -> Record:
        """Put on record how far a mail was passed on."""
        return self.write(replace(record, heard={**record.heard, mail: state}))

    def all(self) -> Iterator[Record]:
        """Yield all records, the newest first."""
        files = sorted(self._folder.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
        yield from (record for file in files if (record := _read(file)))

    def done(self, before: float, going: Collection[str], dispatches: Collection[str]) -> Iterator[Path]:
        """Yield the files of records that no run goes on with, last changed before a time in seconds since the epoch.

        `going` are the runs that are not over, and `dispatches` those that are not. What a persona does in sprints has
        no end, so of that only a session is done whose outcome was taken.
        """
        for file in sorted(self._folder.glob("*.json")):
            record = _read(file)
            if record is None or record.run in going or file.stat().st_mtime >= before:
                continue
            task = _TASK.fullmatch(record.work)
            if (task[1] not in dispatches) if task else record.over:
                yield file

    @contextmanager
    def place(self, most: int, clock: Clock) -> Generator[None]:
        """Hold one of `most` places for creating a session, among all runs of the team; wait until one is free."""
        self._folder.mkdir(parents=True, exist_ok=True)
        while (held := self._taken(most)) is None:
            clock.sleep(_LOOK)
        try:
            yield
        finally:
            os.close(held)

    def _taken(self, most: int) -> int | None:
        for number in range(most):
            place = os.open(self._folder / f"create-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(place)
            else:
                return place
        return None

    def _file(self, persona: str, work: str) -> Path:
        name = f"{persona} {work}"
        return self._folder / f"{_UNSAFE.sub('_', name)[:_NAME]}-{sha256(name.encode()).hexdigest()[:16]}.json"


def _read(file: Path) -> Record | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        raw: Any = json.loads(read_file(file))
        if isinstance(raw, dict):
            values = cast("dict[str, Any]", raw)
            values |= {name: tuple(values[name]) for name in ("earlier", "start", "questions")}
            record = Record(**values)
            return record if record.v == VERSION else None
    return None
