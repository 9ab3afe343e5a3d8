"""The state that a tick works with: as current as the log, without reading it again for what was written here."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft, Event
from team_mail.mail.mailbox import Mailbox
from team_mail.scheduler.sprint.control import approve_patch, pause
from team_mail.scheduler.sprint.decide import StartRequest
from team_mail.scheduler.sprint.loop import run_sprint
from team_mail.scheduler.sprint.tick import Ticker

from ...conftest import run_batch

ASKED = StartRequest("asked for")
READS = {"scheduler.state.began", "scheduler.state.schedule", "unread"}
WORKFLOW = ".github/workflows/test.yml"


class Counting:
    """Projections that note which of them is read at which head of the log."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self.reads: list[tuple[str, int]] = []

    def rows(self, name, **arguments):
        self.reads.append((name, self._mailbox.log.head().seq))
        return self._mailbox.projections.rows(name, **arguments)

    def lacks(self, *texts):
        return self._mailbox.projections.lacks(*texts)


def counted(ticker: Ticker) -> Counting:
    """Let a ticker count what it reads."""
    mailbox = ticker.context.mailbox
    counting = Counting(mailbox)
    mailbox = Mailbox(mailbox.log, mailbox.blobs, counting, mailbox.directory)
    ticker.context = ticker.dispatcher.context = replace(ticker.context, mailbox=mailbox)
    return counting


def test_a_sprint_of_three_ticks_reads_the_log_at_most_once_per_change(team):
    """What the sprint itself writes is folded; no projection is ever read twice at the same head of the log."""

    def play(job):
        team.replaced(3 if job.attempt == 1 else 8, job.persona)(job)

    ticker = team.ticker({"ann": play, "bob": play, "cyd": team.replaced(23, "cyd")})
    projections = counted(ticker)

    summary = run_sprint(ticker, ASKED)

    assert summary
    assert (summary.ticks, summary.converged) == (3, True)
    reads = [(name, head) for name, head in projections.reads if name in READS]
    began = [head for name, head in reads if name == "scheduler.state.began"]
    print(f"a sprint of 3 ticks read where it began {len(began)} times, and {len(reads)} projections of its state")
    assert len(reads) == len(set(reads))
    assert len(began) == 2, "once at first, and once when the sprint began"
    assert len([head for name, head in reads if name != "scheduler.state.schedule"]) <= 6


def test_what_was_folded_is_what_reading_gives(team):
    """At every turn of a sprint with a conflict, mail and a failed run the state is that of a fresh reading."""
    context = team.context()

    def ann(job):
        context.mailbox.send(Letter("ann", ["bob"], "Please", "Read this.", run=job.run))
        team.replaced(3 if job.attempt == 1 else 8, "ann")(job)

    def bob(job):
        if job.attempt == 1:
            raise OSError("no connection")
        team.replaced(3, "bob")(job)

    ticker = team.ticker({"ann": ann, "bob": bob}, "[sprint]\nretry_backoff = 0\n")
    for _ in range(6):
        done = run_batch(ticker)
        fresh = team.context().state(whole=False)
        kept = ticker.context.state(whole=False)
        assert kept == fresh
        if done.plan.finish:
            break
    assert done.plan.finish


def test_what_others_write_is_seen_at_the_next_reading(team):
    """Mail from outside and a pause by a person move the log's head, so the state is read again."""
    context = team.context()
    assert context.state(whole=False).paused is None

    team.context().mailbox.send(Letter("you", ["ann"], "Just now"))
    pause(team.context(), "you")
    context.append([])

    state = context.state(whole=False)
    assert "paused by you" in str(state.paused)
    assert [mail.subject for mail in state.unread["ann"]] == ["Just now"]


# -- what a tick reads of a long history: enough to decide by, and no more


def played(team, number):
    """One persona's change is held, as all of workflows are; the others change a line each."""

    def automate(job):
        path = job.workspace / WORKFLOW
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"name: sprint {number}\n")

    return {"ann": automate, "bob": team.replaced(number, "bob"), "cyd": team.replaced(20 + number, "cyd")}


def test_a_tick_reads_the_last_sprint_and_what_was_held_before(team):
    """Of the first sprint's runs that one is left whose patch may still be approved; what the last did is all there."""
    team.sprint(played(team, 0))
    team.sprint(played(team, 1) | {"ann": team.replaced(10, "ann")})
    context = team.context()

    whole, recent = context.state(), context.state(whole=False)

    assert [(patch.persona, patch.sprint) for patch in recent.of("held")] == [("ann", 1)]
    assert [patch for patch in recent.patches if patch.sprint == 2] == [p for p in whole.patches if p.sprint == 2]
    assert len(recent.patches) == 4
    assert recent.sprints[-1] == whole.sprints[-1]
    assert [sprint.number for sprint in recent.sprints] == [1, 2]
    assert recent.unread == whole.unread


def test_a_patch_held_two_sprints_ago_still_lands(team):
    """An approval is acted on by the next sprint, however old the patch is."""
    team.sprint(played(team, 0))
    team.sprint({"bob": team.replaced(5, "bob")})
    approve_patch(team.context(), "ann", "you")

    result = team.sprint({})

    assert team.text(result.branch, WORKFLOW) == ["name: sprint 0"]


def test_questions_in_turn_see_a_log_that_grows(team):
    """The table that a question of several parts reads its lines from is made anew when there are new lines."""
    context = team.context()
    for number in range(1, 4):
        team.sprint({"ann": team.replaced(number, "ann")})
        assert [sprint.number for sprint in context.state(whole=False).sprints] == [*range(1, number + 1)]
        assert context.state().number == number


def test_appends_of_several_threads_are_under_way_at_once_and_a_reading_waits_for_those_before_it(team):
    """So they share a flush of the disk; the state that is read has what they wrote without reading the log again."""
    context, written, goes_on = team.ticker({}).context, threading.Semaphore(0), threading.Event()
    context.state(whole=False)

    def append(number: int) -> None:
        def write() -> list[Event]:
            events = context.mailbox.log.append([Draft("mail.sent", "ann", ("bob",), f"mail {number}", "x")])
            written.release()
            goes_on.wait(30)
            return events

        context._recent.append(write)

    with ThreadPoolExecutor(3) as threads:
        appends = [threads.submit(append, number) for number in range(2)]
        assert all(written.acquire(timeout=30) for _ in appends)
        reading = threads.submit(context.state, whole=False)
        assert not reading.done()
        goes_on.set()
        state = reading.result(30)
        assert [append.result(30) for append in appends] == [None, None]
    assert {mail.subject for mail in state.unread["bob"]} == {"mail 0", "mail 1"}
