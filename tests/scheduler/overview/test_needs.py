"""What needs a person: each matter is listed with its command as long as it is open, and no longer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.letter import Letter
from team_mail.mail.log.event import Draft
from team_mail.mail.process import myself
from team_mail.scheduler.claims.claims import Claims, NewTask
from team_mail.scheduler.errors import NoSuchRun
from team_mail.scheduler.kinds import ClaimState, DeployOutcome, Kind, NeedKind, PatchStatus
from team_mail.scheduler.needs import Reader
from team_mail.scheduler.overview.dispatches import OpenDispatch
from team_mail.scheduler.overview.needs import Desk, open_needs
from team_mail.scheduler.overview.overview import overview
from team_mail.scheduler.sprint.control import approve_patch, stop_run
from team_mail.scheduler.state.facts import Fact, Mail
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.sprints import State
from team_mail.team.api import team as team_api

COMMIT = "c" * 40
GONE = {"boot": "another", "pid": 1, "start": "1"}
READER = Reader("you", ("fyi",))
AT = "2026-01-01T09:00:00Z"
ROUND = {"sprint": 3, "commit": COMMIT, "tree": "t" * 40}
DECIDED = ("round.decided", "supervisor", ROUND | {"decision": "APPROVED - Deploy", "blocks": [], "gates": []})


def kinds(state, **desk):
    return [need.kind for need in open_needs(state, Desk(READER, **desk))]


def stated(*facts):
    """The state after some events of programs, each a kind, who wrote it, and its data."""
    return fold(Fact(seq, AT, kind, sender, None, None, data, "") for seq, (kind, sender, data) in enumerate(facts, 1))


def mail(sender, kind="note", *, persona="you", run=None, seq=7):
    return Mail(persona, seq, f"id-{seq}", "2026-01-01T09:00:00Z", sender, "About it", kind, "normal", run)


def dispatch(process):
    return OpenDispatch("aaaa", "aaaa", "2026-01-01T09:00:00Z", process, 3, 1, 0, ())


@pytest.mark.parametrize(
    ("outcome", "listed"),
    [
        (DeployOutcome.FAILED, True),
        (DeployOutcome.SKIPPED_POLICY, True),
        (DeployOutcome.DEPLOYED, False),
        (DeployOutcome.SKIPPED_NO_CHANGE, False),
        (None, True),
    ],
)
def test_a_deployment_needs_a_person_if_it_failed_or_waits_or_was_cut_off(outcome, listed):
    began = ("deploy.started", "supervisor", ROUND | {"attempt": 1, "run": "deploy-c"})
    ended = ("deploy.finished", "supervisor", ROUND | {"attempt": 1, "outcome": outcome, "why": "because"})
    state = stated(DECIDED, began, *([ended] if outcome else []))
    assert kinds(state, deploys=True) == [NeedKind.DEPLOY] * listed
    assert kinds(state, deploys=False) == []
    assert kinds(state, deploys=True, deploying=True) == [NeedKind.DEPLOY] * (listed and outcome is not None)
    blocked = ("round.decided", "supervisor", DECIDED[2] | {"blocks": ["safe"]})
    assert kinds(stated(blocked, began, ended), deploys=True) == []


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ann", "scheduler", "weaver"]), st.sampled_from(["note", "question", "fyi", "escalate"])
        ),
        max_size=30,
    )
)
def test_mail_is_listed_if_it_asks(letters):
    """That of programs does if it says what they could not do, that of others unless its type is one of `wakes_not`."""
    given_mail = [mail(sender, kind, seq=seq) for seq, (sender, kind) in enumerate(letters, 1)]
    asking = [
        each for each in given_mail
        if (each.type != "fyi" if each.sender == "ann" else each.type == "escalate")
    ]  # fmt: skip

    listed = open_needs(State(), Desk(READER, given_mail))

    assert [(need.message, need.seq, need.sender) for need in listed] == [(m.id, m.seq, m.sender) for m in asking]
    assert [need.command for need in listed] == [f"team-mail read {m.seq} --persona you" for m in asking]
    assert len({need.key for need in listed}) == len(listed)


def test_somebody_set_aside_needs_a_person_until_the_human_has_written():
    """Mail of a teammate settles nothing."""
    aside = ("persona.skipped", "scheduler", {"sprint": 1, "persona": "ann", "why": "3 attempts spent"})
    state = replace(stated(aside), unread={"ann": (mail("bob", persona="ann"),)})
    assert kinds(state) == [NeedKind.PERSONA]
    assert kinds(replace(state, unread={"ann": (mail("you", persona="ann"),)})) == []


@pytest.mark.parametrize(
    ("budget", "day", "outcome", "listed"),
    [
        ("sprint", "", None, True),
        ("sprint", "", "budget", True),
        ("sprint", "", "converged", False),
        ("day", "2026-01-01", "budget", True),
        ("day", "2025-12-31", "budget", False),
    ],
)
def test_a_spent_budget_needs_a_person_while_it_holds_up_the_last_sprint(budget, day, outcome, listed):
    start = {"sprint": 1, "id": "s", "base_branch": "main", "base": "", "branch": "b", "mode": "parallel", "rule": "",
             "reason": "", "personas": []}  # fmt: skip
    facts = [
        ("sprint.started", "scheduler", start),
        ("budget.spent", "scheduler", {"sprint": 1, "budget": budget, "day": day, "limit": "$5"}),
        *([("sprint.finished", "scheduler", {"sprint": 1, "outcome": outcome})] if outcome else []),
    ]
    found = open_needs(stated(*facts), Desk(READER, today="2026-01-01"))
    assert [(need.kind, need.budget, need.seq) for need in found] == [(NeedKind.BUDGET, budget, 2)] * listed
    later = ("sprint.started", "scheduler", start | {"sprint": 2})
    assert kinds(stated(*facts, later), today="2026-01-01") == []


def test_dispatches_that_were_cut_off_say_how_to_go_on():
    """One that is carried out needs nobody."""
    asked = replace(dispatch(None), ask="mend the login")
    one, two = open_needs(State(), Desk(READER, dispatches=[dispatch(41), dispatch(None), asked]))
    assert (one.kind, two.kind) == (NeedKind.DISPATCH, NeedKind.ASK)
    assert one.command == two.command == "team dispatch --resume aaaa"
    assert (one.text, two.text) == (
        "dispatch aaaa was cut off, 1 of 3 done",
        "dispatch aaaa of the request 'mend the login' was cut off, 1 of 3 done",
    )


def test_what_is_on_record_is_listed_and_what_settles_it_takes_it_off(team):
    """Rounds that are paused, a held patch, a red gate, mail, and a killed dispatch: read from the log and settled."""

    def ann(job):
        (job.workspace / ".gitattributes").write_text("* text\n")

    gate = '[gates.sound]\ncommand = ["false"]\n'
    team.sprint({"ann": ann}, gate)
    context = team.context({}, gate)
    start = {"dispatch": "d-1", "base": "", "branch": "", "agent": None, "tasks": [{"task_id": "a"}]}
    context.append(
        [
            Draft(Kind.ROUND_PAUSED, "supervisor", data={"sprint": 1, "why": "nothing landed"}),
            Draft(Kind.DISPATCH_STARTED, "scheduler", data=start | {"supervisor": GONE, "config": {}}),
        ]
    )
    question = context.mailbox.send(Letter("bob", ["you"], "Which one?", "x", type="question"))

    found = overview(context, context.clock.now())

    commands = {need.kind: need.command for need in found.needs if need.kind != NeedKind.MAIL}
    (held,) = context.state(whole=False).of(PatchStatus.HELD)
    assert commands == {
        NeedKind.ROUND: "scheduler resume", NeedKind.PATCH: f"scheduler approve {held.run[:8]}",
        NeedKind.GATE: "false", NeedKind.DISPATCH: "team dispatch --resume d-1",
    }  # fmt: skip
    assert f"team-mail read {question.seq} --persona you" in [need.command for need in found.needs]
    assert found.document()["dispatches"][0] | {"started": ""} == {
        "dispatch": "d-1", "started": "", "cut_off": True, "pid": None, "tasks": 1, "done": 0, "failed": 0,
        "at_work": [], "ask": None, "schedule": None, "resume": "team dispatch --resume d-1",
    }  # fmt: skip

    approve_patch(context, "ann", "you")
    end = {"dispatch": "d-1", "successful": 0, "failed": 1, "skipped": 0, "seconds": 1.0}
    context.append([Draft(Kind.SCHEDULER_RESUMED, "you"), Draft(Kind.DISPATCH_FINISHED, "scheduler", data=end)])
    context.mailbox.read("you", question.id)
    left = overview(context, context.clock.now())
    assert {need.kind for need in left.needs} <= {NeedKind.GATE, NeedKind.MAIL}
    assert question.id not in {need.message for need in left.needs}


def test_a_killed_dispatch_has_no_open_runs_to_stop(team):
    """Of two runs of one persona that the log leaves open, the one that goes on is stopped by its name."""
    context = team.context()
    run = {"sprint": 0, "persona": "ann", "attempt": 1, "tick": 0, "base": "", "agent": "shell", "reason": "task"}
    for name, supervisor in (("d-1", GONE), ("d-2", myself())):
        start = {"dispatch": name, "base": "", "branch": "", "agent": None, "tasks": [{"task_id": "a"}], "config": {}}
        began = run | {"dispatch": name, "task": "a", "mail": [], "supervisor": supervisor, "input": {}}
        context.append(
            [
                Draft(Kind.DISPATCH_STARTED, "scheduler", data=start | {"supervisor": supervisor}),
                Draft(Kind.RUN_STARTED, "scheduler", run=f"run-of-{name}", data=began),
            ]
        )

    assert stop_run(context, "ann", "you").id == "run-of-d-2"
    with pytest.raises(NoSuchRun, match=r"names 0 open runs; open are: ann \(run-of-d\)$"):
        stop_run(context, "bob", "you")
    assert [task.goes_on for each in overview(context, context.clock.now()).dispatches for task in each.at_work] == [
        False, True,
    ]  # fmt: skip


def test_tasks_to_be_claimed_are_listed_and_a_claim_that_is_over_is_put_on_record(team):
    """A stale claim needs `team clean`; after that its task is open again, and nothing needs anybody."""
    context = team.context()
    claims = Claims(context.mailbox, context.clock)
    claims.add(NewTask("fix-login"), "you")
    claims.claim("fix-login", "ann", 900, process=GONE | {"host": myself()["host"], "boot": myself()["boot"]})

    found = overview(context, context.clock.now())
    assert [(task.name, task.state) for task in found.tasks] == [("fix-login", ClaimState.OPEN)]
    (need,) = found.needs
    assert (need.kind, need.command) == (NeedKind.CLAIM, "team clean")

    assert [each.what for each in team_api.clean(team.home, keep=True).claims] == ["fix-login"]
    assert [each.owner for each in team_api.clean(team.home).claims] == ["ann"]
    assert overview(context, context.clock.now()).needs == ()
    assert [event.kind for event in context.mailbox.log.read()][-1] == Kind.CLAIM_EXPIRED
