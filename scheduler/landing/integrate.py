"""From patches to a branch: weave what is pending and let the gates judge it; `record` writes it down.

Everything is computed in git's object store first. Then one append records all of it, mails included, and the branch
moves by compare-and-swap. After a crash before the append there is nothing to undo; `ensure_branch` completes a move
that a crash prevented.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...mail.render import listed
from ...personas.errors import GitError
from ...personas.git import Git
from ..claims.barring import guarded
from ..claims.decide import taken
from ..context import Context
from ..errors import BranchMoved
from ..kinds import PatchStatus
from ..meaning.notice import Notice, notices
from ..progress import Listener, Progress, silent
from ..state.facts import Patch, Sprint
from ..state.sprints import State
from ..weaver.patch import PatchSubmission
from ..weaver.result import Conflicted, Woven
from ..weaver.weave import weave
from .gate import GateResult
from .judging import Judging, gates_of
from .sift import Rejected, sift
from .signing import signed


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


def standing(context: Context, sprint: Sprint) -> tuple[str, str | None]:
    """Return the commit to continue from, and where the sprint's branch is if it has to be moved there.

    The branch is behind if a crash prevented its move. Commits that people put on top are kept. Raises BranchMoved.
    """
    expected = (sprint.commits or (sprint.base,))[-1]
    parsed = context.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{sprint.branch}")
    absent = "0" * len(expected)
    actual = parsed.stdout.decode().strip() if parsed.returncode == 0 else absent
    if actual == expected:
        return expected, None
    if actual in {absent, sprint.base, *sprint.commits}:
        return expected, actual
    if context.git.run("merge-base", "--is-ancestor", expected, actual).returncode == 0:
        return actual, None
    raise BranchMoved(
        f"{sprint.branch} is at {actual[:12]}, which does not contain {expected[:12]}, where the weaver left it; "
        f"put it back (git branch -f {sprint.branch} {expected[:12]}) or delete it"
    )


def ensure_branch(context: Context, sprint: Sprint) -> str:
    """Move the sprint's branch to where the log says it is; return the commit to continue from. Raises BranchMoved."""
    tip, behind = standing(context, sprint)
    if behind is not None:
        context.git("update-ref", "-m", "team-mail: go on", f"refs/heads/{sprint.branch}", tip, behind)
    return tip


def preview(context: Context, state: State, patches: Sequence[Patch], tip: str) -> Woven:
    """Weave as `integrate` would, without the gates, and keep none of the objects."""
    return _scratch_weave(context.git, tip, [submission(context, state, patch) for patch in patches])


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
    is left. Raises Stopped once `stop` is set while a gate is at work, GitError, LogError.
    """
    sprint = state.sprint
    assert sprint is not None  # noqa: S101 - a plan weaves only in a sprint
    tip = ensure_branch(context, sprint)
    submissions = [submission(context, state, patch) for patch in patches]
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
    outcome = sift(
        context.git, woven, submissions, gates, judging, state.judged, lambda rest: weave(context.git, tip, rest), stop
    )
    woven = signed(context.git, outcome.woven, context.settings.weaver.sign)
    return Integration(
        sprint, state.tick, woven, outcome.rejected, outcome.verdicts, outcome.red_before, outcome.unsteady,
        _dangling(context, woven),
    )  # fmt: skip


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
        f"{patch.task or patch.persona}: {listed(patch.files)}", patch.ts, persona.priority if persona else 0, earlier,
        persona.paths if persona else None, patch.approved,
        (("Team-Mail-Run", patch.run), ("Team-Mail-Head", f"{patch.seq}:{patch.hash}")),
        tuple((file, taken(claim)) for file, claim in guarded(context.claims.moment(), patch.files, patch.persona)),
    )  # fmt: skip
