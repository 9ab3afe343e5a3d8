"""The preparation of a workspace: files of the checkout, caches, and the commands of the set-up, in this order.

The set-up runs like a gate: under a keeper, without mail and without secrets. It is no part of the agent's attempt, and
neither is what it leaves in the workspace.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ...mail.log.disk import replacing
from ..agent import Job, Outcome
from ..agents.result import printed
from ..environment import filled, harmless
from ..errors import RunCut
from ..kinds import OutcomeStatus
from ..running.folder import RunFolder
from ..running.process import RunLimits, keep
from .caches import link_caches
from .copies import copy_files, find_copies
from .slots import variables_of

OUTPUT = "output.log"
PLACEHOLDERS = ("workspace", "slot", "port")  # of gates and set-ups


@dataclass(frozen=True)
class SetUp:
    """What workspaces get. `commands` may take `timeout` seconds together and depend on the files that `inputs` name.

    `copies` are globs of files of the checkout, `caches` paths of folders that workspaces share.
    """

    commands: tuple[tuple[str, ...], ...] = ()
    timeout: float = 600.0
    inputs: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """What a workspace was given. `outcome` is that of the commands, None if there are none.

    `reused` tells that they did not run, because what they had left before was put in place. `output` is what they
    printed, and `notes` has one line for everything that was asked for and is not there.
    """

    copied: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: Outcome | None = None
    reused: bool = False
    output: bytes = b""

    @property
    def failed(self) -> bool:
        """Whether the workspace cannot be used."""
        return self.outcome is not None and self.outcome.status != OutcomeStatus.OK


NOTHING = Prepared()
_MOST_CUTS = 3


def furnish(setup: SetUp, top: Path, caches: Path, workspace: Path) -> Prepared:
    """Copy files of the checkout at `top` into a workspace, and link the caches that lie in a folder. Raises GitError.

    No process may run in the workspace.
    """
    copies = find_copies(top, setup.copies)
    copied = copy_files(top, copies.files, workspace)
    linked = link_caches(caches, setup.caches, workspace)
    return Prepared(copied.files, linked.caches, (*copies.notes, *copied.notes, *linked.notes))


def set_up(setup: SetUp, job: Job) -> Prepared:
    """Run the commands one after the other in the job's workspace, until one fails. Raises OSError.

    The job's folder gets their output and the keeper's files.
    """
    if not setup.commands:
        return NOTHING
    RunFolder(job.workspace).refuse("the set-up of a workspace has no mail: what it prints is on record")
    job.folder.mkdir(parents=True, exist_ok=True)
    whole, output = Outcome(OutcomeStatus.OK, 0, 0.0, "exit 0"), b""
    for command in setup.commands:
        outcome = run_quietly(replace(job, timeout=max(1.0, job.timeout - whole.seconds)), command)
        output += f"$ {shlex.join(command)}\n".encode() + (printed(job.folder / OUTPUT) or b"")
        whole = replace(outcome, seconds=whole.seconds + outcome.seconds)
        if outcome.status != OutcomeStatus.OK:
            whole = replace(whole, detail=f"{shlex.join(command)}: {outcome.detail}")
            break
    with replacing(job.folder / OUTPUT, durable=False) as scratch:
        scratch.write_bytes(output)
    return Prepared(outcome=whole, output=output)


def run_quietly(job: Job, command: Sequence[str]) -> Outcome:
    """Run the command of a gate or set-up in the job's workspace, with its placeholders filled in. Raises OSError."""
    values = {"workspace": str(job.workspace), "slot": str(job.slot), "port": str(job.port)}
    argv = [filled(word, values) for word in command]
    for _ in range(_MOST_CUTS):
        with suppress(RunCut):  # that is no word about what the command does
            return keep(job, argv, _environment(job), secrets=(), stdin=Path(os.devnull), limits=RunLimits(settle=None))
    return Outcome(OutcomeStatus.FAILED, None, 0.0, f"its warden was killed {_MOST_CUTS} times")


def _environment(job: Job) -> dict[str, str]:
    """Return what gates and set-ups find in their environment: nothing of the scheduler's, and no mailbox."""
    own = {"TEAM_RUN": job.run, "TERM": "dumb", "NO_COLOR": "1", "GIT_CEILING_DIRECTORIES": str(job.workspace.parent)}
    return harmless() | own | variables_of(job.slot, job.port)
