"""The errors of personas and their runs; the tree continues that of `mail/errors.py`.

TeamMailError
├── UsageError
│   ├── PersonaError     a persona file that is not valid
│   ├── NotARepository   no git repository
│   ├── BareRepository   one without a checkout
│   ├── NotTrusted       a repository of another user, which git was not told to trust
│   ├── RepositoryBroken a repository that git cannot use
│   ├── PromiseBroken    objects of a partial clone are missing, and its remote does not give them
│   └── GitTooOld        git is missing or older than the weaver needs
├── GitError             a git command failed
│   └── FilterFailed     a filter that the user's git settings require failed
├── NotPrepared          a workspace in which no agent can start
├── BadOutput            a run's result that cannot be read
├── WorkspaceLost        an agent removed or replaced its own workspace
├── WorkspaceStuck       a workspace that cannot be removed
├── ServiceError         a service outside refused, or gave no answer
├── RunLeft              a run that goes on without this process
└── RunCut               a run that was cut off because its warden was killed
"""

from __future__ import annotations

from ..mail.errors import TeamMailError, UsageError


class PersonaError(UsageError):
    """A persona file is not valid; the message names file, line and what to write."""


class NotARepository(UsageError):
    """There is no git repository here."""


class BareRepository(UsageError):
    """The repository has no checkout, in which a team could live."""


class NotTrusted(UsageError):
    """The repository belongs to another user, and git was not told to trust it."""


class RepositoryBroken(UsageError):
    """There is a repository here, and git cannot use it; the message has git's own words."""


class PromiseBroken(UsageError):
    """Objects of a partial clone are missing, and the remote that promised them does not give them."""


class GitTooOld(UsageError):
    """Git is not installed, or is older than the weaver needs."""


class GitError(TeamMailError):
    """A git command failed; the message is git's own first line."""

    def __init__(self, words: tuple[str, ...], exit: int, stderr: bytes) -> None:
        self.words = words
        self.exit = exit
        self.stderr = stderr.decode(errors="replace")
        message = next((line for line in self.stderr.splitlines() if line.strip()), f"exit {exit}")
        super().__init__(f"git {words[0]}: {message.removeprefix('error: ').removeprefix('fatal: ')}")


class FilterFailed(GitError):
    """A clean or smudge filter failed that the user's git settings require."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(("filter", name), 1, b"")
        why = f"the filter {name!r}, which your git settings require, failed on {file}"
        self.args = (f"{why}; nothing was taken unfiltered: see that git can filter it in your checkout",)


class NotPrepared(TeamMailError):
    """A workspace lacks what the settings say it has; no agent was started in it."""


class BadOutput(TeamMailError):
    """A run's result cannot be read; the message names the file and what is wrong with it."""


class WorkspaceLost(TeamMailError):
    """An agent removed its own workspace, or replaced it with something else."""


class WorkspaceStuck(TeamMailError):
    """A workspace cannot be removed, for example because it holds another user's files."""


class ServiceError(TeamMailError):
    """A service outside refused a call, or did not answer; `status` is that of HTTP, 0 without an answer.

    `was_sent` tells that nobody knows whether the call had its effect.
    """

    def __init__(self, why: str, status: int = 0, *, was_sent: bool = False) -> None:
        super().__init__(why)
        self.status, self.was_sent = status, was_sent


class RunLeft(TeamMailError):
    """A run goes on while its scheduler ends; the next scheduler takes it over. The message is its id."""


class RunCut(TeamMailError):
    """A run ended because somebody killed the warden: it is neither its own end nor a person's wish."""
