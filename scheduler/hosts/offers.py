"""The runs that are handed out, as a fold over facts in the order of the log.

No clock and no queue decides here. A run is offered with an epoch; the first who takes that epoch has it, and only what
that one returns for it counts. A later offer of the same run takes it away, a recall closes it, and the end of the run
decides it. So whatever is doubled, late, or from a worker that nobody heard of for a while changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

from ...mail.directory import SCHEDULER
from ...mail.log.event import PRIORITIES
from ..kinds import Kind
from ..state.facts import Fact

KINDS = frozenset(
    {Kind.RUN_OFFERED, Kind.RUN_TAKEN, Kind.RUN_RETURNED, Kind.RUN_RECALLED, Kind.RUN_FINISHED, Kind.RUN_LOST}
)


@dataclass(frozen=True)
class Offer:
    """One run that is handed out, in the epoch that counts.

    `seq` and `ts` are those of the offer, `job` and `bundle` names of blobs, the latter "" where none is needed, and
    `timeout` is in seconds. `worker` is the process that has taken it, None before; `result` is the name of the blob
    with what that one returned, and `why` says why it gave the run back instead. `recalled` says why it is to end.
    """

    run: str
    epoch: int
    seq: int
    ts: str
    agent: str
    labels: tuple[str, ...]
    priority: str
    timeout: float
    base: str
    job: str
    bundle: str = ""
    worker: Mapping[str, Any] | None = None
    result: str = ""
    why: str = ""
    recalled: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a worker may take it."""
        return self.worker is None and not self.recalled

    @property
    def is_held(self) -> bool:
        """Whether a worker has it that has not returned it."""
        return self.worker is not None and not (self.result or self.why)

    def fits(self, agents: frozenset[str], labels: frozenset[str]) -> bool:
        """Tell whether a worker with these agents and labels can take it."""
        return self.agent in agents and labels.issuperset(self.labels)


class OfferFold:
    """The runs that are handed out and have no end, by id, as far as facts were added; `over` are those that ended."""

    def __init__(self) -> None:
        self.offers: dict[str, Offer] = {}
        self.over: set[str] = set()

    def add(self, fact: Fact) -> None:
        """Fold the next fact of the log. One that is not of the form of its kind changes nothing."""
        if rule := self._RULES.get(fact.kind):
            try:
                rule(self, fact, fact.data)
            except (KeyError, TypeError, ValueError, AttributeError):
                return

    def _offer(self, fact: Fact, data: Mapping[str, Any]) -> None:
        offer = offer_of(_text(fact.run), data, fact.seq, fact.ts)
        before = self.offers.get(offer.run)
        if fact.sender != SCHEDULER or offer.run in self.over or offer.epoch != (before.epoch + 1 if before else 1):
            return
        if before is None or not (before.result or before.recalled):  # else that epoch has decided it
            self.offers[offer.run] = offer

    def _take(self, fact: Fact, data: Mapping[str, Any]) -> None:
        offer = self._meant(fact, data)
        if offer and offer.is_open:
            self.offers[offer.run] = replace(offer, worker=_process(data))

    def _return(self, fact: Fact, data: Mapping[str, Any]) -> None:
        offer = self._meant(fact, data)
        result, why = _text(data["result"]), _text(data["why"])
        if offer and offer.is_held and offer.worker == _process(data) and (result or why):
            self.offers[offer.run] = replace(offer, result=result, why="" if result else why)

    def _recall(self, fact: Fact, data: Mapping[str, Any]) -> None:
        offer = self._meant(fact, data)
        if offer and fact.sender == SCHEDULER and not (offer.result or offer.recalled):
            self.offers[offer.run] = replace(offer, recalled=_text(data["why"]) or "it is to end")

    def _end(self, fact: Fact, _: Mapping[str, Any]) -> None:
        if fact.run and fact.sender == SCHEDULER:
            self.over.add(fact.run)
            self.offers.pop(fact.run, None)

    def _meant(self, fact: Fact, data: Mapping[str, Any]) -> Offer | None:
        """Return the offer that an event is about, if its epoch is the one that counts."""
        offer = self.offers.get(_text(fact.run))
        return offer if offer and offer.epoch == _epoch(data) else None

    _RULES: ClassVar[Mapping[str, Callable[[Self, Fact, Mapping[str, Any]], None]]] = {
        Kind.RUN_OFFERED: _offer,
        Kind.RUN_TAKEN: _take,
        Kind.RUN_RETURNED: _return,
        Kind.RUN_RECALLED: _recall,
        Kind.RUN_FINISHED: _end,
        Kind.RUN_LOST: _end,
    }


def offer_of(run: str, data: Mapping[str, Any], seq: int = 0, ts: str = "") -> Offer:
    """Return the offer that the data of an event makes. Raises KeyError, TypeError, ValueError."""
    return Offer(
        run, _epoch(data), seq, ts, _text(data["agent"]), _texts(data["labels"]), _priority(data["priority"]),
        float(data["timeout"]), _text(data["base"]), _text(data["job"]), _text(data["bundle"]),
    )  # fmt: skip


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(value)
    return tuple(map(_text, cast("list[Any]", value)))


def _epoch(data: Mapping[str, Any]) -> int:
    if isinstance(data["epoch"], bool) or not isinstance(data["epoch"], int):
        raise TypeError(data["epoch"])
    return data["epoch"]


def _priority(value: Any) -> str:
    if value not in PRIORITIES:
        raise ValueError(value)
    return _text(value)


def _process(data: Mapping[str, Any]) -> Mapping[str, Any]:
    worker = cast("dict[str, Any]", data["worker"])
    if type(worker) is not dict or not worker:
        raise TypeError(data)
    return worker
