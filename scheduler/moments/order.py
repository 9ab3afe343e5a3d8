"""Why patches landed in the order in which they did, as far as the log tells: weave by weave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...mail.render import listed
from ...mail.text.units import counted
from ..kinds import Kind, PatchStatus
from ..state.facts import Fact
from ..weaver.conflict_graph import PATIENCE


@dataclass(frozen=True)
class Placed:
    """A patch in a weave: its place in the landing order, None if it did not land, what became of it, and why."""

    run: str
    persona: str
    place: int | None
    status: str
    commit: str | None
    why: str

    def document(self) -> dict[str, Any]:
        """Return the patch as a JSON object."""
        return {
            "run": self.run, "persona": self.persona, "place": self.place, "status": self.status,
            "commit": self.commit, "why": self.why,
        }  # fmt: skip


@dataclass(frozen=True)
class WovenOrder:
    """One weave: from which commit to which, its patches, those that landed first, and the pairs that conflicted."""

    number: int
    tick: int
    start: str
    tip: str
    patches: tuple[Placed, ...]
    conflicts: tuple[tuple[str, str, tuple[str, ...]], ...]

    def document(self) -> dict[str, Any]:
        """Return the weave as a JSON object."""
        return {
            "weave": self.number, "tick": self.tick, "start": self.start, "tip": self.tip,
            "patches": [each.document() for each in self.patches],
            "conflicts": [{"run": run, "rival": rival, "files": [*files]} for run, rival, files in self.conflicts],
        }  # fmt: skip


@dataclass(frozen=True)
class _Decision:
    """What a weave did with one patch."""

    run: str
    status: str
    commit: str | None
    why: str
    files: tuple[str, ...]


def orders(facts: Iterable[Fact], number: int) -> tuple[WovenOrder, ...]:
    """Explain the weaves of sprint `number`, from its facts, the first one first."""
    personas: dict[str, str] = {}
    refusals: Counter[str] = Counter()
    decided: dict[str, _Decision] = {}
    explained: list[WovenOrder] = []
    for fact in facts:
        if fact.kind == Kind.RUN_STARTED and fact.run:
            personas[fact.run] = str(fact.data.get("persona"))
        elif fact.kind in _STATUS and fact.ref:
            personas.setdefault(fact.ref, str(fact.data.get("persona")))
            decided[fact.ref] = _decision(fact)
        elif fact.kind == Kind.WEAVE_DONE and fact.data.get("sprint") == number:
            scene = _Scene(fact.data, personas, decided, dict(refusals))
            explained.append(scene.explained(len(explained) + 1))
            refusals.update(personas[each.run] for each in decided.values() if each.status == PatchStatus.CONFLICTED)
            decided = {}
    return tuple(explained)


_STATUS: Mapping[str, PatchStatus] = {
    Kind.PATCH_LANDED: PatchStatus.LANDED,
    Kind.PATCH_CONFLICTED: PatchStatus.CONFLICTED,
    Kind.PATCH_REFUSED: PatchStatus.REFUSED,
    Kind.PATCH_HELD: PatchStatus.HELD,
    Kind.PATCH_REJECTED: PatchStatus.REJECTED,
}


def _decision(fact: Fact) -> _Decision:
    present = fact.data.get("how") == PatchStatus.PRESENT
    status = PatchStatus.PRESENT if present else _STATUS[fact.kind]
    commit, why = fact.data.get("commit"), fact.data.get("why", "")
    return _Decision(str(fact.ref), status, commit, str(why), tuple(fact.data.get("files", ())))


@dataclass(frozen=True)
class _Scene:
    """The data of a weave with what it decided; `refusals` counts a persona's conflicts in earlier weaves."""

    data: Mapping[str, Any]
    personas: Mapping[str, str]
    decided: Mapping[str, _Decision]
    refusals: Mapping[str, int]

    @property
    def order(self) -> Sequence[str]:
        return self.data.get("order", ())

    @property
    def pairs(self) -> Sequence[tuple[str, str, Sequence[str]]]:
        return self.data.get("conflicts", ())

    def explained(self, number: int) -> WovenOrder:
        pairs = tuple((run, rival, tuple(files)) for run, rival, files in self.pairs)
        placed = (*self._landed(), *self._left())
        return WovenOrder(
            number, self.data.get("tick", 0), self.data.get("start", ""), self.data.get("tip", ""), placed, pairs
        )

    def _landed(self) -> Iterator[Placed]:
        for place, run in enumerate(self.order, 1):
            decision = self.decided.get(run)
            commit = decision.commit if decision else None
            yield Placed(run, self._name(run), place, PatchStatus.LANDED, commit, self._why(place - 1, run))

    def _left(self) -> Iterator[Placed]:
        """Yield the patches that did not land."""
        for each in self.decided.values():
            if each.run not in self.order:
                yield Placed(each.run, self._name(each.run), None, each.status, each.commit, self._obstacle(each))

    def _name(self, run: str) -> str:
        return self.personas.get(run, run[:8])

    def _rivals(self, run: str) -> list[str]:
        pairs = [(left, right) for left, right, _ in self.pairs if run in {left, right}]
        return [right if left == run else left for left, right in pairs]

    def _why(self, place: int, run: str) -> str:
        """Say why a patch landed, and why where it did."""
        rivals = self._rivals(run)
        after = [each for each in rivals if each in self.order]
        beaten = self._names([each for each in rivals if each not in self.order])
        often = self.refusals.get(self._name(run), 0)
        if often >= PATIENCE:
            return f"it had conflicted {counted(often, 'time')} before, so it comes first"
        if beaten:
            return f"rather than {listed(beaten)}: so the most patches land"
        if after:
            behind = any(self.order.index(each) < place for each in after)
            return f"conflicts with {listed(self._names(after))}, and was merged {'behind' if behind else 'before'} it"
        return "in nobody's way" + ("; the oldest first" if len(self.order) > 1 else "")

    def _obstacle(self, decision: _Decision) -> str:
        if decision.status == PatchStatus.PRESENT:
            return "all that it changes was there already"
        if decision.status != PatchStatus.CONFLICTED:
            return decision.why
        rivals = [each for each in self._rivals(decision.run) if each in self.order]
        others = f"with {listed(self._names(rivals))}, which landed" if rivals else "with what had landed before"
        return f"conflicts {others}" + (f": {listed(decision.files)}" if decision.files else "")

    def _names(self, runs: Sequence[str]) -> list[str]:
        return sorted({self._name(run) for run in runs})
