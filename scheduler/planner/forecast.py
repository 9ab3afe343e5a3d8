"""A roadmap for the next sprint, forecast from past ones: the same personas, files and durations.

It is read from the log alone, so it is only as good as the team's past sprints.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from ...mail.text.globs import escape
from ...mail.text.units import counted
from ..errors import NotReady
from ..kinds import PatchStatus, RunStatus
from ..state.facts import Patch, Run
from ..state.sprints import State
from .item import Item, Phase, Roadmap

_AGAIN = "Do the work of your role, as in the sprints before this one."
LATEST = 5  # patches of a persona from which its files are taken


def from_sprint(state: State, personas: Collection[str] | None = None) -> Roadmap:
    """Make a roadmap with one item for each persona that has a patch or a successful run in a sprint.

    If `personas` are given, others are left out. `files` are those of a persona's latest patches, `estimate` is the
    median duration of its successful runs, or else of all finished runs. Raises NotReady if no sprint has any.
    """
    runs: dict[str, list[Run]] = {}
    for run in state.runs:
        if run.sprint and run.seconds and (personas is None or run.persona in personas):  # a dispatch has none
            runs.setdefault(run.persona, []).append(run)
    items = tuple(item for persona, own in runs.items() if (item := _item(persona, own, state.patches)))
    if not items:
        raise NotReady("no persona has finished a run in a sprint yet: run a sprint first, or plan from a file")
    return Roadmap("What past sprints foretell", (Phase(""),), items)


def _item(persona: str, runs: Sequence[Run], patches: Sequence[Patch]) -> Item | None:
    own = {run.id for run in runs}
    usable = [patch for patch in patches if patch.run in own and patch.status != PatchStatus.DROPPED]
    succeeded = [run.seconds for run in runs if run.seconds and run.status == RunStatus.OK]
    if not usable and not succeeded:
        return None
    latest = sorted(usable, key=lambda patch: patch.seq)[-LATEST:]
    files = dict.fromkeys(escape(file) for patch in reversed(latest) for file in patch.files)
    estimate = median(succeeded or [run.seconds for run in runs if run.seconds])
    title = f"as in {counted(len(runs), 'run')} that made {counted(len(usable), 'change')}"
    return Item(persona, title, 0, estimate, persona, tuple(files), description=_AGAIN)
