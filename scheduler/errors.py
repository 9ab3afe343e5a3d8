"""What can stop a sprint; the tree goes on from `mail/errors.py` and `personas/errors.py`.

TeamMailError
├── UsageError
│   ├── SettingsError    a key or value in team.toml, the environment or a flag that is not one
│   ├── NotReady         something a sprint needs is missing: said before anything starts
│   ├── InvalidTasks     tasks or a roadmap that cannot be carried out: everything that is wrong with them
│   └── NoSuchRun        no run, sprint, patch or dispatch has that name
├── MissingOutput        a task refers to what another did not give; it lives in task_reference.py
├── Stopped              told to end while a gate was at work; nothing of the weave is on record
├── NotLeader            another scheduler leads this team
└── BranchMoved          somebody moved a branch that the weaver was about to move
"""

from __future__ import annotations

from collections.abc import Sequence

from ..mail.errors import TeamMailError, UsageError


class SettingsError(UsageError):
    """A setting that is not one; the message names key, line and what may stand there."""


class NotReady(UsageError):
    """Something that a sprint needs is missing; nothing was started."""


class InvalidTasks(UsageError):
    """Tasks or a roadmap that cannot be carried out; nothing was started. `problems` are all that was found."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class NoSuchRun(UsageError):
    """No run, sprint, patch or dispatch has that name."""


class Stopped(TeamMailError):
    """The scheduler was told to end while a gate was at work; the next one weaves again."""

    exit_code = 130


class NotLeader(TeamMailError):
    """Another scheduler leads this team; the message says which process."""


class BranchMoved(TeamMailError):
    """Somebody moved a branch that the weaver was about to move; nothing was changed."""
