"""The errors of the engine; the tree continues those of `mail/errors.py` and `personas/errors.py`.

TeamMailError
├── UsageError
│   ├── SettingsError    an invalid key or value in team.toml, the environment or a flag
│   ├── NotReady         something that a sprint needs is missing; raised before anything starts
│   ├── InvalidTasks     tasks or a roadmap that cannot be carried out, with every problem
│   ├── NoSuchRun        no run, sprint, patch or dispatch has that name
│   └── NoSuchTask       no task that can be claimed has that name, or no claim that token
├── MissingOutput        a task refers to a result that another task did not give; it lives in tasks/references.py
├── Stopped              the scheduler was stopped while a gate was at work; nothing of the weave was recorded
├── NotLeader            another scheduler leads this team
├── LogBehind            git knows events that the log does not have
├── ClaimError           a claim, or what was to be done by its token, is refused
│   ├── LeaseConflict    somebody else has the task, or an overlapping path
│   ├── LeaseExpired     the claim is over: its time was up, it was given back, or somebody else has it now
│   ├── LeaseNotExpired  the claim goes on, so only force ends it
│   └── VersionConflict  the task has changed since the caller looked at it
├── NotAllowed           a program asks for a command that the settings do not allow it
├── CommandCutOff        a command of a program was cut off, and nobody knows how far it came
├── SessionError         something is refused because of the state of a session
│   ├── NoSuchSession    there is no session of that name
│   └── SessionExists    there is one of that name already
├── NoProgress           a tick changed nothing, so every further tick would repeat it
└── BranchMoved          somebody moved a branch that the weaver was about to move
    └── BranchLost       what had landed is not on the branch any more; it can be woven again
"""

from __future__ import annotations

from collections.abc import Sequence

from ..mail.errors import TeamMailError, UnknownSession, UsageError
from ..mail.kinds import ExitCode


class SettingsError(UsageError):
    """An invalid setting; the message names the key, the line and the valid values."""


class NotReady(UsageError):
    """Something that a sprint needs is missing; nothing was started."""


class InvalidTasks(UsageError):
    """Tasks or a roadmap that cannot be carried out; nothing was started. `problems` has one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class NoSuchRun(UsageError):
    """No run, sprint, patch or dispatch has that name."""


class Stopped(TeamMailError):
    """The scheduler was stopped while a gate was at work or runs were taken over; the next one goes on from there."""

    exit_code = ExitCode.INTERRUPTED


class NotLeader(TeamMailError):
    """Another scheduler leads this team; the message says which process."""


class LogBehind(TeamMailError):
    """Git knows events that the log does not have, as after an older backup was restored; nothing was done."""

    exit_code = ExitCode.DAMAGED


class NoProgress(TeamMailError):
    """A tick changed nothing, so every further tick would repeat it; the message names the tick and its work."""


class BranchMoved(TeamMailError):
    """Somebody moved a branch that the weaver was about to move; nothing was changed."""


class BranchLost(BranchMoved):
    """What had landed is not on the branch any more; `start` is the commit from which it can be woven again."""

    def __init__(self, why: str, start: str) -> None:
        self.start = start
        super().__init__(why)


class NoSuchTask(UsageError):
    """No task that can be claimed has that name, or no claim that token."""

    code = "TASK_NOT_FOUND"


class ClaimError(TeamMailError):
    """A claim, or what was to be done by its token, is refused. `code` names the reason for programs."""

    code = "CLAIM_REFUSED"


class LeaseConflict(ClaimError):
    """Somebody else has the task, or an overlapping path; the message says who, and until when."""

    code = "LEASE_CONFLICT"


class LeaseExpired(ClaimError):
    """The claim is over: its time was up, it was given back, or somebody else has it now."""

    code = "LEASE_EXPIRED"


class LeaseNotExpired(ClaimError):
    """The claim goes on, so only force ends it."""

    code = "LEASE_NOT_EXPIRED"


class VersionConflict(ClaimError):
    """The task has changed since the caller looked at it; the message says to which version."""

    code = "VERSION_CONFLICT"


class NotAllowed(UsageError):
    """A program asks for a command that the settings do not allow it; the message says what would."""

    code = "NOT_ALLOWED"


class CommandCutOff(TeamMailError):
    """A command of a program goes on, or was cut off; it is not run again under the same key."""

    code = "COMMAND_CUT_OFF"


class SessionError(TeamMailError):
    """Something is refused because of the state of a session. `code` names the reason for programs."""

    code = "SESSION_REFUSED"


class NoSuchSession(UnknownSession, SessionError):
    """There is no session of that name."""


class SessionExists(SessionError):
    """There is a session of that name already."""

    code = "SESSION_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"Session '{name}' already exists. Use resume_session to continue.")
