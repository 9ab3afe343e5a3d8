"""Mail about tasks: to the human, when a task that was claimed again and again has not been done."""

from __future__ import annotations

from ...mail.directory import SCHEDULER
from ...mail.letter import Letter
from .decide import at
from .facts import Claim, OpenTask


def set_aside(task: OpenTask, last: Claim, why: str, human: str) -> Letter:
    """Write that a task is set aside, because this claim is one too many that ends without an end of it."""
    before = [f"- {each.owner}, from {at(each.since)}: {each.why or 'given back'}" for each in task.claims[:-1]]
    body = [
        f"The task {task.name} was claimed {len(task.claims)} times and is not done. Nobody is offered it any more.",
        "",
        *before,
        f"- {last.owner}, from {at(last.since)}: {why or 'given back'}",
        "",
        f"What is known of it: team task show {task.name}",
        f"Whoever takes it by its name can still do it: team claim {task.name}",
    ]
    subject = f"Task {task.name} is set aside"
    return Letter(SCHEDULER, [human], subject, "\n".join(body), type="escalate", key=f"aside {task.id} {last.token}")
