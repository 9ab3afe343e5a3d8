"""While a team is led, its sprints are published as they end, and what is new at the forge is taken and told."""

from __future__ import annotations

import queue

import pytest
from team_mail.scheduler.forge.watch import Watcher, nudge
from team_mail.team.api.outside.forge import look

PATIENCE = 60


@pytest.fixture
def playing(team, forge, sprint, opened):
    """A team whose sprint has ended, and that takes what has the label "team"."""
    sprint({"ann": team.replaced(3, "by ann")})
    forge.repository.open_issue("octo", "Dull", labels=("team",))
    forge.repository.open_issue("stranger", "Coins", labels=("team",))
    return opened('publish = "pr"\nlabels = ["team"]\nto = "bob"\npoll = "1h"\n')


def test_all_that_is_due_is_done_and_nothing_twice(playing, forge):
    """A stranger's issue is refused, and the human told once."""
    assert [*look(playing)] == [
        "sprint 1: pull request 3 opened, https://forge.example/octo/app/pull/3",
        "issue 1 taken",
        "told what became of it: 1",
    ]
    head = playing.mailbox.log.head()
    assert [*look(playing)] == []
    assert playing.mailbox.log.head() == head
    told = [(each.recipients, each.subject) for each in playing.mailbox.log.read() if each.kind == "mail.sent"][-2:]
    assert {*told} == {(("bob",), "Issue 1: Dull"), (("you",), "issue 2 is not taken")}


def test_a_leading_scheduler_looks_at_once_when_it_is_told_of_news(playing, forge):
    """It goes on after a limit and an error, each said once; a webhook that says there is news saves the wait."""
    heard = queue.Queue()
    forge.refuse("GET", "/pulls", 429, "Slow down", Retry_After="61")
    forge.refuse("GET", "/pulls", 404, "Not Found")
    with Watcher(playing, heard.put) as watcher:
        watcher.renew(playing)
        assert heard.get(timeout=PATIENCE).startswith("the forge: 127.0.0.1 takes no more calls until ")
        nudge(playing.home)
        assert heard.get(timeout=PATIENCE) == "issue 1 taken"  # whatever hinders the sprint
        assert heard.get(timeout=PATIENCE) == "told what became of it: 1"
        assert heard.get(timeout=PATIENCE).startswith(
            "the forge: 127.0.0.1 answered 404 to GET /api/v3/repos/octo/app/pulls: Not Found; look at"
        )
        nudge(playing.home)
        assert heard.get(timeout=PATIENCE).startswith("sprint 1: pull request 3 opened")
        forge.repository.open_issue("octo", "Long", labels=("team",))
        nudge(playing.home)
        assert heard.get(timeout=PATIENCE) == "issue 4 taken"
