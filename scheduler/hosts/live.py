"""What a run prints and uses while a worker has it: said to whoever listens now, and kept in the run's folder here.

Nothing of it is a record. The leader writes it where the faces of a team look at the runs of its own host, and once the
run is returned, its whole output takes the place of what was heard.
"""

from __future__ import annotations

import json
import threading
from binascii import Error as NoBase64
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, cast

from ...mail.errors import LogError
from ...mail.log.disk import read_file, replacing
from ...personas.running.process import read_usage
from ...personas.spending.usage import UNKNOWN, Usage, usage_of
from ..payload import as_bytes, as_text

_PAUSE = 0.2  # seconds between two looks at what a run has printed
_BEAT = 2.0  # seconds between two signs of life of a run that prints nothing
_PIECE = 5_000  # bytes of output that are said at once
_MOST = 20  # pieces of one run between two looks
_LARGEST = 10_000_000  # bytes of output that are kept here while a run goes on
_GAP = b"\n[output left out here: it came too fast to be shown while the run goes on]\n"
_OUTPUT, _USAGE, _HEARTBEAT = "output.log", "usage.json", "heartbeat"


class Words(Protocol):
    """Who passes on what is said, see `mail/remote/beside.py`."""

    def say(self, words: str) -> None:
        """Say a text to whoever listens. Raises LogError."""
        ...

    def hear(self, stop: threading.Event) -> Iterator[str]:
        """Yield what is said until `stop` is set."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class _Told(NamedTuple):
    """How far a run was told of: the bytes of its output, what it used, and how long ago that was."""

    epoch: int
    folder: Path
    at: int = 0
    usage: Usage = UNKNOWN
    silent: float = 0.0


class Telling:
    """Tells of the runs of one worker, in a thread that lives as long as this context. `place` is its log's."""

    def __init__(self, words: Words | None, place: str) -> None:
        self._words, self._place, self._over = words, place, threading.Event()
        self._turn = threading.Lock()
        self._open: dict[str, _Told] = {}
        self._thread = threading.Thread(target=self._go_on, args=(words,), name="telling", daemon=True)

    def __enter__(self) -> Self:
        if self._words:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._words:
            self._thread.join()
            self._words.close()

    def begin(self, run: str, epoch: int, folder: Path) -> None:
        """Tell of a run from now on; `folder` is where its files are."""
        with self._turn:
            self._open[run] = _Told(epoch, folder)

    def end(self, run: str) -> None:
        """Tell of it no more."""
        with self._turn:
            self._open.pop(run, None)

    def _go_on(self, words: Words) -> None:
        while not self._over.wait(_PAUSE):
            with self._turn:
                runs = [*self._open.items()]
            for run, told in runs:
                with suppress(LogError):  # the whole comes with its return
                    now = self._tell(words, run, told)
                    with self._turn:
                        if run in self._open:
                            self._open[run] = now

    def _tell(self, words: Words, run: str, told: _Told) -> _Told:
        """Say what is new of a run, and return how far that is."""
        usage, at, is_news = read_usage(told.folder), told.at, False
        for piece in _pieces(told.folder / _OUTPUT, told.at):
            words.say(self._said(run, told.epoch, at=at, output=as_text(piece)))
            at, is_news = at + len(piece), True
        if usage != told.usage:
            words.say(self._said(run, told.epoch, usage=usage.document()))
        elif not is_news and told.silent >= _BEAT:
            words.say(self._said(run, told.epoch))
        else:
            return told._replace(at=at, silent=0.0 if is_news else told.silent + _PAUSE)
        return told._replace(at=at, usage=usage, silent=0.0)

    def _said(self, run: str, epoch: int, **more: Any) -> str:
        return json.dumps({"run": run, "epoch": epoch, "place": self._place, **more}, separators=(",", ":"))


class Heard:
    """Keeps what is said of the runs that this process waits for. `home` is the team's folder, `place` its log's.

    What a worker of this same folder says is there already: to keep it would be to say it again, without end.
    `epoch_of` tells which epoch of a run counts, None if this process does not wait for it; `used` is called with what
    a run has used so far.
    """

    def __init__(
        self, home: Path, place: str, epoch_of: Callable[[str], int | None], used: Callable[[str, Usage], object]
    ) -> None:
        self._runs, self._place, self._epoch_of, self._used = home / "runs", place, epoch_of, used
        self._begins: dict[tuple[str, int], int] = {}  # where the output of an epoch begins in the file here

    def listen(self, words: Words) -> Callable[[], None]:
        """Listen in a thread of its own; return the function that ends it."""
        stop = threading.Event()

        def go_on() -> None:
            for said in words.hear(stop):
                with suppress(OSError):
                    self.take(said)

        thread = threading.Thread(target=go_on, name="listening", daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join()

        return end

    def take(self, said: str) -> None:
        """Keep one piece of what was said; what is not of its form is passed over. Raises OSError."""
        try:
            words = cast("dict[str, Any]", json.loads(said))
            run, epoch = str(words["run"]), int(words["epoch"])
            output, at = as_bytes(words.get("output", "")), int(words.get("at", 0))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError, NoBase64):
            return
        if self._epoch_of(run) != epoch or at < 0:
            return
        usage = usage_of(words["usage"]) if "usage" in words else UNKNOWN
        if words.get("place") != self._place:
            self._keep(self._runs / run, epoch, at, output, usage)
        if usage != UNKNOWN:
            self._used(run, usage)

    def _keep(self, folder: Path, epoch: int, at: int, output: bytes, usage: Usage) -> None:
        """Keep a sign of life of a run, and what came with it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _HEARTBEAT).touch()
        if output:
            self._append(folder / _OUTPUT, folder.name, epoch, at, output)
        if usage != UNKNOWN:
            with replacing(folder / _USAGE, durable=False) as scratch:
                scratch.write_text(json.dumps(usage.document()))

    def _append(self, path: Path, run: str, epoch: int, at: int, output: bytes) -> None:
        """Append a piece of output; where pieces are missing, say so."""
        with path.open("ab") as file:
            size = file.tell()
            start = self._begins.setdefault((run, epoch), size - at if at <= size else size)
            missing = start + at - size
            if size > _LARGEST or missing < -len(output):
                return
            if missing > 0:
                file.write(_GAP)
                self._begins[run, epoch] = size + len(_GAP) - at
            file.write(output[-missing if missing < 0 else 0 :])


def put_whole(folder: Path, output: bytes) -> None:
    """Let the file with the output of a run have all of it: whoever follows the file reads on. Raises OSError."""
    path = folder / _OUTPUT
    folder.mkdir(parents=True, exist_ok=True)
    try:
        before = read_file(path)
    except OSError:
        before = b""
    if before and output.startswith(before):
        with path.open("ab") as file:
            file.write(output[len(before) :])
    elif before != output or not before:
        with replacing(path, durable=False) as scratch:
            scratch.write_bytes(output)


def _pieces(path: Path, at: int) -> Iterator[bytes]:
    """Yield what a file has from a byte on, in pieces, as many as may be said now."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(at)
        for _ in range(_MOST):
            if not (piece := file.read(_PIECE)):
                return
            yield piece
