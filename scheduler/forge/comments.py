"""One comment of the team for each thing that it has to say at the forge, which is changed in place."""

from __future__ import annotations

from hashlib import sha256

from ...mail.directory import SCHEDULER
from ...mail.log.event import Draft, derived_id
from ...personas.errors import ServiceError
from ..context import Context
from ..kinds import Kind
from .facts import Forge
from .github import Github
from .kinds import GONE
from .text import marker


def say(context: Context, github: Github, forge: Forge, number: int, about: str, text: str) -> bool:  # noqa: PLR0917
    """Let the comment about something say a text; tell whether anything was written at the forge.

    A comment that is there already, but not on record, is found by its marker, if it is ours. One that people have
    deleted is not written again, and where nothing can be said, nothing is. Raises ServiceError, LogError.
    """
    digest = sha256(text.encode()).hexdigest()
    known = forge.comments.get((number, about))
    if known and known.digest == digest:
        return False
    mark = marker(about)
    try:
        own, written = _written(github, number, known.id if known else 0, mark, f"{text}\n\n{mark}")
    except ServiceError as error:
        if error.status not in GONE and "locked" not in str(error):
            raise
        own, written = known.id if known else 0, False  # deleted, or closed to comments
    data = {"repo": github.repo, "number": number, "about": about, "comment": own, "digest": digest}
    event = derived_id(Kind.GITHUB_COMMENTED, github.repo, str(number), about, digest, known.digest if known else "")
    context.append([Draft(Kind.GITHUB_COMMENTED, SCHEDULER, data=data, id=event)])
    return written


def _written(github: Github, number: int, own: int, mark: str, body: str) -> tuple[int, bool]:
    """Write a comment, or change it; return its id, and whether that was needed."""
    if own:
        github.change_comment(own, body)
        return own, True
    me = github.login()
    found = next(((key, was) for key, who, was in github.comments(number) if who == me and mark in was), None)
    if found is None:
        return github.comment(number, body), True
    if found[1] != body:
        github.change_comment(found[0], body)
    return found[0], found[1] != body
