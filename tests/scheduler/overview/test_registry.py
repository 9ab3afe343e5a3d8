"""The registry: a status is computed from what is on record, what is alive, and who is there."""

from __future__ import annotations

import itertools

import pytest
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself
from team_mail.scheduler.kinds import AgentStatus, Kind
from team_mail.scheduler.leader import Leader
from team_mail.scheduler.overview.registry import last_of, registry, status_of
from team_mail.scheduler.state.facts import Fact


def end(seq, status):
    kind = Kind.RUN_LOST if status == "lost" else Kind.RUN_FINISHED
    return Fact(seq, f"2026-01-01T09:00:{seq:02}Z", kind, "scheduler", None, f"r{seq}", {"status": status}, "")


def test_what_is_wrong_goes_before_what_goes_on():
    """Of all combinations: stale first, then busy, error, offline; available only if nothing speaks against it."""
    for stale, busy, wrong, fails, attended in itertools.product([0, 1], [0, 1], [0, 1], [0, 2, 3], [0, 1]):
        status = status_of(
            stale=bool(stale), busy=bool(busy), trouble="x" * wrong, fails=fails, attended=bool(attended)
        )
        expected = [AgentStatus.STALE] * stale + [AgentStatus.BUSY] * busy
        expected += [AgentStatus.ERROR] * (wrong or fails == 3)
        expected += [AgentStatus.AVAILABLE if attended else AgentStatus.OFFLINE]
        assert status == expected[0]


@pytest.mark.parametrize(
    ("ends", "status", "times"),
    [
        ("failed timeout failed", "failed", 3),
        ("failed ok failed", "failed", 1),
        ("ok failed", "ok", 1),
        ("lost failed failed", "lost", 1),
    ],
)
def test_the_last_result_says_how_often_in_a_row_runs_failed(ends, status, times):
    """The newest is first; a run that was lost is no failure of its agent."""
    words = ends.split()
    last = last_of([end(50 - at, word) for at, word in enumerate(words)])
    assert (last.run, last.status, last.times) == ("r50", status, times)
    assert last_of([]) is None


def test_the_registry_has_every_persona_with_its_runs_results_and_mail(team):
    """Dispatches and sprints count alike; who leads makes them available."""
    team.sprint({"ann": team.replaced(1, "ann"), "bob": lambda _: 1 / 0}, '[sprint]\nretry_backoff = "0s"\n')
    context = team.context({})
    context.mailbox.send(Letter("you", ["cyd"], "Please", "Look."))
    (team.home / "personas" / "cyd.md").write_text("---\nid: cyd\nrole: tester\npaths: [tests/**]\n---\nTest.\n")
    run = {"sprint": 0, "persona": "cyd", "attempt": 1, "tick": 0, "base": "", "agent": "shell", "reason": "task"}
    run |= {"dispatch": "d-1", "task": "a", "mail": [], "supervisor": myself(), "input": {}}
    context.append([Draft(Kind.RUN_STARTED, "scheduler", run="of-cyd", data=run)])
    context = team.context({})

    offline = {each.name: each for each in registry(context, context.clock.now()).agents}
    with Leader(team.home / "work"):
        found = {each.name: each for each in registry(context, context.clock.now()).agents}

    assert [*found] == ["ann", "bob", "cyd"]
    assert {name: each.status for name, each in found.items()} == {"ann": "available", "bob": "error", "cyd": "busy"}
    assert offline["ann"].status == AgentStatus.OFFLINE
    assert (found["ann"].last.status, found["bob"].last.status, found["bob"].last.times) == ("ok", "failed", 3)
    cyd = found["cyd"].document()
    assert (cyd["runs"], cyd["unread"], cyd["capabilities"]) == (
        ["of-cyd"], 1, ["tester", "sprints", "dispatches", "changes tests/**"],
    )  # fmt: skip
    assert cyd["last_seen"] >= context.clock.now().isoformat()[:10]
