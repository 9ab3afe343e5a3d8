"""From patches to a branch: weave what is pending and let the gates judge it; `record` writes it down.

Everything is computed in git's object store first. Then one append records all of it, mails included, and the branch
moves by compare-and-swap. After a crash before the append there is nothing to undo; `ensure_branch` of `branch`
completes a move that a crash prevented.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...mail.render import listed
from ...mail.text.inert import inert
from ...personas.errors import GitError
from ...personas.git import Git
from ...personas.setup.promised import fetch_differing
from ..claims.barring import guarded
from ..claims.decide import taken
from ..context import Context
from ..kinds import PatchStatus
from ..meaning.notice import Notice, notices
from ..progress import Listener, Progress, silent
from ..state.facts import Patch, Sprint
from ..state.sprints import State
from ..weaver.commit import RUN_TRAILER
from ..weaver.patch import PatchSubmission
from ..weaver.result import Conflicted, Present, Woven
from ..weaver.weave import weave
from .branch import ensure_branch, keep, open_sprint
from .gate import GateResult
from .judging import Judging, gates_of
from .sift import Rejected, sift
from .signing import signed

_MOST = 10_000  # commits of others that are looked at


@dataclass(frozen=True)
class Integration:
    """One weave of a sprint's pending patches, judged but not yet on record.

    `to` maps a patch's run to who gets the mail about it, if that is not its author.
    """

    sprint: Sprint
    tick: int
    woven: Woven
    rejected: tuple[Rejected, ...] = ()
    verdicts: tuple[GateResult, ...] = ()
    red_before: tuple[GateResult, ...] = ()
    unsteady: tuple[GateResult, ...] = ()
    dangling: tuple[Notice, ...] = ()
    to: Mapping[str, str] = field(default_factory=dict[str, str])

    def addressee(self, submission: PatchSubmission) -> str:
        """Return who gets the mail about a patch."""
        return self.to.get(submission.key, submission.persona)


@dataclass(frozen=True)
class PatchesWoven(Progress):
    """A weave is on record."""

    integration: Integration


def preview(context: Context, state: State, patches: Sequence[Patch], tip: str) -> Woven:
    """Weave as `integrate` would, without the gates, and keep none of the objects; what a partial clone lacks stays.

    Raises GitError, LogError, PromiseBroken.
    """
    there = _of_others(context, state.sprint, tip) if state.sprint else frozenset[str]()
    submissions = [submission(context, state, patch) for patch in patches if patch.run not in there]
    woven = _scratch_weave(context.git, tip, submissions)
    present = (Present(submission(context, state, patch), patch.files) for patch in patches if patch.run in there)
    return replace(woven, present=(*woven.present, *present))


def _scratch_weave(git: Git, tip: str, submissions: Sequence[PatchSubmission]) -> Woven:
    with tempfile.TemporaryDirectory(prefix="team-mail-") as scratch:
        return weave(git.using(objects=Path(scratch)), tip, submissions)


def integrate(  # noqa: PLR0917 - the whole of a tick's knowledge
    context: Context,
    state: State,
    patches: Sequence[Patch],
    stop: threading.Event | None = None,
    listener: Listener = silent,
    at_once: Callable[[Integration], object] | None = None,
) -> Integration:
    """Weave patches onto the open sprint's branch and have the gates judge the result.

    No branch is moved, and only what gates did is written, as they do it: what they judged is known after a crash.
    Before they begin, `at_once` is given what they can change nothing of, to be recorded by itself; the result is what
    is left. Raises Stopped once `stop` is set while a gate is at work, BranchLost, BranchMoved, GitError, LogError,
    PromiseBroken.
    """
    sprint = open_sprint(state)
    tip = ensure_branch(context, sprint)
    there = _of_others(context, sprint, tip)
    submissions = [submission(context, state, patch) for patch in patches if patch.run not in there]
    done = _judged(context, state, tip, submissions, stop, listener, at_once)
    present = (Present(submission(context, state, patch), patch.files) for patch in patches if patch.run in there)
    return replace(done, woven=replace(done.woven, present=(*done.woven.present, *present)))


def _of_others(context: Context, sprint: Sprint, tip: str) -> frozenset[str]:
    """Return the runs whose patches the branch has by commits that the log does not know: they would land twice.

    Others may have rebased it, or the log has lost what it said of them. What they put there is fetched if a partial
    clone lacks it.
    """
    if tip == sprint.tip and not sprint.lost:
        return frozenset()
    began = sprint.origin or sprint.base
    known = context.git.has_commit(began)
    if known:
        fetch_differing(context.git.directory, tip, began)
    layout = f"--format=%(trailers:key={RUN_TRAILER},valueonly,separator=%x20)"
    bounds = (f"^{began}",) if known else ()
    return frozenset(context.git.line("log", f"--max-count={_MOST}", layout, tip, *bounds, "--").split())


def _judged(  # noqa: PLR0917 - the whole of a tick's knowledge
    context: Context,
    state: State,
    tip: str,
    submissions: Sequence[PatchSubmission],
    stop: threading.Event | None,
    listener: Listener,
    at_once: Callable[[Integration], object] | None,
) -> Integration:
    """Weave patches onto a commit, and have the gates judge the result."""
    sprint = open_sprint(state)
    woven = weave(context.git, tip, submissions)
    gates = gates_of(context)
    if not gates or not woven.landed:
        woven = signed(context.git, woven, context.settings.weaver.sign)
        return Integration(sprint, state.tick, woven, dangling=_dangling(context, woven))

    if at_once and (certain := _certain(context.git, woven)):
        at_once(Integration(sprint, state.tick, certain))
        decided = {each.submission.key for each in (*certain.conflicted, *certain.refused, *certain.held)}
        conflicted = tuple(each for each in woven.conflicted if each.submission.key not in decided)
        woven = replace(woven, conflicted=conflicted, refused=(), held=())
        submissions = [each for each in submissions if each.key not in decided]
    judging = Judging(context, sprint, state.tick, listener)

    def again(rest: Sequence[PatchSubmission]) -> Woven:
        return _kept(context, sprint, weave(context.git, tip, rest))

    _kept(context, sprint, woven)
    outcome = sift(context.git, woven, submissions, gates, judging, state.judged, again, stop)
    woven = _kept(context, sprint, signed(context.git, outcome.woven, context.settings.weaver.sign))
    return Integration(
        sprint, state.tick, woven, outcome.rejected, outcome.verdicts, outcome.red_before, outcome.unsteady,
        _dangling(context, woven),
    )  # fmt: skip


def _kept(context: Context, sprint: Sprint, woven: Woven) -> Woven:
    """Keep a weave from being pruned while gates judge it, which may take long."""
    if woven.landed:
        keep(context, sprint.branch, sprint.base, woven.tip, judged=False)
    return woven


def _certain(git: Git, woven: Woven) -> Woven | None:
    """Return what is so whatever gates say: who conflicts with what had landed before, is refused or held."""
    new = {file for landed in woven.landed for file in landed.files}
    conflicted: list[Conflicted] = []
    for each in woven.conflicted:
        if new.isdisjoint(hunk.file for hunk in each.hunks):
            conflicted.append(replace(each, tip=woven.start))
        else:  # is it the same conflict without what the gates are to judge?
            alone = _scratch_weave(git, woven.start, [each.submission]).conflicted
            conflicted += (again for again in alone if again.signature == each.signature)
    outcome = Woven(woven.start, woven.start, (), tuple(conflicted), woven.refused, woven.held)
    return outcome if conflicted or woven.refused or woven.held else None


def _dangling(context: Context, woven: Woven) -> tuple[Notice, ...]:
    """Look for names that are gone and still used; a look that fails is none, because nothing depends on it."""
    with suppress(GitError):
        return notices(context.git, woven)
    return ()


def submission(context: Context, state: State, patch: Patch) -> PatchSubmission:
    """Submit a captured patch to the weaver: the paths it may touch, its age, which files others have claimed."""
    persona = context.roster.get(patch.persona)
    earlier = sum(p.persona == patch.persona and p.status == PatchStatus.CONFLICTED for p in state.patches)
    return PatchSubmission(
        patch.run, patch.persona, patch.base, context.mailbox.blobs.read(patch.sha256), patch.seq,
        inert(f"{patch.task or patch.persona}: {listed(patch.files)}"), patch.ts,
        persona.priority if persona else 0, earlier,
        persona.paths if persona else None, patch.approved,
        ((RUN_TRAILER, patch.run), ("Team-Mail-Head", f"{patch.seq}:{patch.hash}")),
        tuple((file, taken(claim)) for file, claim in guarded(context.claims.moment(), patch.files, patch.persona)),
    )  # fmt: skip
