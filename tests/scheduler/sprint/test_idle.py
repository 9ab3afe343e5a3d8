"""Repeated idle ticks: the same answer from the log's last line alone, for as long as it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.letter import Letter
from team_mail.scheduler.errors import NotLeader
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.idle import again, seen
from team_mail.scheduler.sprint.triggers import due

from ...conftest import run_batch

WHY = "nothing is due"


@pytest.fixture
def clock(team):
    """A clock at the time of the team's last event, and an hour before anything is due."""
    ticker = team.ticker()
    ticker.context.mailbox.send(Letter("ann", ["you"], "Good morning"))
    clock = ManualClock(ticker.context.clock.now())
    ticker.seen = seen(team.home, ["auto"], {})
    run_batch(ticker, StartRequest(otherwise=WHY, until=clock.now() + timedelta(hours=1)))
    clock.sleep(60)
    return clock


def test_a_repeated_idle_tick_writes_one_event(team, clock):
    """Each repetition is recorded, until the time at which a sprint is due."""
    for _ in range(3):
        assert again(team.home, seen(team.home, ["auto"], {}), clock) == WHY
    assert team.kinds() == ["log.opened", "mail.sent", *["tick.done"] * 4]
    clock.sleep(3600)
    assert again(team.home, seen(team.home, ["auto"], {}), clock) is None
    clock.sleep(-7200)
    assert again(team.home, seen(team.home, ["auto"], {}), clock) is None, "a clock set back tells nothing"


def test_mail_that_arrives_during_an_idle_tick_is_seen_by_the_next(team):
    """Events between the state that was read and the event that was written have not been considered."""
    ticker = team.ticker()
    ticker.context.mailbox.send(Letter("ann", ["you"], "Good morning"))
    clock = ManualClock(ticker.context.clock.now())
    ticker.seen = seen(team.home, ["auto"], {})
    state = ticker.read()
    ticker.context.mailbox.send(Letter("you", ["ann"], "Just now"))
    ticker.tick(StartRequest(otherwise=WHY, until=clock.now() + timedelta(hours=1)), state)
    clock.sleep(1)
    assert again(team.home, ticker.seen, clock) is None


def test_anything_that_could_change_the_answer_causes_a_full_tick(team, clock):
    """Mail, a pause, changed settings, roster, flags or variables."""
    before = seen(team.home, ["auto"], {})
    assert again(team.home, seen(team.home, ["parallel"], {}), clock) is None
    assert again(team.home, seen(team.home, ["auto"], {"TEAM_SPRINT_EVERY": "1s"}), clock) is None
    (team.home / "personas" / "dan.md").write_text("Do.\n")
    assert again(team.home, seen(team.home, ["auto"], {}), clock) is None
    (team.home / "personas" / "dan.md").unlink()
    team.context(settings="[sprint]\nevery = 60\n")
    assert again(team.home, seen(team.home, ["auto"], {}), clock) is None
    assert again(team.home, before, clock) == WHY
    team.context().mailbox.send(Letter("you", ["ann"], "Wake up"))
    assert again(team.home, before, clock) is None


def test_an_idle_tick_is_refused_while_another_scheduler_leads(team, clock):
    """T16 holds for idle ticks, too."""
    with Leader(team.home / "work"), pytest.raises(NotLeader):
        again(team.home, seen(team.home, ["auto"], {}), clock)


def test_mail_beyond_the_hourly_limit_is_considered_again_later(team):
    """The limit on sprints by mail ends with time, which no event reports."""
    context = team.context()
    for _ in range(12):
        team.sprint({}, request=StartRequest("unread mail for ann", personas=("ann",)))
    context.mailbox.send(Letter("bob", ["ann"], "Again", run="of bob"))
    request = due(context.state(), context.settings.sprint, context.clock.now(), None)
    assert request.start is None
    assert request.until <= context.clock.now()


def test_a_second_idle_tick_loads_neither_database_nor_settings(team):
    """It runs in a process of its own, as from cron."""
    team.sprint({})
    code = (
        "import sys; sys.argv = ['scheduler', 'tick']\n"
        "from team_mail.team.commands.scheduler import app\n"
        "app(standalone_mode=False); print(*{name.split('.')[0] for name in sys.modules})"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "COV"))}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=team.folder, env=environ, check=True, capture_output=True, text=True
        )
        for _ in range(2)
    ]
    first, second = (ended.stdout.split("\n", 1) for ended in outputs)
    assert first[0] == second[0]
    assert first[0].startswith("idle: the next sprint is due at")
    assert {"duckdb", "pydantic"} <= set(first[1].split())
    assert not {"duckdb", "pydantic", "yaml", "jinja2", "psutil", "rich"} & set(second[1].split())
