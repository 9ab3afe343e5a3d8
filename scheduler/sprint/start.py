"""Before anything starts: the commit a new sprint starts from, and launches whose prompt cannot be rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...mail.directory import SCHEDULER
from ...mail.letter import Letter
from ...mail.log.event import Draft
from ...mail.render import line
from ...personas.git import Git
from ...personas.prompt import fault_of
from ...personas.setup.promised import fetch_differing
from ..context import Context
from ..errors import BranchLost
from ..hosts.regaining import regain_last
from ..landing.branch import standing
from ..state.facts import Sprint
from ..state.sprints import State
from ..weaver.commit import WEAVER
from .decide import ASKED
from .plan import Opening, Skip, TickPlan

_MOST = 20  # files that a mail names


def start_commit(context: Context, state: State, opening: Opening, base: str | None) -> str:
    """Return the commit that a new sprint starts from: the tip of its base branch, as a rule.

    A sprint that no person asked for goes on with the last sprint's branch if that has not landed yet, or else a team
    that runs by itself would do the same work again and again; if the base has moved since, both are merged. If they
    cannot be, it starts from the base, and the human is told. Raises NotReady if there is no such branch, GitError.
    """
    commit = context.base(base)
    last = state.sprints[-1] if state.sprints else None
    if last is None or opening.reason == ASKED or last.base_branch != (base or context.settings.team.base):
        return commit
    gone = context.git.run("rev-parse", "--verify", "--quiet", f"refs/heads/{last.branch}").returncode
    if gone and not regain_last(context, state, last):
        return commit  # deleted by somebody who has taken it, or does not want it
    try:
        tip = standing(context.git, last)[0]
    except BranchLost as lost:
        tip = lost.start
    if context.git.is_ancestor(tip, commit):
        return commit
    return tip if context.git.is_ancestor(commit, tip) else _merged(context, commit, tip, last)


def _merged(context: Context, commit: str, tip: str, last: Sprint) -> str:
    """Merge what a sprint has landed with its base, which has moved; return the merge, or the base if that has it all.

    It is the base as well if they conflict, which the human is told.
    """
    git, words = context.git, ("merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", commit, tip)
    ancestors = git.run("merge-base", "--all", commit, tip).stdout.decode().split()
    if not ancestors:  # somebody has begun the base anew
        context.append([_apart(context, commit, tip, last, ())])
        return commit
    for ancestor in ancestors:
        fetch_differing(git.directory, commit, ancestor)
        fetch_differing(git.directory, tip, ancestor)
    merged = git.run(*words)
    tree, *files = Git.output(words, merged, allowed=(0, 1)).decode(errors="surrogateescape").rstrip("\0").split("\0")
    if merged.returncode:
        context.append([_apart(context, commit, tip, last, files)])
        return commit
    if tree == git.line("rev-parse", f"{commit}^{{tree}}"):
        return commit
    who = f"{WEAVER} <{WEAVER}> {git.line('log', '-1', '--format=%ct', tip)} +0000"
    head = [f"tree {tree}", f"parent {commit}", f"parent {tip}", f"author {who}", f"committer {who}"]
    body = "\n".join([*head, "", f"Merge {last.branch} into {last.base_branch}", ""])
    return git("hash-object", "-t", "commit", "-w", "--stdin", stdin=body.encode()).decode().strip()


def _apart(context: Context, commit: str, tip: str, last: Sprint, files: Sequence[str]) -> Draft:
    """Return the mail that a sprint's work is left out, because it conflicts with what people did."""
    branch, base = last.branch, last.base_branch
    how = "conflicts with that in" if files else "has no commit in common with that"
    body = [
        f"{base} has moved to {commit[:12]}, and what sprint {last.number} landed on {branch} {how}",
        "",
        *(f"    {line(name)}" for name in files[:_MOST]),
        *([f"    and {len(files) - _MOST} more"] if len(files) > _MOST else []),
        *([""] if files else []),
        f"The next sprint starts from {base}, without that work. It stays on {branch}; to take it:",
        "",
        f"    git switch {base} && git merge {branch}",
    ]
    subject = f"{branch} conflicts with {base}, and is left out"
    key = f"apart {last.number} {commit} {tip}"
    letter = Letter(
        SCHEDULER, [context.settings.team.human], subject, "\n".join(body), type="escalate", priority="high", key=key
    )
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def set_faulty_aside(context: Context, plan: TickPlan) -> TickPlan:
    """Return the plan with first launches set aside, for the human, whose prompt cannot be rendered."""
    firsts = [context.persona(launch.persona) for launch in plan.launches if launch.attempt == 1]
    faults = {persona.id: fault for persona in firsts if (fault := fault_of(persona))}
    if not faults:
        return plan
    launches = tuple(launch for launch in plan.launches if launch.persona not in faults)
    starts = tuple(launch for launch in plan.starts if launch.persona not in faults)
    aside = (*plan.aside, *(Skip(*pair) for pair in faults.items()))
    return replace(plan, launches=launches, starts=starts, aside=aside)
