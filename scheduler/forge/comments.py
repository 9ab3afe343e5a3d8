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
from .text import marker

_GONE = frozenset({404, 410})


def say(context: Context, github: Github, forge: Forge, number: int, about: str, text: str) -> bool:  # noqa: PLR0917
    """Let the comment about something say a text; tell whether anything was written at the forge.

    A comment that is there already, but not on record, is found by its marker, if it is ours. One that people have
    deleted is not written again. Raises ServiceError, LogError.
    """
    digest = sha256(text.encode()).hexdigest()
    known = forge.comments.get((number, about))
    if known and known.digest == digest:
        return False
    mark = marker(about)
    body = f"{text}\n\n{mark}"
    if known:
        own, written = _changed(github, known.id, body), True
    else:
        me = github.login()
        found = next(((key, was) for key, who, was in github.comments(number) if who == me and mark in was), None)
        written = found is None or found[1] != body
        own = found[0] if found else github.comment(number, body)
        if found and written:
            github.change_comment(own, body)
    data = {"repo": github.repo, "number": number, "about": about, "comment": own, "digest": digest}
    event = derived_id(Kind.GITHUB_COMMENTED, github.repo, str(number), about, digest, known.digest if known else "")
    context.append([Draft(Kind.GITHUB_COMMENTED, SCHEDULER, data=data, id=event)])
    return written


def _changed(github: Github, id: int, body: str) -> int:
    try:
        github.change_comment(id, body)
    except ServiceError as error:
        if error.status not in _GONE:
            raise
    return id
