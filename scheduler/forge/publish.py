"""A sprint as a pull request: its branch is pushed, one pull request is opened, and kept up to date in its place.

Each step can be repeated. A pull request is found again by its number on record, else by its branch and a marker in its
body, so that whoever is killed between opening it and putting that on record opens no second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from ...mail.directory import SCHEDULER
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...personas.errors import ServiceError
from ..context import Context
from ..errors import BranchMoved, NoSuchRun
from ..kinds import Kind
from ..leader import Leader
from ..state.facts import Sprint
from ..state.reading import read_spans
from ..state.sprints import State
from . import report
from .facts import Forge, Published, read_forge
from .github import Github, Pull
from .kinds import CLOSED, MERGED, OPENED, UNCHANGED, UPDATED
from .text import between, one_line
from .transport import push, remote_of

_INVALID = 422
_TAKEN = "another process of this team speaks with the forge"


@dataclass(frozen=True)
class PublishedSprint:
    """What became of a sprint's pull request: "opened", "updated", "unchanged", "merged" or "closed"."""

    sprint: int
    number: int
    url: str
    branch: str
    commit: str
    action: str

    def document(self) -> dict[str, Any]:
        """Return all values as a JSON object."""
        return dict(vars(self))


def speaking(context: Context) -> Leader:
    """Return the lock of the one process that speaks with the forge. Raises NotLeader where it is entered."""
    return Leader(context.home / "work" / "github", _TAKEN)


def publish(context: Context, github: Github, number: int | None = None) -> PublishedSprint:
    """Publish a sprint, the last one by default; the caller holds the lock of `speaking`.

    Raises NoSuchRun if there is nothing to publish; BranchMoved if the branch at the forge has commits of others, and
    somebody else's pull request is there, of which the human is told by mail as well; ServiceError, GitError, LogError.
    """
    sprint, state, commit = _sprint(context, number)
    forge = read_forge(context.mailbox.projections, github.repo)
    known = forge.published.get(sprint.id) or _continued(context, forge, sprint)
    branch = known.branch if known else sprint.branch
    try:
        return _published(context, github, sprint, state, commit, known, branch)
    except BranchMoved as error:
        own = derived_id(Kind.GITHUB_REFUSED, github.repo, sprint.id, commit, str(error), known.commit if known else "")
        data = {"repo": github.repo, "sprint": sprint.number, "id": sprint.id, "why": str(error)}
        tell(
            context, f"Sprint {sprint.number} is not published", str(error), f"unpublished {sprint.id} {error}",
            Draft(Kind.GITHUB_REFUSED, SCHEDULER, data=data, id=own),
        )  # fmt: skip
        raise


def _published(  # noqa: PLR0917
    context: Context, github: Github, sprint: Sprint, state: State, commit: str, known: Published | None, branch: str
) -> PublishedSprint:  # fmt: skip
    pull = _find(github, known, branch, report.begin(sprint), sprint.number)
    if pull and known and known.id != sprint.id and not pull.is_open:  # that is over, and this one begins its own
        put_end(context, github, known, _outcome(pull))
        return _published(context, github, sprint, state, commit, None, sprint.branch)
    if pull and not pull.is_open:
        return _ended(context, github, sprint, known, pull, commit)
    remote = remote_of(context, github)
    pushed = push(remote, commit, branch, sprint.number)
    said = report.section(context, [*_earlier(context, known, sprint), (sprint, state)])
    first = said.partition("\n")[0]
    if pull is None:
        into = github.settings.base or context.settings.team.base
        pull, action = _opened(github, sprint, report.title(sprint, state), said, branch, into), OPENED
    else:
        body = between(pull.body.replace("\r\n", "\n"), first, report.END, said)
        changed = body != pull.body.replace("\r\n", "\n")
        pull = github.change_pull(pull.number, body) if changed else pull
        action = UPDATED if changed or pushed else UNCHANGED
    _put(context, github, sprint, pull, branch, commit, said, known)
    return PublishedSprint(sprint.number, pull.number, pull.url, branch, commit, action)


def _put(  # noqa: PLR0917
    context: Context, github: Github, sprint: Sprint, pull: Pull, branch: str, commit: str, said: str,
    known: Published | None,
) -> None:  # fmt: skip
    digest = sha256(said.encode()).hexdigest()
    data = {
        "repo": github.repo, "sprint": sprint.number, "id": sprint.id, "number": pull.number,
        "url": one_line(pull.url), "branch": branch, "commit": commit, "digest": digest,
    }  # fmt: skip
    times = str(known.times if known else 0)
    own = derived_id(Kind.GITHUB_PUBLISHED, github.repo, str(pull.number), sprint.id, commit, digest, times)
    context.append([Draft(Kind.GITHUB_PUBLISHED, SCHEDULER, data=data, id=own)])


def _sprint(context: Context, number: int | None) -> tuple[Sprint, State, str]:
    """Return a sprint, its state, and the commit that its branch is at. Raises NoSuchRun."""
    sprint, state = read_sprint(context, number)
    if not sprint.commits:
        raise NoSuchRun(f"sprint {sprint.number} landed nothing; there is nothing to publish")
    parsed = context.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{sprint.branch}^{{commit}}")
    if parsed.returncode:
        raise NoSuchRun(f"{sprint.branch} is gone: git branch {sprint.branch} {sprint.commits[-1][:12]} brings it back")
    commit = parsed.stdout.decode().strip()
    behind = commit in {sprint.base, *sprint.commits}  # as one that is checked out with changes may be
    return sprint, state, sprint.tip if behind else commit


def read_sprint(context: Context, number: int | None) -> tuple[Sprint, State]:
    """Return a sprint, the last one by default, and its state. Raises NoSuchRun."""
    spans = read_spans(context.mailbox.projections, 1, None if number is None else number + 1)
    if not spans or number not in {None, spans[0].number}:
        raise NoSuchRun(
            f"no sprint {number}; scheduler history lists them" if number else "no sprint yet; run scheduler sprint"
        )
    state = context.sprints(spans)
    sprint = next(each for each in state.sprints if each.number == spans[0].number)
    return sprint, state


def _continued(context: Context, forge: Forge, sprint: Sprint) -> Published | None:
    """Return the open pull request of an earlier sprint that this one goes on with: it began with what is in that."""
    for each in sorted(forge.open, key=lambda each: -each.sprint):
        goes_on = context.git.is_ancestor(each.commit, sprint.base)
        if each.sprint < sprint.number and goes_on and not _is_in_base(context, each.commit):
            return each
    return None


def _is_in_base(context: Context, commit: str) -> bool:
    """Tell whether the team's base has a commit by now, so that a sprint from there is about something else."""
    base = f"refs/heads/{context.settings.team.base}"
    return context.git.is_ancestor(commit, base)


def _earlier(context: Context, known: Published | None, sprint: Sprint) -> Iterator[tuple[Sprint, State]]:
    for number in known.sprints if known else ():
        if number < sprint.number:
            yield read_sprint(context, number)


def _find(github: Github, known: Published | None, branch: str, mark: str, sprint: int) -> Pull | None:
    """Find the pull request of a sprint at the forge. Raises BranchMoved for one from its branch that is not ours."""
    if known:
        return github.pull(known.number)
    pulls = github.pulls_of(branch)
    own = [pull for pull in pulls if mark in pull.body]
    if other := next((pull for pull in pulls if pull.is_open and pull not in own), None):
        raise BranchMoved(
            f"pull request {other.number} from {branch} was not opened by this sprint; close it there, or rename its "
            f"branch, then scheduler publish {sprint}"
        )
    return next((pull for pull in own if pull.is_open), own[0] if own else None)


def _opened(github: Github, sprint: Sprint, title: str, body: str, branch: str, into: str) -> Pull:  # noqa: PLR0917
    try:
        return github.open_pull(title, body, branch, into)
    except ServiceError as error:
        if error.status == _INVALID and "No commits between" in str(error):
            raise NoSuchRun(f"{into} at the forge has all of sprint {sprint.number}; nothing to publish") from None
        may_be_there = error.status == _INVALID or error.was_sent
        pull = _find(github, None, branch, report.begin(sprint), sprint.number) if may_be_there else None
        if pull is None:
            raise
        return pull


def _ended(  # noqa: PLR0917
    context: Context, github: Github, sprint: Sprint, known: Published | None, pull: Pull, commit: str
) -> PublishedSprint:
    """Put the end of a pull request on record, and tell the human of one that was closed."""
    outcome = _outcome(pull)
    branch = known.branch if known else pull.branch
    if known is None:  # it was opened and its end came before that was put on record
        _put(context, github, sprint, pull, branch, commit, "", None)
    put_end(context, github, known or _unrecorded(sprint, pull, commit), outcome)
    return PublishedSprint(sprint.number, pull.number, pull.url, branch, commit, outcome)


def _outcome(pull: Pull) -> str:
    return MERGED if pull.is_merged else CLOSED


def _unrecorded(sprint: Sprint, pull: Pull, commit: str) -> Published:
    return Published(sprint.number, sprint.id, pull.number, pull.url, pull.branch, commit, "", (sprint.number,))


def put_end(context: Context, github: Github, published: Published, outcome: str) -> None:
    """Put on record that the pull request of a sprint is over; the human is told of one that was not merged."""
    if published.outcome == outcome:
        return
    number, sprint = published.number, published.sprint
    data = {"repo": github.repo, "sprint": sprint, "number": number, "outcome": outcome}
    own = derived_id(Kind.GITHUB_ENDED, github.repo, str(number), str(published.times))
    if outcome == CLOSED:
        why = (
            f"Pull request {number} of sprint {sprint} was closed without being merged: {published.url}\n\n"
            f"Read there why. What it had stays on {published.branch}. To go on with it, reopen it there, then:\n\n"
            f"    scheduler publish {sprint}\n"
        )
        key = f"closed {github.repo} {number} {published.times}"
        tell(context, f"Pull request {number} of sprint {sprint} was closed", why, key)
    context.append([Draft(Kind.GITHUB_ENDED, SCHEDULER, data=data, id=own)])


def tell(context: Context, subject: str, body: str, key: str, *events: Draft) -> None:
    """Write to the human about what only a person can settle, once for each key; and the events that say the same."""
    letter = Letter(
        SCHEDULER, [context.settings.team.human], subject, body, type="escalate", priority="high", key=f"github {key}"
    )
    context.append([letter.draft(context.mailbox.directory, context.mailbox.blobs), *events])


def unpublished(context: Context, forge: Forge) -> Sequence[int]:
    """Return the number of the last sprint if it has ended, landed something and is not published as it is."""
    spans = read_spans(context.mailbox.projections, 1)
    state = context.sprints(spans) if spans else State()
    last = state.sprints[-1] if state.sprints else None
    if last is None or not last.outcome or not last.commits:
        return ()
    known = forge.published.get(last.id)
    done = known and (known.outcome or known.commit == last.commits[-1])
    return () if done else (last.number,)
