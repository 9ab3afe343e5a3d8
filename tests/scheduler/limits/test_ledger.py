"""Budgets while runs go on: what each report means for the runs that are under way and for those that wait."""

from __future__ import annotations

from datetime import datetime, timedelta

from team_mail.personas.spending.amount import amount
from team_mail.personas.spending.usage import Usage
from team_mail.scheduler.limits.budget import Budgets, Uses
from team_mail.scheduler.limits.ledger import Ledger
from team_mail.scheduler.state.usage import Used


def test_no_run_starts_once_what_goes_on_has_used_it_up():
    """Reports replace one another, and those of all runs count together, with what was used before."""
    ledger = Ledger(Budgets(sprint=amount("$1")), Uses((Used(Usage(usd=0.25), "ann"),)))
    assert ledger.start("r1", "bob") is None
    assert ledger.tell("r1", Usage(usd=0.5)) == {}
    assert ledger.tell("r1", Usage(usd=0.6)) == {}
    assert ledger.start("r2", "cyd") is None
    assert ledger.tell("r2", Usage(usd=0.15)) == {}, "what goes on may end"
    over = ledger.start("r3", "dan")
    assert over
    assert over.text == "the budget of the sprint is spent: $1.00 of $1"


def test_a_hard_budget_ends_all_that_goes_on():
    """Those that have ended are let alone."""
    ledger = Ledger(Budgets(sprint=amount("3k tokens"), hard=True))
    for run in ("r1", "r2", "r3"):
        assert ledger.start(run, run) is None
    assert ledger.tell("r1", Usage(1000, 0, 500), ended=True) == {}
    assert ledger.tell("r2", Usage(1000, 0, 499)) == {}
    over = ledger.tell("r3", Usage(1, 0, 0))
    assert over.keys() == {"r2", "r3"}
    assert {spent.budget for spent in over.values()} == {"sprint"}


def test_a_hard_budget_of_a_persona_ends_its_runs_alone():
    """And it lets no other one of it start."""
    ledger = Ledger(Budgets(persona=amount("$1"), hard=True), Uses((Used(Usage(usd=0.9), "ann"),)))
    ledger.start("r1", "ann")
    ledger.start("r2", "bob")
    assert ledger.tell("r2", Usage(usd=0.99)) == {}
    assert ledger.tell("r1", Usage(usd=0.1)).keys() == {"r1"}
    assert ledger.start("r3", "ann")
    assert ledger.start("r4", "bob") is None


def test_the_budget_of_a_run_ends_it_whatever_the_others_use():
    """Also without `hard`: that is all it is for."""
    ledger = Ledger(Budgets(run=amount("1k tokens")))
    for run in ("r1", "r2"):
        ledger.start(run, "ann")
    assert ledger.tell("r1", Usage(900, 0, 99)) == {}
    assert ledger.tell("r2", Usage(900, 0, 100)).keys() == {"r2"}
    assert ledger.tell("r2", Usage(900, 0, 100), ended=True) == {}


def test_a_budget_of_runs_counts_those_that_go_on():
    """The third is not started."""
    ledger = Ledger(Budgets(day=amount("2 runs")), Uses((), (Used(Usage()),)))
    assert ledger.start("r1", "ann") is None
    assert ledger.start("r2", "ann")


def test_what_other_processes_use_counts_for_the_day_at_each_launch():
    """It is read anew each time; a run of one's own counts once, whatever the log says of it."""
    log = {"x1": Used(Usage(usd=0.5))}
    ledger = Ledger(Budgets(day=amount("$1")), today=lambda _=None: dict(log))
    assert ledger.start("r1", "ann") is None
    ledger.tell("r1", Usage(usd=0.3))
    log["r1"] = Used(Usage(usd=0.3))
    assert ledger.start("r2", "bob") is None
    log["x2"] = Used(Usage(usd=0.2))
    over = ledger.start("r3", "cyd")
    assert over
    assert (over.budget, over.used.usd) == ("day", 1.0)


def test_a_run_that_others_came_before_is_withdrawn():
    """What the log has before its start decides, and it counts for nothing afterwards."""
    before = {"r1": {}, "r2": {"x1": Used(Usage()), "x2": Used(Usage())}}
    ledger = Ledger(Budgets(day=amount("2 runs")), today=lambda run=None: before.get(run or "", {}))
    assert [ledger.start(run, "ann") for run in ("r1", "r2")] == [None, None]
    assert ledger.withdraw("r1") is None
    assert ledger.withdraw("r2")
    assert ledger.start("r3", "ann") is None


def test_the_day_of_a_ledger_moves_with_the_clock():
    """What ended before midnight is of yesterday; what goes on is of the day on which it ends."""
    now = datetime(2026, 11, 30, 23, 59).astimezone()
    ledger = Ledger(Budgets(day=amount("2 runs")), now=lambda: now, today=lambda _=None: {})
    for run in ("r1", "r2"):
        assert ledger.start(run, "ann") is None
    assert ledger.start("r3", "ann")
    ledger.tell("r1", Usage(), ended=True)
    now += timedelta(minutes=2)
    assert ledger.start("r3", "ann") is None
    over = ledger.start("r4", "ann")
    assert over
    assert over.whose == "2026-12-01"


def test_what_is_asked_for_many_tasks_is_read_once_and_anew_after_a_while():
    """A launch reads it anew, and so does a run that gives way."""
    moments, reads = [datetime.now().astimezone()], list[str]()
    ledger = Ledger(
        Budgets(agents={"paid": amount("2 runs")}), now=lambda: moments[-1],
        today=lambda before=None: reads.append(str(before)) or {"x1": Used(Usage(), "", "paid")},
    )  # fmt: skip
    for _ in range(2000):
        assert ledger.uses().overspent_on("paid", ledger.budgets) is None
    assert len(reads) == 1
    moments.append(moments[0] + timedelta(seconds=6))
    ledger.uses()
    assert len(reads) == 2
    assert ledger.start("r1", "ann", "paid") is None
    assert len(reads) == 3
    assert ledger.uses().overspent_on("paid", ledger.budgets), "one's own count at once"
