"""What was published and taken, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from ....mail.render import line
from ....mail.text.units import counted
from ....scheduler.forge.feedback import Heard
from ...api.outside.forge import Publication, Taking


def publication(done: Publication) -> Iterator[str]:
    """Say what became of a sprint's pull request, and what was new there."""
    each = done.published
    yield line(f"sprint {each.sprint}: pull request {each.number} {each.action}, {each.url}")
    yield line(f"  {each.branch} is at {each.commit[:12]} there")
    if done.heard:
        yield from heard(done.heard)


def heard(new: Heard) -> Iterator[str]:
    """Say what was new about the pull request of a sprint."""
    if new.outcome:
        yield f"  pull request {new.number} was {new.outcome}"
    if new.mails:
        yield f"  {counted(new.mails, 'message')} to authors about it"
    if new.left_out:
        yield f"  {counted(new.left_out, 'remark')} of others left out: [github] authors says whose count"


def taking(done: Taking) -> Iterator[str]:
    """Say what became of each pull request and issue, and where a comment was written."""
    for each in done.taken:
        why = f": {each.why}" if each.why else ""
        yield line(f"{each.kind} {each.number} {each.action}{why} ({each.title}, by {each.author})")
    if done.answered:
        yield f"told what became of it: {', '.join(map(str, done.answered))}"
    if not done.taken and not done.answered:
        yield "nothing is taken, and nothing is new"
