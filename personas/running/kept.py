"""A program of ours that may start programs of others, run under a keeper of its own as an agent is.

So a daemon that one of them leaves, or one that never returns, ends with it, and nobody waits for the pipe that it
holds open.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ...mail.log.disk import read_file, replacing
from ..agent import Job
from ..kinds import OutcomeStatus
from .process import RunLimits, keep, read_report

_APART = 'exec >"$1"; shift; exec "$@"'  # the keeper does not tell what goes to stdout from what goes to stderr
_LIMITS = RunLimits(workspace=0, settle=None)


def run_kept(
    argv: Sequence[str], env: Mapping[str, str], *, cwd: Path, folder: Path, stdin: bytes, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, for at most `timeout` seconds, and return how it ended; nothing of it is alive then.

    `folder` gets the keeper's files, and is made if it is not there. The exit code is negative for a program that a
    signal ended: that of SIGKILL if it took too long. Raises OSError if the keeper cannot be started.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given, printed, run = folder / "stdin", folder / "stdout", f"kept-{os.urandom(8).hex()}"
    with replacing(given, durable=False) as scratch:
        scratch.write_bytes(stdin)
    printed.unlink(missing_ok=True)
    job = Job(run, argv[0], 1, 0, "", cwd, folder, folder, timeout)
    words = ("sh", "-c", _APART, "sh", str(printed), *argv)
    outcome = keep(job, words, {**env, "TEAM_RUN": run}, secrets=(), stdin=given, limits=_LIMITS)
    report, stdout, stderr = read_report(folder), b"", b""
    with suppress(FileNotFoundError):
        stdout, stderr = read_file(printed), read_file(folder / "output.log")
    if report is None or outcome.status not in {OutcomeStatus.OK, OutcomeStatus.FAILED}:
        return subprocess.CompletedProcess(argv, -signal.SIGKILL, stdout, os.fsencode(outcome.detail))
    code = 127 if report["error"] else report["exit"]
    return subprocess.CompletedProcess(argv, -report["signal"] if code is None else code, stdout, stderr)
