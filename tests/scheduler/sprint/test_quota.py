"""Whole sprints on a service whose quota runs out: nobody loses an attempt, and all goes on at the reset."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock, rfc3339
from team_mail.mail.log.event import Draft
from team_mail.personas.agent import Job, Outcome
from team_mail.scheduler.limits.parking import Parked
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.settings.settings import SprintSettings
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.plan import Waiting
from team_mail.scheduler.sprint.status import status
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.sprint.triggers import due
from team_mail.scheduler.state.facts import Mail, Sprint
from team_mail.scheduler.state.sprints import State
from team_mail.team.show import sprint as show

from ...conftest import run_batch

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SIX = datetime(2026, 11, 30, 18, tzinfo=UTC)
NAMES = [f"p{number:02}" for number in range(23)]
ONCE = '[sprint]\nmax_attempts = 1\nretry_backoff = "0s"\ngather = "0s"\ndeadline = "1d"\n'


class Service:
    """A service that serves so many runs until it is reset, and keeps whom it served and refused, and when."""

    def __init__(self, clock: ManualClock, serves: int, words: str, reset: datetime) -> None:
        self.clock, self.serves, self.words, self.reset = clock, serves, words, reset
        self.served: list[tuple[str, datetime]] = []
        self.refused: list[tuple[str, datetime]] = []
        self.turn = threading.Lock()

    def play(self, job: Job) -> Outcome | None:
        with self.turn:
            if self.clock.now() < self.reset and len(self.served) >= self.serves:
                self.refused.append((job.persona, self.clock.now()))
                return Outcome("failed", 1, 0.0, f"exit 1; the agent reported an error: {self.words}")
            self.served.append((job.persona, self.clock.now()))
        (job.workspace / f"{job.persona}.txt").write_text("done\n")
        return None


@pytest.fixture
def clock(monkeypatch):
    """It stands at noon, and the machine is in Greenwich."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return ManualClock(NOON)


def on(clock, context):
    """Let a team and its log live by a clock that nobody waits for."""
    object.__setattr__(context, "clock", clock)
    vars(context.mailbox.log)["_clock"] = clock
    return context


def sprint_on(team, clock, play, settings=ONCE, names=NAMES):
    """Run a sprint by a clock that nobody waits for; return its result, what it waited for, and the runs."""
    for file in (team.home / "personas").glob("*.md"):
        file.unlink()
    team.roster(*names)
    context = team.context(dict.fromkeys(names, play), settings)
    on(clock, context)
    waits = []
    listener = lambda progress: waits.append(progress.plan) if isinstance(progress, Waiting) else None  # noqa: E731
    result = run_sprint(Ticker(context, BatchRunner(context, listener), listener=listener), StartRequest("asked for"))
    assert result
    return result, waits, context.state().runs


def test_a_sprint_of_23_whose_quota_runs_out_goes_on_at_the_reset(team, clock):
    """With one attempt each, all 23 land: what was refused counts for nothing, and nothing starts before six."""
    service = Service(clock, 10, "usage limit reached, resets at 18:00", SIX)

    result, waits, runs = sprint_on(team, clock, service.play)

    assert (result.converged, result.patches, result.outcome) == (True, 23, "converged")
    assert Counter(run.status for run in runs) == {"ok": 23, "limited": len(service.refused)}
    assert 1 <= len(service.refused) <= 8, "only those that were under way were refused"
    assert {when for _, when in service.refused} == {NOON}
    assert Counter(when for _, when in service.served) == {NOON: 10, SIX: 13}
    assert [plan.wait_until for plan in waits] == [SIX]
    parked = {skip.persona for skip in waits[0].skips if skip.parked == SIX}
    assert parked == {*NAMES} - {name for name, when in service.served if when == NOON}


def test_a_window_that_ends_after_the_deadline_ends_the_sprint(team, clock):
    """The human is told what is left; no run is made in vain."""
    service = Service(clock, 0, "usage limit reached, resets at 18:00", SIX)
    settings = ONCE.replace("1d", "4h")
    result, _, runs = sprint_on(team, clock, service.play, settings, NAMES[:3])
    assert (result.outcome, clock.now()) == ("deadline", NOON)
    words = (
        "agent shell is parked until 2026-11-30 18:00:00Z: exit 1; the agent reported an error: usage limit reached, "
        "resets at 18:00"
    )
    assert result.parked == (words,)
    assert f"  {words}" in [*show.summary(result)]
    context = on(clock, team.context())
    assert f"it ended when {words}" in [*show.status(status(context, clock.now()))]
    (sent,) = (event for event in context.mailbox.log.read(0) if event.kind == "mail.sent")
    assert f"A{words[1:]}." in sent.body.splitlines()
    clock.sleep(3600)
    idle = Ticker(context, BatchRunner(context)).plan(StartRequest("asked for", otherwise="")).skips
    assert all(skip.why.startswith("parked until 18:00:00Z by agent shell: ") for skip in idle)
    assert {run.status for run in runs} == {"limited"}


def test_the_time_that_a_service_named_holds_for_the_next_sprints_too(team, clock):
    """No sprint after sprint into the same limit: the first one after it is the one that starts after the reset."""
    service = Service(clock, 0, "usage limit reached, resets at 18:00", SIX)
    settings = ONCE.replace("1d", "4h").replace("[sprint]\n", '[sprint]\nevery = "1m"\n')
    sprint_on(team, clock, service.play, settings, NAMES[:2])
    context = on(clock, team.context(dict.fromkeys(NAMES[:2], service.play), settings))
    ticker = Ticker(context, BatchRunner(context))
    clock.sleep(3600)
    state, refused = ticker.read(), len(service.refused)
    request = due(
        state, context.settings.sprint, clock.now(), lambda *_: SIX, parked=context.parked(state, clock.now())
    )
    assert request.start == "every 60 s"
    plan = ticker.plan(request, state)
    assert (plan.opening, plan.idle_until) == (None, SIX)
    assert plan.idle.startswith("nobody could start in a sprint: p00 is parked until ")
    done = run_batch(ticker, request)
    assert done.plan.idle
    assert run_sprint(ticker, StartRequest("asked for")) is None, "a reset after its deadline is not waited for"
    clock.sleep(7200)
    assert run_sprint(ticker, StartRequest("asked for")).converged, "an earlier one is"
    assert clock.now() == SIX
    assert len(service.refused) == refused


def test_what_a_dispatch_was_refused_parks_sprints_and_a_success_lets_them_go_on(team, clock):
    """A service knows neither sprints nor dispatches, and what is on record of both counts."""
    context = on(clock, team.context({}, ONCE.replace("1d", "1h")))

    def ran(run, **ended):
        start = {"sprint": 0, "dispatch": "d", "task": "t", "persona": "ann", "attempt": 1, "tick": 0, "base": ""}
        start |= {"agent": "shell", "reason": "task", "mail": [], "supervisor": {}}
        context.append([Draft("run.started", "scheduler", run=run, data=start)])
        clock.sleep(1)
        end = {"sprint": 0, "dispatch": "d", "task": "t", "persona": "ann", "exit": 1, "seconds": 1.0, "detail": "no"}
        context.append([Draft("run.finished", "scheduler", run=run, data=end | ended)])
        clock.sleep(1)

    ran("r1", status="limited", until=rfc3339(SIX))
    ran("r2", status="limited", until=rfc3339(NOON))
    ticker = Ticker(context, BatchRunner(context))
    assert ticker.plan(StartRequest("asked for")).idle_until == SIX
    assert {parked.until for parked in context.parked(context.state(), clock.now()).values()} == {SIX}
    ran("r3", status="ok")
    context = on(clock, team.context({}, ONCE))
    assert len(Ticker(context, BatchRunner(context)).plan(StartRequest("asked for")).launches) == 3


def test_mail_for_who_is_parked_starts_no_sprint_and_hides_none_that_is_due():
    """It is read in the next one."""
    settings = SprintSettings(every="1h")
    started = Sprint(1, "s", "main", "b", "b", "parallel", "", "", (), rfc3339(NOON), outcome="converged", ended=1)
    mail = Mail("ann", 9, "m", rfc3339(NOON), "bob", "Look", "note", "normal", None)
    state = State(sprints=(started,), unread={"ann": (mail,)})
    parked = {"ann": Parked(NOON + timedelta(minutes=20), "usage limit reached", "shell")}
    soon = NOON + timedelta(minutes=1)
    assert due(state, settings, soon, None).personas == ("ann",)
    request = due(state, settings, soon, None, parked=parked)
    assert (request.start, request.until) == (None, NOON + timedelta(minutes=20))
    later = due(state, settings, NOON + timedelta(hours=1), None, parked=parked)
    assert (later.start, later.personas) == ("every 3600 s", ())


def test_a_service_that_names_no_time_is_asked_again_after_growing_pauses(team, clock):
    """A minute, two, four and eight: no attempt is spent, and no agent is called broken."""
    service = Service(clock, 0, "429 Too Many Requests", NOON + timedelta(minutes=15))
    result, waits, runs = sprint_on(team, clock, service.play, ONCE, NAMES[:1])
    assert (result.converged, result.patches) == (True, 1)
    minutes = [(when - NOON) / timedelta(minutes=1) for _, when in service.refused]
    assert minutes == [0, 1, 3, 7]
    assert (clock.now() - NOON) == timedelta(minutes=15)
    assert [run.status for run in runs] == ["limited"] * 4 + ["ok"]
    assert waits[0].skips[0].why == (
        "parked until 12:01:00Z by agent shell: exit 1; the agent reported an error: 429 Too Many Requests"
    )


def test_a_service_that_names_milliseconds_is_asked_after_the_same_pauses(team, clock):
    """Or it would be asked as fast as runs can start."""
    service = Service(clock, 0, "rate limit reached. Please try again in 20ms.", NOON + timedelta(minutes=15))
    result, _, _ = sprint_on(team, clock, service.play, ONCE, NAMES[:1])
    assert result.converged
    assert [(when - NOON) / timedelta(minutes=1) for _, when in service.refused] == [0, 1, 3, 7]


def test_a_service_that_never_takes_more_is_given_up(team, clock):
    """What looks like a refusal for ever is none; ten are believed."""
    service = Service(clock, 0, "429 Too Many Requests", NOON + timedelta(days=365))
    result, _, runs = sprint_on(team, clock, service.play, ONCE.replace('= "1d"', '= "90d"'), NAMES[:1])
    assert (result.outcome, result.set_aside) == ("spent", (NAMES[0],))
    assert [run.status for run in runs] == ["limited"] * 11


def test_a_refusal_narrows_the_agent_and_each_success_widens_it(team, clock):
    """Of eight at once, all are refused; a minute later four go on at once, though eight are due."""
    refused, came, together = threading.Barrier(8, timeout=60), [], []
    turn = threading.Lock()
    four = threading.Barrier(4, action=lambda: together.append(len(came)), timeout=60)

    def play(job):
        if clock.now() == NOON:
            refused.wait()
            return Outcome("failed", 1, 0.0, "the service is overloaded")
        with turn:
            came.append(job.persona)
            is_first = len(came) <= 4
        if is_first:
            four.wait()
        (job.workspace / f"{job.persona}.txt").write_text("done\n")
        return None

    result, _, runs = sprint_on(team, clock, play, ONCE, NAMES[:8])
    assert (result.converged, result.patches, together) == (True, 8, [4])
    assert Counter(run.status for run in runs) == {"limited": 8, "ok": 8}


def test_an_agent_has_a_limit_of_its_own(team, clock):
    """A model on this machine serves one after the other, whatever the sprint allows."""
    busy, most, turn = [], [0], threading.Lock()

    def play(job):
        with turn:
            busy.append(job.persona)
            most[0] = max(most[0], len(busy))
        threading.Event().wait(0.01)
        with turn:
            busy.remove(job.persona)

    context = team.context(dict.fromkeys(("ann", "bob", "cyd"), play), ONCE)
    table = context.settings.agents["shell"].model_copy(update={"max_parallel": 1})
    settings = context.settings.model_copy(update={"agents": {"shell": table}})
    object.__setattr__(context, "settings", settings)
    assert run_sprint(Ticker(context, BatchRunner(context)), StartRequest("asked for"))
    assert most == [1]
