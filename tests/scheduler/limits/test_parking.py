"""Who is parked until when, and how many runs of an agent may go on at once: pure functions of the runs so far."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.scheduler.limits.parking import Width, excess, moment_text, parked_until, width_of
from team_mail.scheduler.state.facts import Run
from team_mail.scheduler.state.windows import left_parked

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


def at(minutes: float) -> str:
    return rfc3339(START + timedelta(minutes=minutes))


def run(persona, began, ended, status="ok", agent="claude", until=None):
    return Run(
        f"{persona}-{began}", persona, 1, 1, 1, "b", agent, "batch", at(began), status=status, finished=at(ended),
        detail="usage limit reached", until=at(until) if until is not None else None,
    )  # fmt: skip


def parked(runs, persona="ann", agent="claude", minutes=10.0):
    own = [run for run in runs if run.persona == persona]
    found = parked_until(agent, own, runs, START + timedelta(minutes=minutes))
    return found and (found[0] - START) / timedelta(minutes=1)


def test_a_window_with_a_time_parks_everybody_of_that_agent():
    """Also those who have not run yet; another agent is let alone, and so is everybody once it is over."""
    runs = [run("bob", 0, 5, "limited", until=360)]
    assert (parked(runs, "ann"), parked(runs, "bob")) == (360, 360)
    assert parked(runs, "ann", "codex") is None
    assert parked(runs, "ann", minutes=360) is None
    assert parked(runs, "bob", minutes=361) is None


def test_a_success_that_began_after_the_refusal_opens_it_again():
    """One that was under way then says nothing."""
    refused = run("bob", 0, 5, "limited", until=360)
    assert parked([refused, run("cyd", 1, 9)]) == 360
    assert parked([refused, run("cyd", 6, 9)]) is None


def test_without_a_time_the_pause_doubles_with_each_refusal():
    """Up to ten minutes; a run that was not refused begins anew."""
    runs = [run("ann", 0, 10, "limited")]
    assert (parked(runs), parked(runs, "bob"), parked(runs, minutes=11)) == (11, None, None)
    for number, pause in ((2, 2), (3, 4), (4, 8), (5, 10), (6, 10), (40, 10)):
        assert parked([run("ann", 0, 10, "limited")] * number) == 10 + pause
    assert parked([*runs, run("ann", 0, 10), *runs]) == 11


def test_the_eleventh_refusal_in_a_row_counts_as_a_failure():
    """A success begins anew; other ends in between do not."""
    limited, ok = run("ann", 0, 10, "limited"), run("ann", 0, 10)
    assert [excess([limited] * number) for number in (0, 10, 11, 13)] == [0, 0, 1, 3]
    assert excess([*[limited] * 10, run("ann", 0, 10, "lost"), limited]) == 1
    assert excess([*[limited] * 10, ok, *[limited] * 10]) == 0


def test_a_sprint_says_which_agents_were_parked_at_its_end():
    """With the day, or that nobody knows; nothing of those whose service took more since."""
    timed, untimed = run("ann", 0, 10, "limited", until=360), run("bob", 0, 10, "limited", agent="codex")
    over = run("cyd", 0, 10, "limited", agent="qwen", until=12)
    assert left_parked([timed, untimed, over, run("dan", 0, 10, agent="gemini")], START + timedelta(minutes=20)) == (
        "agent claude is parked until 2026-11-30 18:00:00Z: usage limit reached",
        "the service of agent codex took no more of bob, until an unknown time: usage limit reached",
    )
    assert moment_text(START, START - timedelta(days=1)) == "2026-11-30 12:00:00Z"


def test_an_early_time_shortens_no_pause():
    """Try again in 20 ms is a minute, two, four for whom it was said to, and nothing to the others."""
    runs = [run("ann", 0, 10, "limited", until=10.001)]
    assert (parked(runs), parked(runs, minutes=10.5), parked(runs, "bob", minutes=10.5)) == (11, 11, None)
    assert parked(runs * 3, minutes=12) == 14
    assert parked([run("ann", 0, 10, "limited", until=12)]) == 12


def test_the_width_halves_once_for_the_runs_that_were_under_way_and_grows_by_one():
    """Eight at once are refused together: that is one sign of congestion, not eight."""
    refused = [run(f"p{n}", 0, 5 + n / 100, "limited") for n in range(8)]
    assert width_of("claude", refused, 8).now == 4
    later = [run("a", 6, 7), run("b", 6, 7)]
    assert width_of("claude", [*refused, *later], 8).now == 6
    again = [run(f"q{n}", 8, 9, "limited") for n in range(3)]
    assert width_of("claude", [*refused, *later, *again], 8).now == 3
    assert width_of("codex", [*refused, *again], 8).now == 8
    assert width_of("claude", [*refused, *(run("a", 10, 11 + n) for n in range(30))], 8).now == 8


@given(st.lists(st.sampled_from(["ok", "limited", "failed"]), max_size=60), st.integers(1, 20))
def test_the_width_is_at_least_one_and_at_most_what_is_set(statuses, most):
    """Whatever happens, somebody can try."""
    width = Width(most)
    for minute, status in enumerate(statuses):
        width.ended(status, at(minute), at(minute + 0.5))
        assert 1 <= width.now <= most


@pytest.mark.parametrize("status", ["failed", "timeout", "lost", "stopped"])
def test_other_ends_change_no_width(status):
    """They say nothing about the service."""
    assert width_of("claude", [run("a", 0, 1, status)], 5).now == 5
