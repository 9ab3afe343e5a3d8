"""Rounds one after the other: each has a reason, looking costs nothing, and what does not help is shown to a person."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import SystemClock
from team_mail.mail.letter import Letter
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.settings.supervision import SupervisorSettings
from team_mail.scheduler.sprint.daemon import Daemon
from team_mail.scheduler.sprint.decide import ASKED, StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.state.facts import Decided, Sprint
from team_mail.scheduler.state.sprints import State
from team_mail.scheduler.supervisor.continuous import LANDED_SOMETHING, Continuous, reason_for, why_to_pause
from team_mail.scheduler.supervisor.supervise import supervision

from .test_rounds import TEAM, of, orion, reports  # noqa: F401 - a fixture

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def sprint(number, *commits, base="b"):
    return Sprint(number, "s", "main", base, "team", "parallel", "", "", (), "2026-11-30T00:00:00Z", commits=commits)


BOTH = (sprint(1, "a"), sprint(2, "b"))
OWN = tuple(replace(sprint(number, "a"), reason=LANDED_SOMETHING) for number in (1, 2, 3))


def decided(number, *blocks):
    return Decided(number, f"c{number}", f"t{number}", "x", blocks, (), number)


@pytest.mark.parametrize(
    ("state", "hint", "settings", "reason"),
    [
        (State(), "", {}, "the first round"),
        (State((sprint(1),)), "", {}, None),
        (State((sprint(1),)), "moved", {}, "the base has moved"),
        (State((sprint(1, "c"),)), "changed", {}, "the last round landed something"),
        (State((sprint(1, "c1"), sprint(2, base="c1")), decided=(decided(1, "ui"),)), "", {}, "gate ui blocks"),
        (State((sprint(1, "c1"), sprint(2, base="c1")), decided=(decided(1),)), "", {}, None),
        (State((sprint(1, "c1"), sprint(2)), decided=(decided(1, "ui"),)), "", {}, None),
        (State((sprint(1),)), "", {"improve": True}, "improve = true"),
    ],
)
def test_a_round_is_started_for_a_reason_alone(state, hint, settings, reason):
    moved, changed = hint == "moved", hint == "changed"
    assert reason_for(state, SupervisorSettings(**settings), moved=moved, changed=changed) == reason


@pytest.mark.parametrize(
    ("sprints", "decisions", "why"),
    [
        (BOTH, (decided(1, "ui"), decided(2, "ui")), "2 rounds in a row were blocked by gate ui"),
        (BOTH, (decided(1, "ui"), decided(2, "qa")), None),
        (BOTH, (decided(1, "ui"), decided(2)), None),
        (BOTH, (decided(1, "ui"), decided(1), decided(2, "ui")), None),
        ((sprint(1, "a"), sprint(2), sprint(3), sprint(4)), (), "nothing landed in 3 rounds in a row"),
        ((sprint(1), sprint(2), sprint(3, "a")), (), None),
        (OWN, (), "3 rounds in a row began only because the one before had landed something"),
        ((*OWN[:2], replace(OWN[2], reason="the base has moved")), (), None),
    ],
)  # fmt: skip
def test_rounds_that_do_not_help_are_shown_to_a_person(sprints, decisions, why):
    settings = SupervisorSettings(fix_streak=2, silent_rounds=3, own_rounds=3)
    assert why_to_pause(State(sprints, decided=decisions), settings) == why


def test_what_is_looked_for_is_said_once_and_ever_less_often(orion):  # noqa: F811
    """1, 2, 4, 8, 16 and then 20 seconds; what happens begins anew."""
    context = orion.context({}, TEAM)
    rhythm, quiet = Continuous(), State((sprint(1, base=orion.git("rev-parse", "main")),))
    turns = [rhythm.turn(context, quiet, NOW) for _ in range(7)]
    assert [turn.rest.total_seconds() for turn in turns] == [1, 2, 4, 8, 16, 20, 20]
    assert [bool(turn.why) for turn in turns] == [True] + 6 * [False]
    assert "1 s, 2 s, 4 s, 8 s, 16 s, 20 s" in turns[0].why
    assert rhythm.turn(context, State(), NOW).request.start == "the first round"
    assert rhythm.turn(context, quiet, NOW).rest == timedelta(seconds=1)


def test_rounds_end_with_what_they_may_take(orion):  # noqa: F811
    context = orion.context({}, TEAM + '[supervisor]\nmax_rounds = 2\nmax_time = "1h"\n')
    rhythm = Continuous()
    assert not rhythm.turn(context, State(), NOW).over
    assert rhythm.turn(context, State(), NOW + timedelta(hours=1)).over
    rhythm = Continuous(rounds=2)
    assert rhythm.turn(context, State(), NOW).why == "2 rounds done, which is [supervisor] max_rounds"


def leading(team, scripts, settings, until, *, enough=60.0):
    """Lead a team by rounds until a line says so; return what was said and the events."""
    said, over = [], threading.Event()
    context = team.context(scripts, settings)

    def say(text):
        said.append(text)
        if until in text:
            over.set()

    ticker = Ticker(context, BatchRunner(context, leaving=threading.Event()), supervision=supervision)
    rhythm = Continuous(lambda progress: say(progress.text))
    daemon = Daemon(
        ticker, lambda: context, say, lambda summary: say(f"round {summary.sprint}: {summary.decision}"), rhythm
    )
    thread = threading.Thread(target=daemon.run)
    thread.start()
    try:
        assert over.wait(enough), said
    finally:
        daemon.end()
        thread.join()
    return said, [*context.mailbox.log.read()]


def test_rounds_follow_each_other_while_something_lands_and_then_rest(orion):  # noqa: F811
    """Each builds on what the one before has landed; when nothing lands, nobody is launched."""

    def nova(job):
        text = (job.workspace / "poem.txt").read_text()
        if text.count("nova") < 2:
            orion.replaced(3 if "nova" not in text else 13, "nova")(job)

    said, events = leading(orion, {"nova": nova, "cipher": reports(veto=False)}, TEAM, "looking again")
    rounds = [event.data["reason"] for event in of(events, "sprint.started")]
    assert rounds == ["the first round", "the last round landed something", "the last round landed something"]
    assert [event.data["decision"] for event in of(events, "round.decided")] == 2 * ["APPROVED - Deploy"]
    assert said[-1].startswith("nothing has changed since; looking again in 1 s, 2 s")
    assert orion.git("show", "team/sprint-2:poem.txt").count("nova") == 2


def test_a_streak_of_blocked_rounds_is_paused_until_a_person_lets_it_go_on(orion):  # noqa: F811
    """Then the streak begins anew."""
    settings = TEAM + "[supervisor]\nfix_streak = 2\n"
    scripts = {"nova": lambda job: orion.replaced(3, f"SQL {job.run}")(job), "cipher": reports(veto=True)}
    _, events = leading(orion, scripts, settings.replace("[teams", "max_attempts = 1\n[teams", 1), "paused:")
    (paused,) = of(events, "round.paused")
    assert paused.data["why"] == "2 rounds in a row were blocked by gate security"
    assert len(of(events, "sprint.started")) == 2
    mail = [event for event in of(events, "mail.sent") if event.subject.startswith("Rounds are paused")]
    assert (len(mail), mail[0].recipients) == (1, ("you",))
    assert "cipher vetoes" in mail[0].body
    state = orion.context({}, settings).state(whole=False)
    assert state.paused == "paused after round 2: 2 rounds in a row were blocked by gate security"


def test_mail_starts_a_round_for_who_got_it(orion):  # noqa: F811
    """A person wrote: the round is theirs alone."""
    context = orion.context({"nova": lambda job: None}, TEAM)
    run_sprint(Ticker(context, BatchRunner(context), supervision=supervision), StartRequest(ASKED))
    state = context.state(whole=False)
    assert Continuous().turn(context, state, SystemClock().now()).request.start is None
    context.mailbox.send(Letter("you", ["nova"], "Please", "look"))
    turn = Continuous().turn(context, context.state(whole=False), SystemClock().now())
    assert (turn.request.start, turn.request.personas) == ("unread mail for nova", ("nova",))
