"""What can go wrong between a persona and its run; the tree goes on from `mail/errors.py`.

TeamMailError
├── UsageError
│   ├── PersonaError     a persona file that is not one
│   ├── NotARepository   no git repository, or one that cannot be worked on
│   └── GitTooOld        a git without what the weaver needs
├── GitError             git did not do what it was asked
├── BadOutput            a run's result that is no JSON
├── WorkspaceLost        an agent took its own workspace away
└── WorkspaceStuck       a workspace that cannot be removed
"""

from __future__ import annotations

from ..mail.errors import TeamMailError, UsageError


class PersonaError(UsageError):
    """A persona file that is not one; the message names file, line and what to write."""


class NotARepository(UsageError):
    """There is no git repository here, or none that can be worked on."""


class GitTooOld(UsageError):
    """The installed git lacks what the weaver needs."""


class GitError(TeamMailError):
    """Git did not do what it was asked; the message is git's own first line."""

    def __init__(self, words: tuple[str, ...], exit: int, stderr: bytes) -> None:
        self.words = words
        self.exit = exit
        self.stderr = stderr.decode(errors="replace")
        said = next((line for line in self.stderr.splitlines() if line.strip()), f"exit {exit}")
        super().__init__(f"git {words[0]}: {said.removeprefix('error: ').removeprefix('fatal: ')}")


class BadOutput(TeamMailError):
    """A run left a result that nobody can read; the message names the file and what is wrong with it."""


class WorkspaceLost(TeamMailError):
    """An agent took its own workspace away, or put something else in its place."""


class WorkspaceStuck(TeamMailError):
    """A workspace that cannot be removed, for one, because an agent left another user's files in it."""
