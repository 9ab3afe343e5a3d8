"""Pull requests of others as patches: fetched, woven in the next sprint like anybody's, and told what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from ...mail.directory import SCHEDULER
from ...mail.log.event import Draft, derived_id
from ...personas.errors import GitError
from ..context import Context
from ..kinds import Kind, PatchStatus
from ..state.facts import Fact, Patch
from ..state.pulls import pull_name
from .entering import Entered, read_entered
from .facts import Forge, TakenPull, read_forge
from .github import Github, Pull
from .text import code, codes, login, one_line
from .transport import fetch, remote_of

_SHORT, _SAID = 12, 600
TAKEN, UNCHANGED, REFUSED, WITHDRAWN = "taken", "unchanged", "refused", "withdrawn"


class Taken(NamedTuple):
    """What became of a pull request or an issue: "taken", "unchanged", "refused" or "withdrawn", and why."""

    kind: str
    number: int
    action: str
    title: str = ""
    author: str = ""
    why: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether it was not taken."""
        return self.action == REFUSED

    @property
    def is_news(self) -> bool:
        """Whether it was taken just now, or withdrawn."""
        return self.action in {TAKEN, WITHDRAWN}

    def document(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return self._asdict()


def stranger(author: str, association: str, context: Context) -> str:
    """Say why somebody at the forge may not make work for the team, "" if they may."""
    authors = context.settings.github.authors
    if association in authors:
        return ""
    return (
        f"{login(author)} is {one_line(association) or 'nobody'} there, and only {', '.join(authors)} may make work; "
        "--anyone takes it all the same"
    )


def take_pull(context: Context, github: Github, number: int, *, anyone: bool = False, asked: bool = True) -> Taken:
    """Take what a pull request has now, to be woven in the open sprint or the next one.

    With `asked`, what was woven before, and did not land or landed in another sprint, is taken again. One that git
    cannot fetch, or does not believe, is refused with git's own words. Raises ServiceError, LogError, and GitError if
    the base there cannot be fetched either.
    """
    pull, forge = github.pull(number), read_forge(context.mailbox.projections, github.repo)
    before = forge.pulls.get(number, ())
    action, why = _settled(context, github, forge, pull, anyone=anyone, asked=asked)
    if action == WITHDRAWN:
        _put(context, github, pull, "", len(before))
    if not action:
        head, why = _fetched(context, github, number)
        is_known = before and before[-1].head == head and not (asked and _is_over(context, before[-1]))
        action = REFUSED if why else UNCHANGED if is_known else TAKEN
        if action == TAKEN:
            _put(context, github, pull, head, len(before))
    return Taken("pull request", number, action, one_line(pull.title), login(pull.author), why)


def _settled(
    context: Context, github: Github, forge: Forge, pull: Pull, *, anyone: bool, asked: bool
) -> tuple[str, str]:  # fmt: skip
    """Return what becomes of a pull request whatever it holds now, and why; "" if that has to be looked at."""
    before = forge.pulls.get(pull.number, ())
    if any(each.number == pull.number for each in forge.published.values()):
        return UNCHANGED, "it is the team's own"
    if not pull.is_open:
        why = "it is merged" if pull.is_merged else "it is closed"
        return WITHDRAWN if before and before[-1].head else REFUSED, why
    if before and before[-1].head == pull.head and not asked:
        return UNCHANGED, ""
    why = _refusal(context, github, pull, anyone=anyone)
    return REFUSED if why else "", why


def _refusal(context: Context, github: Github, pull: Pull, *, anyone: bool) -> str:
    into = github.settings.base or context.settings.team.base
    if pull.base != into:
        return f"it goes into {one_line(pull.base)}, and the team works on {into}"
    if context.roster.get(pull_name(pull.number)):
        return f"a persona is called {pull_name(pull.number)}: rename it"
    return "" if anyone else stranger(pull.author, pull.association, context)


def _fetched(context: Context, github: Github, number: int) -> tuple[str, str]:
    """Fetch a pull request; return its commit, and why that cannot be woven here.

    The base is fetched first, so that what hinders git afterwards is something about this pull request alone.
    """
    remote, into = remote_of(context, github), github.settings.base or context.settings.team.base
    theirs = fetch(remote, f"refs/heads/{into}", f"refs/team-mail/github/{into}")
    try:
        head = fetch(remote, f"refs/pull/{number}/head", f"refs/pull/{number}/head")
        return head, _ahead(context, into, theirs, head)
    except GitError as error:
        return "", one_line(error, _SAID)


def _ahead(context: Context, into: str, theirs: str, head: str) -> str:
    """Say why a commit cannot be woven onto what is here, "" if it can: it stands on commits that are not here."""
    git, base = context.git, context.base()
    common = git.run("merge-base", theirs, head)
    if common.returncode:
        return f"it has no commit in common with {into}"
    start = common.stdout.decode().strip()
    if not git.is_ancestor(start, base):
        return f"it stands on {start[:_SHORT]} of {into}, which is not here yet: git pull, then take it again"
    return ""


def _is_over(context: Context, pull: TakenPull) -> bool:
    """Tell whether what was taken has been woven, and is not on the branch of the open sprint."""
    entered = read_entered(context, [pull])
    run = entered.run_of(pull)
    patch = entered.state.patch(run.id) if run else None
    if run is None or patch is None or patch.status in {PatchStatus.PENDING, PatchStatus.HELD}:
        return False
    sprint = context.state(whole=False).sprint
    landed = patch.status in {PatchStatus.LANDED, PatchStatus.PRESENT}
    return not (landed and sprint and run.sprint == sprint.number)


def _put(context: Context, github: Github, pull: Pull, head: str, count: int) -> None:
    own = derived_id(Kind.GITHUB_PULL, github.repo, str(pull.number), head, str(count))
    data = {
        "repo": github.repo, "number": pull.number, "head": head, "author": login(pull.author),
        "title": one_line(pull.title), "url": one_line(pull.url), "key": own,
    }  # fmt: skip
    context.append([Draft(Kind.GITHUB_PULL, SCHEDULER, data=data, id=own)])


def answers_to_pulls(context: Context, forge: Forge) -> Iterator[tuple[int, str, str]]:
    """Yield what a comment below each pull request is to say of it: its number, the comment's key, the text."""
    entered = read_entered(context, forge.last_pulls)
    for pull in forge.last_pulls:
        if text := outcome(entered, pull):
            yield pull.number, f"pull {pull.number}", text


def outcome(entered: Entered, pull: TakenPull) -> str:
    """Return what is said of a pull request that was woven, "" as long as it was not."""
    run = entered.run_of(pull)
    if run is None:
        return ""
    patch, branch = entered.state.patch(run.id), f"team/sprint-{run.sprint}"
    head = f"{code(pull.head[:_SHORT])} in sprint {run.sprint} of the team"
    if patch is None:
        return f"There was nothing to weave of {head}: all of it is in the base."
    said = _said(entered, patch, branch)
    return f"{said} ({head})" if said else ""


def _said(entered: Entered, patch: Patch, branch: str) -> str:
    if patch.status == PatchStatus.LANDED:
        return f"Landed as {code(str(patch.commit)[:_SHORT])} on {code(branch)}."
    if patch.status == PatchStatus.PRESENT:
        return f"All that it changes is on {code(branch)} already."
    if patch.status == PatchStatus.CONFLICTED:
        files = next((_files(fact) for fact in reversed(entered.facts) if _is_conflict(fact, patch)), list[str]())
        where = f" in {codes(files)}" if files else ""
        return (
            f"Not landed: it conflicts{where} with what landed on {code(branch)} before it. "
            "Push a commit that goes with that, and it is woven again."
        )
    if patch.status == PatchStatus.REJECTED:
        gate = code(patch.why.removeprefix("gate "))
        return f"Not landed: the gate {gate} fails with it. Push a commit with which it passes; it is woven again."
    if patch.status == PatchStatus.REFUSED:
        return f"Not landed, refused: {code(patch.why)}. Push a commit without that, and it is woven again."
    return f"It waits for a person's approval: {code(patch.why)}." if patch.status == PatchStatus.HELD else ""


def _files(fact: Fact) -> list[str]:
    files = fact.data.get("files")
    return [str(file) for file in cast("list[Any]", files)] if isinstance(files, list) else []


def _is_conflict(fact: Fact, patch: Patch) -> bool:
    return fact.kind == Kind.PATCH_CONFLICTED and fact.ref == patch.run
