"""The class of a phase: manual, parallel, partly parallel or sequential, and the tasks that make it so.

The class does not depend on the number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...mail.text.units import duration
from ..kinds import PhaseKind
from .conflict import mostly_same
from .item import Overlap
from .schedule import Pair
from .work import Work, named

_NEARLY = 0.9  # share of the work in one chain from which a phase counts as sequential
_SHOWN = 3
_PLAYS = 6  # simulations per schedule, which are enough for a class


def classify(work: Work, overlaps: Sequence[Overlap]) -> tuple[str, str]:
    """Return the class of a phase and the reason, a sentence that names the decisive tasks.

    Tasks that change mostly the same files count as a chain; overlaps with other phases are ignored.
    """
    if not work.items:
        return PhaseKind.MANUAL, "a person does all of it"
    if len(work.items) == 1:
        return PhaseKind.SEQUENTIAL, f"{work.items[0].id} is the only task for an agent"
    items = {item.id: item for item in work.items}
    loose = [pair for pair in overlaps if not pair.ordered and {pair.left, pair.right} <= items.keys()]
    tied = [(pair.left, pair.right) for pair in loose if mostly_same(pair, items[pair.left], items[pair.right])]
    waits = [(task, name) for task, names in work.after.items() for name in names if name in items]
    if not waits and not tied:
        return PhaseKind.PARALLEL, _independent(loose)
    least = work.schedule(len(work.items), tied, plays=_PLAYS).makespan if tied else work.longest
    if least >= _NEARLY * work.total:
        return PhaseKind.SEQUENTIAL, _chained(work, least, tied)
    return PhaseKind.PARTLY, _partly(waits, tied, least, work.total)


def _independent(loose: Sequence[Overlap]) -> str:
    if not loose:
        return "no task waits for another, and no two change the same files"
    pairs = [f"{pair.left} and {pair.right} ({named(pair.files, 1)})" for pair in loose]
    return f"no task waits for another; only a small part is shared by {named(pairs, _SHOWN)}"


def _chained(work: Work, least: float, tied: Sequence[Pair]) -> str:
    if work.longest >= _NEARLY * work.total:
        chain = " -> ".join(_short(work.critical_path))
        return f"the chain {chain} is {_share(work.longest, work.total)}"
    pairs = [f"{left} and {right}" for left, right in tied]
    same = f"{named(pairs, _SHOWN)} change mostly the same files"
    return f"{same}, so that {_share(least, work.total)} is one after the other"


def _partly(waits: Sequence[Pair], tied: Sequence[Pair], least: float, total: float) -> str:
    reasons = [f"{task} waits for {name}" for task, name in waits]
    reasons += [f"{left} and {right} change mostly the same files" for left, right in tied]
    return f"{'; '.join(reasons[:_SHOWN])}{_more(reasons)}: {duration(total)} of work in no less than {duration(least)}"


def _share(part: float, whole: float) -> str:
    return f"all of its {duration(whole)}" if part >= whole else f"{duration(part)} of its {duration(whole)}"


def _short(chain: Sequence[str]) -> list[str]:
    return [*chain] if len(chain) <= 2 * _SHOWN else [*chain[:_SHOWN], "…", *chain[-_SHOWN:]]


def _more(reasons: Sequence[str]) -> str:
    return f"; {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
