"""Pull requests that were taken enter the open sprint: each as a run that has ended, with a patch like anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...mail.directory import SCHEDULER
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...personas.errors import GitError, PromiseBroken
from ...personas.git import Git
from ...personas.kinds import OutcomeStatus
from ...personas.setup.promised import fetch_differing
from ...personas.spending.usage import NO_MODEL
from ..context import Context
from ..kinds import Kind, LaunchReason, PatchStatus, RunStatus
from ..landing.manual import patch_between
from ..leader import myself
from ..state.facts import Fact, Run
from ..state.fold import fold
from ..state.pulls import pull_name
from ..state.reading import read_about
from ..state.sprints import State
from .facts import TakenPull, read_forge
from .text import quoted

AGENT = "pull-request"  # what plays it, in the events of its run
_MOST_FILES, _SHORT = 500, 12


class Entered(NamedTuple):
    """What became of the pull requests that were taken: the facts about their runs, and the state that they make."""

    facts: tuple[Fact, ...]
    state: State

    def run_of(self, pull: TakenPull) -> Run | None:
        """Return the run as which a pull request entered a sprint, None if it has not."""
        own = run_id(pull)
        return next((run for run in self.state.runs if run.id == own), None)


def run_id(pull: TakenPull) -> str:
    """Return the id of the run as which a pull request enters a sprint."""
    return derived_id("github run", pull.event)


def read_entered(context: Context, pulls: Iterable[TakenPull]) -> Entered:
    """Read what became of what was taken."""
    taken = [each for each in pulls if each.head]
    if not taken:
        return Entered((), State())
    facts = read_about(context.mailbox.projections, [*map(run_id, taken)], min(each.seq for each in taken))
    return Entered(tuple(facts), fold(facts))


def entries(context: Context, state: State, unreadable: set[str]) -> list[Draft]:
    """Return the events by which what was taken, and has not entered a sprint yet, enters the open one.

    What was pushed to a pull request waits until what it was before is woven. Of one whose events were cut off by a
    crash all are returned again, of which the log writes those that are missing. One that git cannot read is told to
    the human and added to `unreadable`; what is in there is left out.
    """
    repo = context.settings.github.repo
    if state.sprint is None or not repo:
        return []
    forge = read_forge(context.mailbox.projections, repo)
    entered = read_entered(context, forge.last_pulls)
    drafts: list[Draft] = []
    for pull in due(forge.last_pulls, entered, state):
        if pull.event not in unreadable:
            try:
                drafts += _entry(context, state, pull, entered.run_of(pull), forge.pulls[pull.number])
            except (GitError, PromiseBroken) as error:
                unreadable.add(pull.event)
                drafts.append(_told(context, pull, error))
    return drafts


def _told(context: Context, pull: TakenPull, error: GitError | PromiseBroken) -> Draft:
    """Tell the human of a pull request that git cannot read, once; the others go on."""
    name = f"pull request {pull.number}"
    body = [
        f"{pull.author}'s {name} was taken at {pull.head[:_SHORT]}, and git cannot read what it changes:",
        "",
        quoted(error),
        "",
        "The others are woven without it, and the next sprint tries it again. This fetches it again:",
        "",
        f"    scheduler take --pr {pull.number}",
    ]
    letter = Letter(
        SCHEDULER, [context.settings.team.human], f"{name} cannot be woven", "\n".join(body), type="escalate",
        priority="high", key=f"github unreadable {pull.event}",
    )  # fmt: skip
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def announced(context: Context) -> list[str]:
    """Say, a line each, which pull requests will enter the open sprint, or the next one."""
    repo = context.settings.github.repo
    pulls = read_forge(context.mailbox.projections, repo).last_pulls if repo else ()
    waiting = due(pulls, read_entered(context, pulls), context.state(whole=False)) if pulls else []
    return [f"pull request {pull.number} was taken, and is woven as {pull_name(pull.number)}" for pull in waiting]


def due(pulls: Iterable[TakenPull], entered: Entered, state: State) -> list[TakenPull]:
    """Return what is to enter the open sprint, or has done so by half."""
    ended = {run.id for run in state.runs if run.status != RunStatus.OPEN}
    waiting = {patch.persona for patch in state.patches if patch.status == PatchStatus.PENDING and patch.run in ended}
    chosen: list[TakenPull] = []
    for pull in pulls:
        run = entered.run_of(pull)
        is_half = run is not None and run.status == RunStatus.OPEN and run.sprint == state.number
        if is_half or (run is None and pull_name(pull.number) not in waiting):
            chosen.append(pull)
    return chosen


def _entry(
    context: Context, state: State, pull: TakenPull, begun: Run | None, taken: Sequence[TakenPull]
) -> list[Draft]:  # fmt: skip
    git, tip, name = context.git, state.tip or "HEAD", pull_name(pull.number)
    base = begun.base if begun else _landed_before(git, state, pull, taken) or _merge_base(git, tip, pull.head)
    if not base or not git.has_commit(pull.head):  # gone; taking it fetches it again
        return []
    fetch_differing(git.directory, base, pull.head)
    run, patch = run_id(pull), patch_between(git, base, pull.head)
    whose = {"persona": name, "agent": AGENT}
    earlier = sum((each.persona, each.sprint) == (name, state.number) and each.id != run for each in state.runs)
    started: dict[str, Any] = {
        "sprint": state.number, **whose, "attempt": 1 + earlier, "tick": state.tick, "base": base,
        "reason": LaunchReason.PULL, "mail": [], "supervisor": myself(),
    }  # fmt: skip
    ended = {
        "sprint": state.number, **whose, "status": OutcomeStatus.OK, "exit": 0, "seconds": 0.0, "detail": "",
        "cut": False, "usage": NO_MODEL.document(),
    }  # fmt: skip
    drafts = [_draft(Kind.RUN_STARTED, run, started)]
    if patch:
        data = {"sprint": state.number, "persona": name, **_change(context, git, base, pull.head, patch)}
        drafts.append(_draft(Kind.PATCH_CAPTURED, run, data))
    return [*drafts, _draft(Kind.RUN_FINISHED, run, ended)]


def _draft(kind: Kind, run: str, data: Mapping[str, Any]) -> Draft:
    return Draft(kind, SCHEDULER, run=run, data=dict(data), id=derived_id(kind, run))


def _change(context: Context, git: Git, base: str, head: str, patch: bytes) -> dict[str, Any]:
    rows = git("diff-tree", "-r", "-z", "--numstat", "--no-renames", base, head).decode(errors="backslashreplace")
    cells = [row.split("\t") for row in rows.split("\0") if row]
    counts = [[int(cell) if cell.isdecimal() else 0 for cell in row[:2]] for row in cells]
    return {
        "patch": context.mailbox.blobs.put(patch)._asdict(),
        "files": [row[2] for row in cells][:_MOST_FILES],
        "insertions": sum(row[0] for row in counts),
        "deletions": sum(row[1] for row in counts),
    }


def _landed_before(git: Git, state: State, pull: TakenPull, taken: Sequence[TakenPull]) -> str | None:
    """Return the last commit of a pull request that is on the sprint's branch, if what it has now goes on from that."""
    done = {PatchStatus.LANDED, PatchStatus.PRESENT}
    landed = {patch.run for patch in state.patches if patch.status in done and patch.sprint == state.number}
    for earlier in reversed(taken):
        if earlier.head and earlier.head != pull.head and run_id(earlier) in landed:
            goes_on = git.is_ancestor(earlier.head, pull.head)
            return earlier.head if goes_on else None
    return None


def _merge_base(git: Git, tip: str, head: str) -> str:
    found = git.run("merge-base", tip, head)
    return found.stdout.decode().strip() if found.returncode == 0 else ""
