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
from ...mail.units import span
from ..agent import Job, Outcome
from ..errors import RunLeft
from ..keeping.version import VERSION
from ..kinds import OutcomeStatus
from .sweep import ask_to_end, resume, sweep
from .warden_process import LOCK, Kept, leased, leave, start_keeper, wake

_REPORT = "ended.json"
_POLL = 100  # milliseconds between two checks of `job.stop`
_HURRY = 1.0  # seconds between two attempts to make a keeper that is late go on
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
    be started, and RunLeft if the run goes on without this process.
    """
    for stale in (_REPORT, "heartbeat", LOCK):
        (job.folder / stale).unlink(missing_ok=True)
    paths = (str(job.workspace), str(job.folder), str(stdin))
    outlives = job.leave is not None
    within = (job.timeout, limits.grace, limits.output, limits.workspace, limits.settle, limits.idle, outlives)
    masked = [os.fsencode(secret) for secret in secrets]
    spec = marshal.dumps([list(argv), dict(env), masked, paths, within])
    with leased():
        errors = _kept(job, spec, limits)
    report = read_report(job.folder)
    if report is not None:
        return _outcome(report, job, argv[0], limits)
    sweep([job.run], job.home)
    lines = errors.strip().splitlines() or ["it was killed"]
    return Outcome(OutcomeStatus.FAILED, None, 0.0, f"the run's keeper ended before the run: {lines[-1]}")


def rejoin(job: Job, program: str, limits: RunLimits) -> Outcome | None:
    """Wait for the end of a run that another process started, and return its outcome.

    None if it left no report of this version; then it has no process any more. Raises RunLeft as `keep` does.
    """
    clock, asked, hurried = SystemClock(), False, 0.0
    due = clock.monotonic() + job.timeout
    while is_going(job.folder) and _is_known(job.folder):
        now = clock.monotonic()
        if job.stop.wait(_POLL / 1000) and not asked:
            asked, due = ask_to_end(job.run, job.home), now
        if job.leave and job.leave.is_set() and not asked:
            raise RunLeft(job.run)
        if now > due and now - hurried > _HURRY:
            hurried = now
            _hurry(job, late=now > due + limits.grace + _LATE)
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
        return (folder / "heartbeat").read_text().split()[-1:] == [str(VERSION)]
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
        if report.is_file() and not report.is_symlink():
            ended = json.loads(report.read_text())
            if isinstance(ended, dict) and ended.get("v") == VERSION:  # pyright: ignore[reportUnknownMemberType]
                return cast("dict[str, Any]", ended)
    return None


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
    hurried = 0.0
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
        now = clock.monotonic()
        if now > due and now - hurried > _HURRY:
            hurried = now
            _hurry(job, late=now > due + limits.grace + _LATE)


def _hurry(job: Job, *, late: bool) -> None:
    """Let a keeper and a warden go on that the agent may have stopped, as they have a run to end; end it if late."""
    wake()
    if late:
        sweep([job.run], job.home)
    else:
        resume(job.run, job.home)


def _outcome(ended: Mapping[str, Any], job: Job, program: str, limits: RunLimits) -> Outcome:
    """Turn the keeper's report into an outcome."""
    reason, code, number = ended["reason"], ended["exit"], ended["signal"]
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
        notes.append(f"output over {_size(limits.output)}, {_size(ended['cut'])} left out")
    code = None if reason in {"unstartable", "finished"} else code
    return Outcome(status, code, ended["seconds"], "; ".join(notes), cut=bool(ended["cut"]))


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
