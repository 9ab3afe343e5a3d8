"""Sprints as pull requests, and pull requests and issues as work, at GitHub or a server with its API. For people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....scheduler.context import Context
from ....scheduler.forge.facts import read_forge
from ....scheduler.forge.feedback import Heard, hear
from ....scheduler.forge.github import Troubles, open_github
from ....scheduler.forge.publish import PublishedSprint, speaking
from ....scheduler.forge.publish import publish as publish_sprint
from ....scheduler.forge.pulls import Taken
from ....scheduler.forge.taking import Wanted, answer
from ....scheduler.forge.taking import take as take_wanted
from ....scheduler.forge.watch import look as look_at
from ....scheduler.forge.watch import nudge
from ....scheduler.sprint.control import by_people_only

__all__ = ["Publication", "Taking", "Wanted", "look", "nudge", "publish", "take"]


@dataclass(frozen=True)
class Publication:
    """What became of a sprint's pull request, and what was new there; None if it is over."""

    published: PublishedSprint
    heard: Heard | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler publish --json`."""
        return self.published.document() | {"heard": self.heard.document() if self.heard else None}


@dataclass(frozen=True)
class Taking:
    """What became of each pull request and issue, and the numbers of those whose comment at the forge is new."""

    taken: tuple[Taken, ...]
    answered: tuple[int, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether one of them was refused."""
        return any(each.is_refused for each in self.taken)

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler take --json`."""
        return {"taken": [each.document() for each in self.taken], "answered": [*self.answered]}


def publish(context: Context, number: int | None = None) -> Publication:
    """Publish a sprint, the last one by default, as a pull request, and tell authors what is said of it.

    Raises NoSuchRun, NotReady without a repository, NotLeader while another process speaks with the forge, BranchMoved
    if somebody else pushed to the branch, ServiceError, GitError.
    """
    by_people_only("scheduler publish", context.home)
    github = open_github(context)
    with speaking(context):
        done = publish_sprint(context, github, number)
        forge = read_forge(context.mailbox.projections, github.repo)
        own = next((each for each in forge.open if each.number == done.number), None)
        return Publication(done, hear(context, github, own) if own else None)


def take(context: Context, wanted: Wanted, sender: str) -> Taking:
    """Take pull requests and issues as work, and what was pushed to those that were taken; tell them what became of it.

    Raises UsageError if nobody is named for an issue, NotReady without a repository, NotLeader while another process
    speaks with the forge, ServiceError, GitError, ClaimError.

    Args:
        context: The team.
        wanted: What is to be taken; nothing only goes on with what was.
        sender: Who asks for it.
    """
    by_people_only("scheduler take", context.home)
    github = open_github(context)
    with speaking(context):
        taken = tuple(take_wanted(context, github, wanted, sender, troubles := Troubles()))
        done = Taking(taken, tuple(answer(context, github, troubles)))
    troubles.end()
    return done


def look(context: Context) -> Iterator[str]:
    """Do all that is due at the forge, by the settings, as `scheduler run` does; yield a line for what was new.

    Raises NotReady without a repository, NotLeader while another process speaks with the forge, BranchMoved,
    ServiceError, GitError.
    """
    by_people_only("scheduler publish", context.home)
    github = open_github(context)
    with speaking(context):
        yield from look_at(context, github)
