"""Work from the forge: pull requests and issues by number or by label, and what is told of them there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...mail.errors import UsageError
from ...personas.errors import ServiceError
from ..context import Context
from .comments import say
from .facts import TakenPull, read_forge
from .github import Github, Issue, Troubles
from .issues import answers_to_issues, take_issue
from .kinds import GONE
from .pulls import REFUSED, Taken, answers_to_pulls, take_pull


class Wanted(NamedTuple):
    """What is to be taken: pull requests and issues by number, both by label; issues for `to`, else as tasks.

    `anyone` takes those of strangers, too.
    """

    pulls: Sequence[int] = ()
    issues: Sequence[int] = ()
    labels: Sequence[str] = ()
    to: str = ""
    as_tasks: bool = False
    anyone: bool = False


def take(context: Context, github: Github, wanted: Wanted, sender: str, troubles: Troubles) -> Iterator[Taken]:
    """Take what is wanted, and what was pushed to pull requests that were taken before; yield what became of each.

    What hinders one of them is kept in `troubles`. The caller holds the lock of `speaking`. Raises UsageError if nobody
    is named for an issue, ServiceError, GitError, LogError.
    """
    to = "" if wanted.as_tasks else context.mailbox.directory.checked(wanted.to or github.settings.to or sender)
    _check(context, github, wanted)
    issues, pulls = _listed(github, wanted)
    for number in dict.fromkeys((*wanted.pulls, *pulls)):
        with troubles.kept():
            yield take_pull(context, github, number, anyone=wanted.anyone, asked=number in wanted.pulls)
    for number in dict.fromkeys(wanted.issues):
        with troubles.kept():
            yield take_issue(context, github, github.issue(number), to, sender, anyone=wanted.anyone)
    for issue in issues:
        with troubles.kept():
            yield take_issue(context, github, issue, to, sender, anyone=wanted.anyone)
    seen = {*wanted.pulls, *pulls}
    for pull in read_forge(context.mailbox.projections, github.repo).last_pulls:
        if pull.number not in seen:
            with troubles.kept():
                yield _again(context, github, pull)


def _again(context: Context, github: Github, pull: TakenPull) -> Taken:
    """Take what was pushed to a pull request that was taken; of one that is gone, say so, as others wait behind it."""
    try:
        return take_pull(context, github, pull.number, asked=False)
    except ServiceError as error:
        if error.status not in GONE:
            raise
        return Taken("pull request", pull.number, REFUSED, pull.title, pull.author, str(error))


def answer(context: Context, github: Github, troubles: Troubles) -> list[int]:
    """Say at the forge what became of what was taken; return the numbers of those whose comment was written.

    What hinders one of them is kept in `troubles`. Raises ServiceError, LogError.
    """
    forge = read_forge(context.mailbox.projections, github.repo)
    written: list[int] = []
    for number, about, text in (*answers_to_pulls(context, forge), *answers_to_issues(context, forge)):
        with troubles.kept():
            written += [number] if say(context, github, forge, number, about, text) else []
    return written


def _check(context: Context, github: Github, wanted: Wanted) -> None:
    """Raise UsageError if issues are wanted and nobody is to have them."""
    if (wanted.issues or wanted.labels) and not (wanted.as_tasks or wanted.to or github.settings.to):
        names = ", ".join(sorted(persona.id for persona in context.roster.scheduled)) or "nobody is on the roster"
        raise UsageError(
            f"who is to have the issues? --to PERSONA ({names}), [github] to in team.toml, or --task for whoever claims"
        )


def _listed(github: Github, wanted: Wanted) -> tuple[list[Issue], list[int]]:
    """Return the issues with one of the labels that are not named, and the numbers of the pull requests."""
    found = {issue.number: issue for label in wanted.labels for issue in github.labelled(label)}
    issues = [issue for issue in found.values() if not issue.is_pull and issue.number not in wanted.issues]
    return issues, [issue.number for issue in found.values() if issue.is_pull]
