"""Which agent plays: pure functions of rules, runs and budgets, against a naive reading of the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.personas.spending.amount import amount
from team_mail.personas.spending.usage import Usage
from team_mail.scheduler.limits.budget import NO_BUDGETS, NOTHING_USED, Budgets, Uses
from team_mail.scheduler.limits.routing import Case, Fault, Routing, Rule, Work, costs_of
from team_mail.scheduler.state.facts import Run
from team_mail.scheduler.state.usage import Used

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
AGENTS = ("claude", "codex", "qwen")
ANN = Work("ann", "batch")


def run(persona, agent, status="ok", *, until=None, hopeless=False, number=0):
    """A run that ended a while before noon, the later the higher its number."""
    ended = rfc3339(NOON - timedelta(minutes=50 - number))
    return Run(
        f"{persona}-{number}", persona, 1, 1, 1, "b", agent, "batch", ended, status=status, finished=ended,
        detail=f"it was {status}", until=until and rfc3339(until), hopeless=hopeless,
    )  # fmt: skip


def case(*runs, persona="ann", uses=NOTHING_USED, budgets=NO_BUDGETS, pauses=True):
    own = [each for each in runs if each.persona == persona]
    return Case(NOON, own, runs, runs, uses, budgets, lambda run: run.status not in {"ok", "open"}, pauses=pauses)


def chosen(routing, *runs, work=ANN, **more):
    choice = routing.choose(work, case(*runs, persona=work.persona, **more))
    return choice.agent, tuple(agent for agent, _ in choice.passed), choice.unfit and choice.unfit.fault


def test_the_first_that_can_plays():
    """Each fault alone lets the next one play, and says in words why."""
    team = Routing(AGENTS)
    assert chosen(team) == ("claude", (), None)
    gone = Routing(AGENTS, missing={"claude": "agent claude: claude is not in PATH; install it"})
    six = NOON + timedelta(hours=6)
    spent = {
        "uses": Uses(day=(Used(Usage(usd=2.0), "bob", "claude"),)), "budgets": Budgets(agents={"claude": amount("$2")})
    }  # fmt: skip
    for routing, runs, more, words in (
        (gone, [], {}, "is missing (agent claude: claude is not in PATH; install it)"),
        (team, [run("bob", "claude", "limited", until=six)], {}, "is parked until 18:00:00Z (it was limited)"),
        (team, [run("ann", "claude", "failed")], {}, "failed at it (it was failed)"),
        (team, [run("ann", "claude", "failed", hopeless=True)], {}, "cannot do it (it was failed)"),
        (team, [run("bob", "claude", "timeout", number=n) for n in range(3)], {}, "failed 3 times in a row"),
        (team, [], spent, "may use no more (the budget of agent claude for the day is spent: $2.00 of $2)"),
    ):
        choice = routing.choose(ANN, case(*runs, **more))
        assert (choice.agent, choice.passed, choice.unfit) == ("codex", (("claude", words),), None)
        assert choice.text == f"codex, as claude {words}"


def test_what_is_no_fault_of_an_agent_lets_it_play():
    """Nor is what others failed at a reason, unless it goes on; a success ends a row."""
    team = Routing(AGENTS)
    for status in ("lost", "stopped", "setup", "open"):
        assert chosen(team, *(run("ann", "claude", status, number=n) for n in range(3))) == ("claude", (), None)
    twice = [run("bob", "claude", "failed", number=n) for n in range(2)]
    assert chosen(team, *twice) == ("claude", (), None)
    assert chosen(team, *twice, run("cyd", "claude", number=2), run("bob", "claude", "failed", number=3))[0] == "claude"
    assert chosen(team, run("bob", "claude", "limited"))[0] == "claude", "that parks bob alone"


def test_of_several_that_cannot_the_one_is_chosen_that_may_be_able_to_soonest():
    """One that failed is tried again, least often first; of those that wait, the one that waits least."""
    team = Routing(AGENTS)
    failed = [run("ann", agent, "failed", number=n) for n, agent in enumerate(("claude", "codex", "claude", "qwen"))]
    assert chosen(team, *failed) == ("codex", ("claude",), Fault.FAILING)
    late, soon = (NOON + timedelta(hours=hours) for hours in (6, 2))
    windows = [
        run("bob", "claude", "limited", until=late),
        run("bob", "codex", "limited", until=soon),
        run("ann", "qwen", "failed", hopeless=True),
    ]
    choice = team.choose(ANN, case(*windows))
    assert (choice.agent, choice.hindered(Fault.PARKED).until) == ("codex", soon)
    nobody = Routing(AGENTS, missing=dict.fromkeys(AGENTS, "gone"))
    assert chosen(nobody) == ("claude", (), Fault.MISSING)


def test_a_dispatch_passes_on_what_was_refused_without_a_time():
    """Nobody waits for a pause that nobody named, if another agent can do the work."""
    refused = run("ann", "claude", "limited")
    assert chosen(Routing(AGENTS), refused, pauses=False) == ("codex", ("claude",), None)
    assert chosen(Routing(("claude",)), refused, pauses=False) == ("claude", (), None)


RULES = (
    Rule("poor", ("qwen",), budget_left=0.25),
    Rule("docs", ("codex", "claude"), personas=frozenset({"scribe"})),
    Rule("mends", ("claude",), reasons=frozenset({"retry", "mail"})),
    Rule("audits", (), tasks=("audit-*", "review"), cheapest=True),
)


@pytest.mark.parametrize(
    ("work", "left", "expected"),
    [
        (Work("scribe", "batch"), 1.0, ("docs", ("codex", "claude"))),
        (Work("scribe", "batch"), 0.25, ("docs", ("codex", "claude"))),
        (Work("scribe", "batch"), 0.24, ("poor", ("qwen",))),
        (Work("forge", "retry"), 1.0, ("mends", ("claude",))),
        (Work("forge", "task", "audit-3"), 1.0, ("audits", ("qwen", "claude", "codex"))),
        (Work("forge", "task", "other"), 1.0, ("", AGENTS)),
        (Work("forge", "retry", own="shell"), 0.1, ("", ("shell",))),
    ],
)
def test_the_first_rule_that_fits_counts(work, left, expected):
    """Those that name no agents ask the team's; a persona whose file names its agent is asked for by no rule."""
    routing = Routing(AGENTS, RULES, costs={"claude": 0.2, "qwen": 0.0})
    assert routing.candidates(work, left) == expected
    assert Routing(AGENTS, RULES, only="given").candidates(work, left) == ("", ("given",))


def test_what_an_agent_costs_is_the_median_of_its_runs_else_the_price_of_its_model():
    """Of runs that told it; an agent of which nothing is known comes after all others."""
    past = [Used(Usage(1000, 0, 100, usd=usd), "ann", "claude") for usd in (0.1, 0.3, 0.2)]
    past += [
        Used(Usage(None, None, None), "ann", "codex"),
        Used(Usage(9, 0, 9, usd=99.0, partial=True), "ann", "claude"),
    ]

    def priced(usage, agent):
        return Usage(usd={"codex": usage.input / 1_000_000, "qwen": None, "claude": 7.0}[agent])

    assert costs_of(AGENTS, past, priced) == {"claude": 0.2, "codex": 0.001}
    assert costs_of(("codex",), [], priced) == {"codex": 0.05}


STATUSES = st.sampled_from(["ok", "failed", "timeout", "limited", "lost", "open"])
RUNS = st.lists(
    st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(AGENTS), STATUSES, st.booleans(), st.booleans()),
    max_size=12,
)


@given(RUNS, st.sets(st.sampled_from(AGENTS)), st.permutations(AGENTS))
def test_no_choice_passes_over_one_that_could(rows, gone, agents):
    """Whatever happened: who comes first and is neither gone, refused nor failing plays, and all before it are not."""
    runs = [
        run(persona, agent, status, number=n, hopeless=hopeless and status == "failed",
            until=NOON + timedelta(hours=1) if timed and status == "limited" else None)
        for n, (persona, agent, status, timed, hopeless) in enumerate(rows)
    ]  # fmt: skip
    routing = Routing(tuple(agents), missing=dict.fromkeys(gone, "gone"))

    def able(agent):
        own = [each for each in runs if each.persona == "ann" and each.agent == agent]
        ended = [each for each in runs if each.agent == agent and each.status in {"ok", "failed", "timeout"}]
        windows = [each for each in runs if each.agent == agent and each.until]
        reopened = windows and any(
            each.status == "ok" and each.started > windows[-1].finished for each in ended if each.agent == agent
        )
        refused = [each for each in own if each.status == "limited"]
        paused = bool(own) and own[-1].status == "limited" and _pause_of(own) > NOON
        return not (
            agent in gone
            or (own and own[-1].hopeless)
            or (own and own[-1].status in {"failed", "timeout"})
            or (windows and not reopened)
            or (refused and paused)
            or (len(ended) >= 3 and all(each.status != "ok" for each in ended[-3:]))
        )

    choice = routing.choose(ANN, case(*runs))
    first = next((agent for agent in agents if able(agent)), None)
    if first is None:
        assert choice.unfit
        assert set(choice.agents) == set(AGENTS)
    else:
        assert (choice.agent, choice.unfit) == (first, None)
        assert [agent for agent, _ in choice.passed] == [*agents[: agents.index(first)]]


def _pause_of(own):
    """When a persona may be tried again that an agent's service refused so often in a row without a time."""
    row = 0
    for each in reversed(own):
        if each.status != "limited":
            break
        row += 1
    return datetime.fromisoformat(own[-1].finished) + timedelta(minutes=min(10, 2 ** (row - 1)))
