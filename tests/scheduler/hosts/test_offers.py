"""The fold of offered runs against a naive reading of the same events, in any order that a log can have."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from team_mail.scheduler.hosts.offers import OfferFold
from team_mail.scheduler.state.facts import Fact

RUNS, WORKERS = ("a", "b"), (1, 2, 3)
OFFER = {"agent": "shell", "labels": [], "priority": "normal", "timeout": 60.0, "base": "", "job": "j", "bundle": ""}


class Step(NamedTuple):
    """One event about a run: of which epoch, by which worker, returned with a result or given back."""

    kind: str
    run: str
    epoch: int
    worker: int
    gives_back: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            [*["run.offered", "run.taken", "run.returned"] * 3, "run.recalled", "run.finished", "run.lost"]
        ),
        st.sampled_from(RUNS), st.integers(1, 3), st.sampled_from(WORKERS), st.booleans(),
    ),
    max_size=40,
)  # fmt: skip


def fact(seq: int, step: Step, sender: str = "scheduler") -> Fact:
    result = "" if step.gives_back else f"result {seq}"
    data = {
        "run.offered": {"epoch": step.epoch, **OFFER},
        "run.taken": {"epoch": step.epoch, "worker": {"pid": step.worker}},
        "run.returned": {"epoch": step.epoch, "worker": {"pid": step.worker}, "result": result, "why": "tired"},
        "run.recalled": {"epoch": step.epoch, "why": "late"},
    }.get(step.kind, {})
    return Fact(seq, "2026-01-01T00:00:00Z", step.kind, sender, None, step.run, data, "")


def naive(steps: list[Step], run: str) -> tuple[int, int | None, int, bool, bool] | None:
    """Read the events of a run as a person would: epoch, worker, seq of the result, whether given back, or recalled."""
    own = [(seq, step) for seq, step in enumerate(steps, 1) if step.run == run]
    if any(step.kind in {"run.finished", "run.lost"} for _, step in own):
        return None
    epoch, rest, told = 0, own, None
    while True:
        at = next((n for n, (_, s) in enumerate(rest) if s.kind == "run.offered" and s.epoch == epoch + 1), None)
        until = rest if at is None else rest[:at]
        told = of_epoch(until, epoch) if epoch else None
        if at is None or (told and (told[2] or told[4])):
            return told if at is None else of_epoch(rest, epoch)
        epoch, rest = epoch + 1, rest[at + 1 :]


def of_epoch(rows: list[tuple[int, Step]], epoch: int) -> tuple[int, int | None, int, bool, bool]:
    """Read what became of one epoch by what came before the next one."""
    own = [(seq, step) for seq, step in rows if step.epoch == epoch]
    takes = [seq for seq, step in own if step.kind == "run.taken"]
    recalls = [seq for seq, step in own if step.kind == "run.recalled"]
    take = takes[0] if takes and not any(recall < takes[0] for recall in recalls) else None
    worker = next((step.worker for seq, step in own if seq == take), None)
    returns = [
        (seq, step) for seq, step in own
        if step.kind == "run.returned" and take is not None and seq > take and step.worker == worker
    ]  # fmt: skip
    first = returns[0] if returns else None
    result = first[0] if first and not first[1].gives_back else 0
    recalled = any(not result or recall < result for recall in recalls)
    return epoch, worker, result, bool(first and first[1].gives_back), recalled


@given(STEPS)
def test_the_fold_is_what_a_naive_reading_finds(steps):
    """Doubled takes, old epochs, late returns, offers of what is decided: all of them change nothing."""
    fold, results = OfferFold(), {run: set() for run in RUNS}
    for seq, step in enumerate(steps, start=1):
        fold.add(fact(seq, step))
        for run in RUNS:
            offer = fold.offers.get(run)
            seen = offer and (
                offer.epoch, offer.worker["pid"] if offer.worker else None,
                int(offer.result.removeprefix("result ") or 0), bool(offer.why), bool(offer.recalled),
            )  # fmt: skip
            assert seen == naive(steps[:seq], run)
            if offer and offer.result:
                results[run].add((offer.epoch, offer.result))
    assert all(len(found) <= 1 for found in results.values()), "no run has two ends"


@given(STEPS, st.sampled_from(["run.offered", "run.recalled", "run.finished"]))
def test_only_the_scheduler_hands_out_and_ends(steps, kind):
    """An agent that could write the log cannot have a run of another taken away."""
    fold = OfferFold()
    for seq, step in enumerate(steps, start=1):
        fold.add(fact(seq, step))
    before = dict(fold.offers)
    for run in RUNS:
        for epoch in range(1, 5):
            fold.add(fact(100, Step(kind, run, epoch, 1, False), sender="ann"))
    assert fold.offers == before


def test_what_is_not_of_its_form_changes_nothing():
    """Whoever can write the file can write any event into it."""
    fold = OfferFold()
    whole = fact(1, Step("run.offered", "a", 1, 1, False))
    for name in whole.data:
        for value in (None, {}, "no") if name in {"epoch", "timeout", "priority"} else (None, {}, 7):
            fold.add(whole._replace(data={**whole.data, name: value}))
    assert fold.offers == {}
    fold.add(whole)
    fold.add(fact(2, Step("run.taken", "a", 1, 1, False))._replace(data={"epoch": 1, "worker": {}}))
    assert fold.offers["a"].is_open


def test_who_may_take_a_run_has_its_agent_and_all_its_labels():
    """A worker may say more of itself than is asked for."""
    fold = OfferFold()
    offered = fact(1, Step("run.offered", "a", 1, 1, False))
    fold.add(offered._replace(data={**offered.data, "labels": ["gpu"]}))
    offer = fold.offers["a"]
    assert offer.fits(frozenset({"shell"}), frozenset({"gpu", "big"}))
    assert not offer.fits(frozenset({"shell"}), frozenset({"big"}))
    assert not offer.fits(frozenset({"other"}), frozenset({"gpu"}))
