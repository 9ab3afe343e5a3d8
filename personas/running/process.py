"""An agent's process as the scheduler sees it: started through its keeper, waited for, and turned into an outcome."""

from __future__ import annotations

import fcntl
import json
import marshal
import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ...mail.clock import SystemClock
from ...mail.log.disk import read_file
from ...mail.process import TEAM
from ...mail.text.units import span
from ..agent import Job, Outcome
from ..errors import RunCut, RunLeft
from ..keeping.version import VERSION
from ..kinds import OutcomeStatus
from ..spending.usage import UNKNOWN, Usage, usage_of
from .sweep import RUN, ask_to_end, resume, sweep
from .warden_process import LOCK, Kept, leased, leave, start_keeper, wake

_REPORT = "ended.json"
_USAGE = "usage.json"  # what the stream has told so far, while the run lasts
_POLL = 100  # milliseconds between two checks of `job.stop`
_LOOK = 1.0  # seconds between two looks whether keeper and warden do their work
_SILENT = 3.0  # seconds without a heartbeat after which a keeper may have been stopped
_LATE = 20.0  # seconds for the keeper beyond the agent's timeout and grace period


@dataclass(frozen=True)
class RunLimits:
    """The limits of one run: bytes of output kept, bytes in its workspace (0: no limit), seconds from TERM to KILL.

    `settle` are the seconds that an agent has to end after the final event of its stream, None if it is not ended then.
    `idle` are the seconds without output and without a change in the workspace after which it is ended, 0 for no limit.
    """

    output: int = 10_000_000
    workspace: int = 4 << 30
    grace: float = 5.0
    settle: float | None = 30.0
    idle: float = 0.0


def keep(
    job: Job, argv: Sequence[str], env: Mapping[str, str], *, secrets: Iterable[str], stdin: Path, limits: RunLimits
) -> Outcome:
    """Run a command in the job's workspace to its end; write `output.log` and `ended.json` in the run's folder.

    `secrets` are masked in the output; `stdin` is the file that the command reads. Raises OSError if the keeper cannot
    be started, RunLeft if the run goes on without this process, and RunCut if its warden was killed.
    """
    for stale in (_REPORT, _USAGE, "heartbeat", LOCK, "output.log"):
        (job.folder / stale).unlink(missing_ok=True)
    paths = (str(job.workspace), str(job.folder), str(stdin))
    outlives = job.leave is not None
    within = (job.timeout, limits.grace, limits.output, limits.workspace, limits.settle, limits.idle, outlives)
    masked = [os.fsencode(secret) for secret in secrets]
    marked = {**env, RUN: job.run, TEAM: str(job.home)}
    spec = marshal.dumps([list(argv), marked, masked, paths, within])
    with leased():
        errors = _kept(job, spec, limits)
    report = read_report(job.folder)
    if report is not None:
        return _outcome(report, job, argv[0], limits)
    sweep([job.run], job.home)
    lines = errors.strip().splitlines() or ["it was killed"]
    why = f"the run's keeper ended before the run: {lines[-1]}"
    return Outcome(OutcomeStatus.FAILED, None, 0.0, why, usage=read_usage(job.folder))


def rejoin(job: Job, program: str, limits: RunLimits) -> Outcome | None:
    """Wait for the end of a run that another process started, and return its outcome.

    None if it left no report of this version; then it has no process any more. Raises RunLeft and RunCut as `keep`.
    """
    clock, asked = SystemClock(), False
    due = clock.monotonic() + job.timeout
    watcher = _Watcher(job, limits)
    while is_going(job.folder) and _is_known(job.folder):
        if job.stop.wait(_POLL / 1000) and not asked:
            asked, due = ask_to_end(job.run, job.home), clock.monotonic()
        if job.leave and job.leave.is_set() and not asked:
            raise RunLeft(job.run)
        if watcher.look(due):
            break
    sweep([job.run], job.home)
    report = read_report(job.folder)
    return _outcome(report, job, program, limits) if report else None


def is_going(folder: Path) -> bool:
    """Tell whether a run's keeper or its mail process lives, whoever started it; `folder` is the run's."""
    try:
        lock = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_known(folder: Path) -> bool:
    """Tell whether a run's keeper is of this version; one that has not written its heartbeat yet may be."""
    try:
        return read_file(folder / "heartbeat").split()[-1:] == [str(VERSION).encode()]
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def read_report(folder: Path) -> Mapping[str, Any] | None:
    """Return how a run ended, from the keeper's `ended.json`.

    None if there is none, as an agent that killed its keeper may have left a pipe in its place, and for a report of
    another version.
    """
    report = folder / _REPORT
    with suppress(OSError, ValueError):
        ended = json.loads(read_file(report))
        if isinstance(ended, dict) and ended.get("v") == VERSION:  # pyright: ignore[reportUnknownMemberType]
            return cast("dict[str, Any]", ended)
    return None


def read_usage(folder: Path) -> Usage:
    """Return what a run has used as far as its stream has told by now; it may be a second old."""
    with suppress(OSError, ValueError):
        return usage_of(json.loads(read_file(folder / _USAGE)))
    return UNKNOWN


def _kept(job: Job, spec: bytes, limits: RunLimits) -> str:
    """Start the keeper and wait for the end of the run; return what it and the warden printed, which is an error."""
    kept = start_keeper(job)
    try:
        with suppress(BrokenPipeError):
            _write(kept.leash, len(spec).to_bytes(8, "big") + spec)
        return _wait(kept, job, limits)
    finally:
        os.close(kept.leash)
        os.close(kept.output)


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _wait(kept: Kept, job: Job, limits: RunLimits) -> str:
    """Wait for the end of the run, and see to it that it comes in time. Raises RunLeft."""
    poll, clock, printed, asked = select.poll(), SystemClock(), b"", False
    watcher = _Watcher(job, limits)
    poll.register(kept.output, select.POLLIN | select.POLLHUP)
    due = clock.monotonic() + job.timeout
    while True:
        if poll.poll(_POLL):
            more = os.read(kept.output, 1 << 16)
            if not more:
                return printed.decode(errors="replace")
            printed += more
        if job.stop.is_set() and not asked:
            kept.stop()
            asked, due = True, clock.monotonic()
        if job.leave and job.leave.is_set() and not asked:
            leave()
            raise RunLeft(job.run)
        watcher.look(due)


class _Watcher:
    """Lets keeper and warden of a run go on that somebody has stopped (SIGSTOP), and ends a run that is late.

    It also passes on what the run has used so far.
    """

    def __init__(self, job: Job, limits: RunLimits) -> None:
        self._job = job
        self._clock = SystemClock()
        self._late = limits.grace + _LATE
        self._looked = self._clock.monotonic()
        self._over: float | None = None  # since when the keeper has reported
        self._usage = UNKNOWN

    def look(self, due: float) -> bool:
        """Look once a second; `due` is when the run should end. Tell whether to wait no longer for the warden."""
        now, job = self._clock.monotonic(), self._job
        if now - self._looked < _LOOK:
            return False
        self._looked = now
        self._tell()
        wake(_warden_of(job.folder))
        if now > due + self._late:
            sweep([job.run], job.home)
        elif now > due or _silence(job.folder) > _SILENT:
            resume(job.run, job.home)
        if not (job.folder / _REPORT).exists():
            return False
        self._over = self._over or now
        return now - self._over > _LATE

    def _tell(self) -> None:
        """Pass on what the run's stream has told since the last look."""
        if self._job.on_usage and (usage := read_usage(self._job.folder)) != self._usage:
            self._usage = usage
            self._job.on_usage(usage)


def _warden_of(folder: Path) -> int | None:
    """Return the pid of a run's warden, as the keeper's heartbeat tells it."""
    with suppress(OSError, ValueError, IndexError):
        return int(read_file(folder / "heartbeat").split()[-2])
    return None


def _silence(folder: Path) -> float:
    """Return how many seconds ago a keeper last gave a sign of life, 0 if it has given none."""
    with suppress(OSError):
        return SystemClock().now().timestamp() - (folder / "heartbeat").stat().st_mtime
    return 0.0


def _outcome(ended: Mapping[str, Any], job: Job, program: str, limits: RunLimits) -> Outcome:
    """Turn the keeper's report into an outcome."""
    reason, code, number = ended["reason"], ended["exit"], ended["signal"]
    if reason == "unkept":
        raise RunCut("its warden was killed")
    detail = {
        "ended": f"killed by {_signal(number)}" if number else f"exit {code}",
        OutcomeStatus.TIMEOUT: f"no end within {span(job.timeout)}",
        OutcomeStatus.STOPPED: "stopped",
        "idle": f"no output and no changed file for {span(limits.idle)}",
        "finished": f"finished, but still running {span(limits.settle or 0)} after its final event: ended",
        OutcomeStatus.QUOTA: f"more than {_size(limits.workspace)} in its workspace",
        "unstartable": f"cannot start {program}: {ended['error']}",
    }[reason]
    status = {
        "ended": OutcomeStatus.OK if code == 0 else OutcomeStatus.FAILED,
        "unstartable": OutcomeStatus.FAILED,
        "idle": OutcomeStatus.TIMEOUT,
        "finished": OutcomeStatus.OK,
    }.get(reason) or OutcomeStatus(reason)
    notes = [detail]
    if ended["survivors"] and reason == "ended":
        plural = "" if ended["survivors"] == 1 else "es"
        notes.append(f"ended {ended['survivors']} process{plural} that it left behind")
    if ended["cut"]:
        full = ended["output"] >= limits.output / 2
        why = f"output over {_size(limits.output)}" if full else "no room for its output"
        notes.append(f"{why}, {_size(ended['cut'])} left out")
    code = None if reason in {"unstartable", "finished"} else code
    usage = usage_of(ended.get("usage"))
    return Outcome(
        status, code, ended["seconds"], "; ".join(notes), cut=bool(ended["cut"]), usage=usage,
        hopeless=reason == "unstartable",
    )  # fmt: skip


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
