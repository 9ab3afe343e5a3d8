"""A sprint as of a moment: what its own events up to then say is what the whole log up to then says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from team_mail.mail.clock import ManualClock
from team_mail.mail.directory import WEAVER
from team_mail.mail.log.log import EventLog
from team_mail.mail.query.rows import FileProjections
from team_mail.scheduler.kinds import PatchStatus
from team_mail.scheduler.moments.moment import moments
from team_mail.scheduler.moments.order import orders
from team_mail.scheduler.moments.verdicts import verdicts
from team_mail.scheduler.state import reading
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.metrics import measure
from team_mail.scheduler.state.recent import fact_of_event
from team_mail.scheduler.state.summary import summary
from team_mail.team.api import records
from team_mail.team.open import open_team

from ..state.test_reading import NAMES, UNDOES, Story

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    """A story of twelve sprints in many small files, its events, and the projections over it."""
    log = EventLog(tmp_path_factory.mktemp("past") / "mail", clock=ManualClock(NOW - timedelta(days=9)),
                   segment_bytes=30_000)  # fmt: skip
    story = Story(log, log._clock, 7)
    for _ in range(11):
        story.sprint()
    story.sprint(end=False)
    assert len([*log.segments]) > 3
    return [*log.read()], FileProjections(log)


def oracle(events, seq):
    """Fold the log from its beginning up to a seq, without the events of dispatches."""
    facts = (fact_of_event(event) for event in events if event.seq <= seq)
    return fold(fact for fact in facts if fact.data.get("dispatch") is None)


def fate(patch):
    return patch.run, patch.status, patch.tick, patch.why, patch.approvals


def figures(state, sprint):
    return replace(measure(state, sprint, NOW), measured=None)  # it is compared with a sprint of the whole log


def unread(events, seq):
    """Keep what is unread of each persona by taking one event of the log after the other."""
    marks: dict[tuple[str, str], set[str]] = {}
    letters = [event for event in events if event.kind == "mail.sent" and event.seq <= seq]
    for event in events:
        verb = event.kind.partition(".")[2]
        if event.kind.startswith("mail.") and event.kind != "mail.sent" and event.seq <= seq:
            own = marks.setdefault((event.ref, event.sender), set())
            own.discard(UNDOES[verb]) if verb in UNDOES else own.add(verb)
    return {
        name: left
        for name in NAMES
        if (left := [letter.seq for letter in letters if name in letter.recipients
                     and not marks.get((letter.id, name), set()) & {"read", "archived", "trashed"}])
    }  # fmt: skip


def test_the_state_at_a_seq_is_that_of_the_log_up_to_it(past):
    """For moments of all sprints: figures, runs, patches, and what waits, from the events of the sprint alone."""
    events, projections = past
    for span in reading.read_spans(projections, 20):
        facts, last = reading.read_moments(projections, span), span.until or events[-1].seq + 1
        for seq in range(span.seq, last, 11):
            own, whole = fold(fact for fact in facts if fact.seq <= seq), oracle(events, seq)
            sprint, theirs = own.sprints[-1], whole.sprints[-1]
            assert sprint == theirs
            assert figures(own, sprint) == figures(whole, theirs)
            assert summary(own, sprint, NOW) == summary(whole, theirs, NOW)
            assert own.aside == whole.aside
            waiting = (PatchStatus.HELD, PatchStatus.PENDING)
            assert [*map(fate, own.of(*waiting))] == [*map(fate, whole.of(*waiting))]


def test_inboxes_at_a_seq_are_those_of_the_log_up_to_it(past):
    """In whatever file the seq is, and whatever was read, and undone, later."""
    events, projections = past
    for seq in range(1, events[-1].seq + 2, 23):
        inboxes = reading.read_inboxes(projections, NAMES, seq + 1)
        assert {name: [mail.seq for mail in inbox.mail] for name, inbox in inboxes.items()} == unread(events, seq)
        assert {name: inbox.unread for name, inbox in inboxes.items()} == {
            name: len(left) for name, left in unread(events, seq).items()
        }


def test_inboxes_have_the_last_messages_and_count_all(past):
    """An inbox may have thousands of messages."""
    events, projections = past
    seq = events[-1].seq
    for name, inbox in reading.read_inboxes(projections, NAMES, seq + 1, 2).items():
        left = unread(events, seq)[name]
        assert [mail.seq for mail in inbox.mail] == left[-2:]
        assert inbox.unread == len(left)


def test_moments_are_told_in_the_order_of_the_log(past):
    """Each fact of a sprint that has a meaning for people has one line, at its own seq."""
    events, projections = past
    (span,) = reading.read_spans(projections, 1, 4)
    facts = [fact for fact in reading.read_moments(projections, span) if span.seq <= fact.seq < (span.until or 0)]
    letters = reading.read_letters(projections, span.seq, span.until)

    told = moments(facts, letters)

    sent = [event.seq for event in events if event.kind == "mail.sent" and span.seq <= event.seq < span.until]
    assert [each.seq for each in told] == sorted([*(fact.seq for fact in facts), *sent])
    assert told[0].text.startswith("sprint 3 starts")
    assert not any("None" in each.text or "somebody" in each.text for each in told if each.kind.startswith("run."))


def test_a_weave_names_whom_it_decided_and_why(past):
    """Whoever landed has a place, whoever did not has none, and nobody is in two weaves but by a later decision."""
    events, projections = past
    for span in reading.read_spans(projections, 20):
        facts = [fact for fact in reading.read_moments(projections, span) if fact.seq < (span.until or 1 << 53)]
        woven = orders(facts, span.number)
        landed = [each.run for weave in woven for each in weave.patches if each.place]
        decided = {event.ref for event in events if event.kind.startswith("patch.") and event.sender == WEAVER
                   and span.seq < event.seq < (span.until or 1 << 53)}  # fmt: skip
        assert {each.run for weave in woven for each in weave.patches} == decided
        assert landed == [run for fact in facts if fact.kind == "weave.done" for run in fact.data["order"]]
        assert all(each.why for weave in woven for each in weave.patches)
        assert len(verdicts(facts)) == sum(fact.kind == "gate.judged" and fact.seq > span.seq for fact in facts)


def test_the_last_moment_of_a_sprint_is_its_report(team):
    """What a page shows without a moment is what the commands say, whether it has ended or not."""
    replaced = team.replaced
    team.sprint({"ann": replaced(3, "by ann"), "bob": replaced(3, "by bob"), "cyd": replaced(20, "by cyd")})
    context = open_team(team.home, {})

    view = records.view_sprint(context, 1)
    last = records.view_sprint(context, 1, view.seq)

    report = records.report(context, 1).document()
    assert view.document()["report"] == report
    assert last.document() == view.document()
    assert view.sprint == records.history(context).sprints[0]
    branch = team.git("rev-list", "main..team/sprint-1").split()
    assert [commit.id for commit in view.commits] == branch
    conflicted = [patch for weave in view.weaves for patch in weave.patches if patch.status == "conflicted"]
    (rival,) = {"ann", "bob"} - {patch.persona for patch in conflicted}
    assert [rival in patch.why or "landed before" in patch.why for patch in conflicted] == [True]
    first = records.view_sprint(context, 1, view.moments[0].seq)
    assert (first.metrics.bars, first.commits, first.sprint.outcome) == ((), (), None)
    assert {each.persona for each in first.waiting} == {"ann", "bob", "cyd"}


def test_a_conflict_in_the_middle_of_a_sprint_is_shown_as_of_then(team):
    """At the moment of the weave its author has the mail about it, and waits for the next run; later it has not."""
    replaced = team.replaced
    team.sprint({"ann": replaced(3, "by ann"), "bob": replaced(3, "by bob"), "cyd": lambda job: None})
    context = open_team(team.home, {})
    view = records.view_sprint(context, 1)
    (author,) = [each.persona for weave in view.weaves for each in weave.patches if each.status == "conflicted"]
    met = next(each.seq for each in view.moments if each.kind == "patch.conflicted")

    then = records.view_sprint(context, 1, met)

    assert [mail.sender for mail in then.inboxes[author].mail] == [WEAVER]
    assert author in {each.persona for each in then.waiting}
    assert len(then.commits) < len(view.commits) == 2
    assert author not in view.inboxes
    assert view.waiting == ()
    assert view.moments[-1].kind == "sprint.finished"
