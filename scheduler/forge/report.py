"""What a pull request says of its sprints: who did what, what the gates say, what conflicted, what is not in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...mail.text.inert import inert
from ..context import Context
from ..kinds import PatchStatus
from ..landing.judging import gates_of
from ..state.facts import Patch, Sprint
from ..state.sprints import State
from .text import code, codes, marker

_SHORT = 12
_MOST = 50  # rows of a table
_ROOM = 60_000  # characters of what the team says; GitHub takes a body of 65,536
_REST = "\n\nThe rest does not fit here."
END = marker("end")
_LEFT = {
    PatchStatus.CONFLICTED: "it conflicts with what landed before it",
    PatchStatus.HELD: "it waits for a person's approval",
    PatchStatus.REFUSED: "it does something that no patch may do, or a person refused it",
    PatchStatus.REJECTED: "a gate fails with it",
    PatchStatus.DROPPED: "its run did not end well",
    PatchStatus.PENDING: "it waits to be woven",
}


def begin(sprint: Sprint) -> str:
    """Return the marker by which the pull request of a sprint is found again."""
    return marker(f"sprint {sprint.id}")


def title(sprint: Sprint, state: State) -> str:
    """Return the title of the pull request of a sprint."""
    names = list(dict.fromkeys(patch.persona for patch in _of(sprint, state) if patch.commit))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004
    return inert(f"Sprint {sprint.number}: {', '.join(names[:3])}{more}")


def section(context: Context, sprints: Sequence[tuple[Sprint, State]]) -> str:
    """Return what the team says in a pull request, from the marker of its first sprint to the last marker."""
    first = sprints[0][0]
    head = [
        begin(first),
        f"The work of a team of agents, from {code(first.base[:_SHORT])} of {code(first.base_branch)}.",
    ]
    parts = [
        "\n".join(["", f"### Sprint {sprint.number}", "", *_sprint(context, sprint, state)])
        for sprint, state in sprints
    ]
    return "\n".join([*head, *fitted(parts), END])


def fitted(parts: Sequence[str], room: int = _ROOM) -> list[str]:
    """Return as much of some parts as there is room for, in characters and whole lines, of the last ones first."""
    kept: list[str] = []
    for part in reversed(parts):
        whole = part if len(part) <= room else part[: room + 1].rpartition("\n")[0] + _REST
        room -= min(room, len(part))
        kept.append(whole)
        if not room:
            break
    return kept[::-1]


def _of(sprint: Sprint, state: State) -> list[Patch]:
    return [patch for patch in state.patches if patch.sprint == sprint.number]


def _sprint(context: Context, sprint: Sprint, state: State) -> Iterator[str]:
    patches = _of(sprint, state)
    landed = [patch for patch in patches if patch.status == PatchStatus.LANDED and patch.commit]
    yield "| who | what | commit |"
    yield "|---|---|---|"
    for patch in landed[:_MOST]:
        files = codes(patch.files).replace("|", r"\|")  # else it ends the cell, and with it the code span
        yield f"| {code(patch.persona)} | {files} | {str(patch.commit)[:_SHORT]} |"
    if len(landed) > _MOST:
        yield f"| | and {len(landed) - _MOST} more | |"
    yield ""
    yield f"**Gates:** {_gates(context, state, sprint)}"
    yield from _conflicts(state)
    yield from _left(patches, landed)


def _gates(context: Context, state: State, sprint: Sprint) -> str:
    """Say what the gates of the settings say of the tree at the end of a sprint."""
    tip = (sprint.commits or (sprint.base,))[-1]
    tree = context.git.line("rev-parse", "--verify", f"{tip}^{{tree}}")
    verdicts: list[str] = []
    for gate in gates_of(context):
        judged = state.judged.get((gate.mark, tree))
        passed = judged and judged.passed
        failed = judged and (judged.failed or judged.earlier)
        verdicts.append(f"{code(gate.name)} {'passes' if passed else 'fails' if failed else 'has not judged it'}")
    return ", ".join(verdicts) or "there are none"


def _conflicts(state: State) -> Iterator[str]:
    who = {run.id: run.persona for run in state.runs}
    pairs = [
        (who.get(first, "somebody"), who.get(second, "somebody"), files)
        for weave in state.weaves
        for first, second, files in weave.conflicts
    ]
    if not pairs:
        yield "**Conflicts:** none"
        return
    yield "**Conflicts:**"
    yield ""
    for first, second, files in pairs[:_MOST]:
        where = f" in {codes(files)}" if files else ", with both of which a gate fails"
        yield f"- {code(first)} with {code(second)}{where}"


def _left(patches: Sequence[Patch], landed: Sequence[Patch]) -> Iterator[str]:
    """Say whose last patch is not in it, and why."""
    done = {patch.persona: patch.seq for patch in landed}
    last = {patch.persona: patch for patch in patches}.values()
    left = [patch for patch in last if patch.status in _LEFT and done.get(patch.persona, -1) < patch.seq]
    if left:
        yield ""
        yield "**Not in it:**"
        yield ""
        for patch in left[:_MOST]:
            yield f"- {code(patch.persona)}, {codes(patch.files)}: {_LEFT[PatchStatus(patch.status)]}"
