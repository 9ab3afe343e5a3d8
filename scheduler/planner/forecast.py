"""What the next sprint is likely to be: each persona does again what it did, in the files it touched, in its time.

It is read from the log alone, so a forecast is as good as what the team has behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import median

from ...mail.globs import escape
from ...mail.units import counted
from ..errors import NotReady
from ..state.facts import Patch, Run
from ..state.sprints import State
from .item import Item, Phase, Roadmap

_AGAIN = "Do the work of your role, as in the sprints before this one."
LATEST = 5  # patches of a persona that its files are taken from


def from_sprint(state: State, personas: Collection[str] | None = None) -> Roadmap:
    """Make a roadmap of one item for each persona that has worked in a sprint: with a patch, or a run that ended well.

    If `personas` are given, those who are not among them will not be in the next sprint, and are left out.

    `files` are those of its latest patches, `estimate` the median of its runs that ended well, or else of all that
    ended. Raises NotReady where no sprint has anything to go by.
    """
    runs: dict[str, list[Run]] = {}
    for run in state.runs:
        if run.sprint and run.seconds and (personas is None or run.persona in personas):  # a dispatch has no number
            runs.setdefault(run.persona, []).append(run)
    items = tuple(item for persona, own in runs.items() if (item := _item(persona, own, state.patches)))
    if not items:
        raise NotReady("no persona has finished a run in a sprint yet: run a sprint first, or plan from a file")
    return Roadmap("What past sprints foretell", (Phase(""),), items)


def _item(persona: str, runs: Sequence[Run], patches: Sequence[Patch]) -> Item | None:
    own = {run.id for run in runs}
    usable = [patch for patch in patches if patch.run in own and patch.status != "dropped"]
    well = [run.seconds for run in runs if run.seconds and run.status == "ok"]
    if not usable and not well:
        return None
    latest = sorted(usable, key=lambda patch: patch.seq)[-LATEST:]
    files = dict.fromkeys(escape(file) for patch in reversed(latest) for file in patch.files)
    estimate = median(well or [run.seconds for run in runs if run.seconds])
    title = f"as in {counted(len(runs), 'run')} that made {counted(len(usable), 'change')}"
    return Item(persona, title, 0, estimate, persona, tuple(files), description=_AGAIN)
