"""An agent's process as the scheduler sees it: started through its keeper, waited for, and turned into an outcome."""

from __future__ import annotations

import json
import marshal
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from ...mail.clock import SystemClock
from ...mail.units import span
from ..agent import Job, Outcome
from ..kinds import OutcomeStatus
from .sweep import sweep

# The keeper's modules form a package made here, so that neither team_mail nor `site` is imported.
_START = """
import sys
package = type(sys)("keeping")
package.__path__ = [sys.argv[1]]
sys.modules["keeping"] = package
from keeping.keeper import main
main()
"""
_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # some Pythons do not start without them
_POLL = 100  # milliseconds between two checks of `job.stop`
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
    be started.
    """
    for stale in ("ended.json", "heartbeat"):
        (job.folder / stale).unlink(missing_ok=True)
    paths = (str(job.workspace), str(job.folder), str(stdin))
    within = (job.timeout, limits.grace, limits.output, limits.workspace, limits.settle, limits.idle)
    masked = [os.fsencode(secret) for secret in secrets]
    errors = _keeper(job, marshal.dumps([list(argv), dict(env), masked, paths, within]), limits)
    report = job.folder / "ended.json"
    if report.is_file():  # an agent that killed its keeper may have left a pipe in its place
        return _outcome(json.loads(report.read_text()), job, argv[0], limits)
    sweep([job.run])
    lines = errors.strip().splitlines() or ["it was killed"]
    return Outcome(OutcomeStatus.FAILED, None, 0.0, f"the run's keeper ended before the run: {lines[-1]}")


def _keeper(job: Job, spec: bytes, limits: RunLimits) -> str:
    """Start the keeper and wait for its end; return its error output, which is empty unless it failed.

    `sweep` finds it by its environment; everything else goes through the pipe, where no other process can read it.
    """
    keeper = subprocess.Popen(  # noqa: S603
        [sys.executable, "-I", "-S", "-c", _START, str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: os.environ[name] for name in _LOADER if name in os.environ} | {"TEAM_RUN": job.run},
        cwd="/",
        start_new_session=True,
    )
    stdin = cast("IO[bytes]", keeper.stdin)
    with keeper:
        with suppress(BrokenPipeError):
            stdin.write(len(spec).to_bytes(8, "big") + spec)
            stdin.flush()
        return _wait(keeper, job, limits)


def _wait(keeper: subprocess.Popen[bytes], job: Job, limits: RunLimits) -> str:
    """Wait for the end of the keeper's output, which is its end. Closing its standard input stops the run."""
    stdin, stdout = cast("IO[bytes]", keeper.stdin), cast("IO[bytes]", keeper.stdout)
    poll, clock, output = select.poll(), SystemClock(), b""
    poll.register(stdout, select.POLLIN | select.POLLHUP)
    due = clock.monotonic() + job.timeout
    deadline = due + limits.grace + _LATE
    while True:
        if poll.poll(_POLL):
            more = os.read(stdout.fileno(), 1 << 16)
            if not more:
                return output.decode(errors="replace")
            output += more
        if job.stop.is_set() and not stdin.closed:
            stdin.close()
            due = clock.monotonic()
            deadline = due + limits.grace + _LATE
        if clock.monotonic() > due:
            keeper.send_signal(signal.SIGCONT)  # the agent may have stopped it, and it has a run to end
        if clock.monotonic() > deadline:
            keeper.kill()


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
