"""How much of a phase can be done at once: manual, parallel, partly or sequential, and which tasks force it.

The class is the phase's own: it is the same for any number of workers.
"""

from __future__ import annotations

from collections.abc import Sequence

from .conflict import mostly_same
from .item import Overlap
from .schedule import Pair
from .work import Work, named, span

MANUAL, PARALLEL, PARTLY, SEQUENTIAL = "manual", "parallel", "partly", "sequential"
_NEARLY = 0.9  # of the work in one chain: nothing to speak of can be done beside it
_SHOWN = 3
_PLAYS = 6  # a class needs no better schedule


def classify(work: Work, overlaps: Sequence[Overlap]) -> tuple[str, str]:
    """Return the class of a phase and the reason, a sentence that names the tasks which force it.

    `overlaps` are those between tasks of this phase; tasks that change mostly the same files are taken for one chain.
    """
    if not work.items:
        return MANUAL, "a person does all of it"
    if len(work.items) == 1:
        return SEQUENTIAL, f"{work.items[0].id} is the only task for an agent"
    items = {item.id: item for item in work.items}
    loose = [one for one in overlaps if not one.ordered and {one.one, one.other} <= items.keys()]
    tied = [(one.one, one.other) for one in loose if mostly_same(one, items[one.one], items[one.other])]
    waits = [(task, other) for task, others in work.after.items() for other in others if other in items]
    if not waits and not tied:
        return PARALLEL, _independent(loose)
    least = work.schedule(len(work.items), tied, plays=_PLAYS).makespan if tied else work.longest
    if least >= _NEARLY * work.total:
        return SEQUENTIAL, _chained(work, least, tied)
    return PARTLY, _partly(waits, tied, least, work.total)


def _independent(loose: Sequence[Overlap]) -> str:
    if not loose:
        return "no task waits for another, and no two change the same files"
    pairs = [f"{one.one} and {one.other} ({named(one.files, 1)})" for one in loose]
    return f"no task waits for another; only a small part is shared by {named(pairs, _SHOWN)}"


def _chained(work: Work, least: float, tied: Sequence[Pair]) -> str:
    if work.longest >= _NEARLY * work.total:
        chain = " -> ".join(_short(work.critical_path))
        return f"the chain {chain} is {_share(work.longest, work.total)}"
    pairs = [f"{one} and {other}" for one, other in tied]
    same = f"{named(pairs, _SHOWN)} change mostly the same files"
    return f"{same}, so that {_share(least, work.total)} is one after the other"


def _partly(waits: Sequence[Pair], tied: Sequence[Pair], least: float, total: float) -> str:
    told = [f"{task} waits for {other}" for task, other in waits]
    told += [f"{one} and {other} change mostly the same files" for one, other in tied]
    return f"{'; '.join(told[:_SHOWN])}{_more(told)}: {span(total)} of work in no less than {span(least)}"


def _share(part: float, whole: float) -> str:
    return f"all of its {span(whole)}" if part >= whole else f"{span(part)} of its {span(whole)}"


def _short(chain: Sequence[str]) -> list[str]:
    return [*chain] if len(chain) <= 2 * _SHOWN else [*chain[:_SHOWN], "…", *chain[-_SHOWN:]]


def _more(told: Sequence[str]) -> str:
    return f"; {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
