"""Sprints as pull requests, and pull requests and issues as work, at GitHub or a server with its API. For people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....scheduler.context import Context
from ....scheduler.forge.facts import read_forge
from ....scheduler.forge.feedback import Heard, hear
from ....scheduler.forge.github import open_github
from ....scheduler.forge.publish import PublishedSprint, speaking
from ....scheduler.forge.publish import publish as publish_sprint
from ....scheduler.sprint.control import by_people_only


@dataclass(frozen=True)
class Publication:
    """What became of a sprint's pull request, and what was new there; None if it is over."""

    published: PublishedSprint
    heard: Heard | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `scheduler publish --json`."""
        return self.published.document() | {"heard": self.heard.document() if self.heard else None}


def publish(context: Context, number: int | None = None) -> Publication:
    """Publish a sprint, the last one by default, as a pull request, and tell authors what is said of it.

    Raises NoSuchRun, NotReady without a repository, NotLeader while another process speaks with the forge, BranchMoved
    if somebody else pushed to the branch, ApiError, GitError.
    """
    by_people_only("scheduler publish", context.home)
    github = open_github(context)
    with speaking(context):
        done = publish_sprint(context, github, number)
        forge = read_forge(context.mailbox.projections, github.repo)
        own = next((each for each in forge.open if each.number == done.number), None)
        return Publication(done, hear(context, github, own) if own else None)
