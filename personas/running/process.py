"""An agent's process from the outside: started through its keeper, waited for, and its end put into words."""

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
from .sweep import sweep

# The keeper's modules are a package of their own making, so that neither team_mail nor `site` is imported.
_START = """
import sys
package = type(sys)("keeping")
package.__path__ = [sys.argv[1]]
sys.modules["keeping"] = package
from keeping.keeper import main
main()
"""
_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # some Pythons do not start without
_LOOK = 100  # milliseconds between two looks at whether a run is to be stopped
_LATE = 20.0  # seconds that a keeper gets beyond the agent's own time and grace


@dataclass(frozen=True)
class RunLimits:
    """What one run may take: bytes of output kept, bytes in its workspace (0: no end), seconds from TERM to KILL."""

    output: int = 10_000_000
    workspace: int = 4 << 30
    grace: float = 5.0


def keep(
    job: Job, argv: Sequence[str], env: Mapping[str, str], *, secrets: Iterable[str], stdin: Path, limits: RunLimits
) -> Outcome:
    """Run a command to its end in the job's workspace; its words are in `output.log`, its end is in `ended.json`."""
    for stale in ("ended.json", "heartbeat"):
        (job.folder / stale).unlink(missing_ok=True)
    paths = (str(job.workspace), str(job.folder), str(stdin))
    within = (job.timeout, limits.grace, limits.output, limits.workspace)
    hidden = [os.fsencode(secret) for secret in secrets]
    said = _keeper(job, marshal.dumps([list(argv), dict(env), hidden, paths, within]), limits)
    try:
        return _outcome(json.loads((job.folder / "ended.json").read_text()), job, argv[0], limits)
    except FileNotFoundError:
        sweep([job.run])
        words = said.strip().splitlines() or ["it was killed"]
        return Outcome("failed", None, 0.0, f"the run's keeper ended before the run: {words[-1]}")


def _keeper(job: Job, spec: bytes, limits: RunLimits) -> str:
    """Start the keeper, wait for it, or end it; return what it said, which is nothing unless it failed.

    A sweep knows it by its environment; everything else comes through the pipe, where no other process can read it.
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
    """Wait for the end of what the keeper says, which is its end. To close its standard input is to stop it."""
    stdin, stdout = cast("IO[bytes]", keeper.stdin), cast("IO[bytes]", keeper.stdout)
    poll, clock, said = select.poll(), SystemClock(), b""
    poll.register(stdout, select.POLLIN | select.POLLHUP)
    deadline = clock.monotonic() + job.timeout + limits.grace + _LATE
    while True:
        if poll.poll(_LOOK):
            more = os.read(stdout.fileno(), 1 << 16)
            if not more:
                return said.decode(errors="replace")
            said += more
        if job.stop.is_set() and not stdin.closed:
            stdin.close()
            deadline = clock.monotonic() + limits.grace + _LATE
        if clock.monotonic() > deadline:
            keeper.kill()


def _outcome(ended: Mapping[str, Any], job: Job, program: str, limits: RunLimits) -> Outcome:
    """Put into words how it ended."""
    reason, code, number = ended["reason"], ended["exit"], ended["signal"]
    died = f"killed by {_signal(number)}" if number else f"exit {code}"
    detail = {
        "ended": died,
        "timeout": f"no end within {span(job.timeout)}",
        "stopped": "stopped",
        "quota": f"more than {_size(limits.workspace)} in its workspace",
        "unstartable": f"cannot start {program}: {ended['error']}",
    }[reason]
    status = {"ended": "ok" if code == 0 else "failed", "unstartable": "failed"}.get(reason, str(reason))
    notes = [detail]
    if ended["survivors"] and reason == "ended":
        notes.append(f"ended {ended['survivors']} processes that it left behind")
    if ended["cut"]:
        notes.append(f"output over {_size(limits.output)}, {_size(ended['cut'])} thrown away")
    code = None if reason == "unstartable" else code
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
