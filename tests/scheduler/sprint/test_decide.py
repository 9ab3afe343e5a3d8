"""The rules of a sprint, each tested on a list of events: what is launched next, what is not, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.personas.spending.amount import amount
from team_mail.personas.spending.usage import Usage
from team_mail.scheduler.context import Member
from team_mail.scheduler.kinds import Kind
from team_mail.scheduler.limits.budget import NO_BUDGETS, Budgets
from team_mail.scheduler.schedules.cron import following
from team_mail.scheduler.settings.settings import SprintSettings
from team_mail.scheduler.sprint.decide import StartRequest, decide
from team_mail.scheduler.sprint.triggers import due
from team_mail.scheduler.state.facts import Fact, Mail
from team_mail.scheduler.state.fold import fold
from team_mail.scheduler.state.sprints import State
from team_mail.scheduler.state.usage import Used

from ...samples import examples

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
ASKED = StartRequest("asked for")
ROSTER = tuple(Member(name, "shell") for name in ("ann", "bob", "cyd", "dan"))


class Story:
    """Builds a log event by event, one second apart unless more time is made to pass."""

    def __init__(self, **settings):
        self.facts: list[Fact] = []
        self.now = START
        self.unread: dict[str, tuple[Mail, ...]] = {}
        self.dead: frozenset[str] = frozenset()
        self.policy = SprintSettings(**settings)
        self.budgets = NO_BUDGETS
        self.today: tuple[tuple[str, Used], ...] = ()
        self.tick = 1
        self.sprint = 0

    def tell(self, kind, *, ref=None, run=None, sender=None, **data):
        self.now += timedelta(seconds=1)
        seq = len(self.facts) + 1
        sender = sender or Kind(kind).writer
        self.facts.append(Fact(seq, rfc3339(self.now), kind, sender, ref, run, data, f"{seq:032x}"))
        return self

    def start(self, mode="parallel", personas=("ann", "bob", "cyd", "dan"), reason="asked for"):
        self.sprint += 1
        self.tick = 1
        return self.tell(
            "sprint.started", sprint=self.sprint, id="s", base_branch="main", base="b" * 40, branch="team/sprint-1",
            mode=mode, rule="a rule", reason=reason, personas=list(personas),
        )  # fmt: skip

    def launch(self, persona, attempt=1, reason="batch", mail=()):
        return self.tell(
            "run.started", run=f"{self.sprint}-{persona}-{attempt}", sprint=self.sprint, persona=persona,
            attempt=attempt, tick=self.tick, base="b" * 40, agent="shell", reason=reason, mail=list(mail),
            supervisor={},
        )  # fmt: skip

    def capture(self, persona, attempt=1):
        return self.tell(
            "patch.captured", run=f"{self.sprint}-{persona}-{attempt}", sprint=self.sprint, persona=persona,
            patch={"sha256": "a" * 64, "size": 9}, files=["x.py"],
        )  # fmt: skip

    def finish(self, persona, attempt=1, status="ok", detail="", patch=False, seconds=2.0, **more):
        if patch:
            self.capture(persona, attempt)
        run = f"{self.sprint}-{persona}-{attempt}"
        return self.tell("run.finished", run=run, status=status, exit=0, seconds=seconds, detail=detail, **more)

    def ran(self, persona, attempt=1, reason="batch", **ended):
        return self.launch(persona, attempt, reason).finish(persona, attempt, **ended)

    def done(self):
        self.tell("tick.done", sprint=self.sprint, tick=self.tick)
        self.tick += 1
        return self

    def conflicted(self, persona, attempt=1, signature="the same"):
        return self.tell(
            "patch.conflicted", ref=f"{self.sprint}-{persona}-{attempt}", tick=self.tick, signature=signature
        )

    def landed(self, persona, attempt=1, commit="c" * 40):
        return self.tell("patch.landed", ref=f"{self.sprint}-{persona}-{attempt}", tick=self.tick, commit=commit)

    def mail(self, persona, sender="weaver", type="note"):
        seq = 1000 + len(self.facts)
        mail = Mail(persona, seq, f"m{seq}", rfc3339(self.now), sender, "Look", type, "normal", None)
        self.unread[persona] = (*self.unread.get(persona, ()), mail)
        return self

    def later(self, **time):
        self.now += timedelta(**time)
        return self

    @property
    def state(self) -> State:
        return replace(fold(self.facts), unread=self.unread, dead=self.dead, today=self.today)

    def plan(self, request=StartRequest(), roster=ROSTER):  # noqa: B008
        return decide(self.state, roster, self.policy, self.now, request, budgets=self.budgets)


def launched(plan):
    return [(launch.persona, launch.attempt, launch.reason) for launch in plan.launches]


def skipped(plan):
    return {skip.persona: skip.why for skip in plan.skips}


# -- starting


def test_a_requested_sprint_launches_all_personas_at_once():
    """The first tick of a sprint launches its first batch."""
    plan = Story().plan(ASKED)
    assert plan.opening
    assert (plan.opening.number, plan.opening.reason, plan.tick, plan.mode) == (1, "asked for", 1, "parallel")
    assert launched(plan) == [(name, 1, "batch") for name in ("ann", "bob", "cyd", "dan")]
    assert plan.finish is None


def test_a_tick_without_a_request_or_a_roster_is_idle_and_says_why():
    """Nothing starts unless somebody asks for it, and an empty roster is named as the reason."""
    assert Story().plan().idle == "no sprint is open"
    assert "nobody on the roster is scheduled" in str(Story().plan(ASKED, roster=()).idle)
    assert Story().plan(ASKED, roster=()).opening is None


def test_a_pause_stops_all_launches_until_resumed():
    """Pause and resume are events; the last one counts."""
    story = Story().start().tell("scheduler.paused", sender="you")
    assert "paused by you" in str(story.plan().idle)
    assert launched(story.tell("scheduler.resumed", sender="you").plan())


@pytest.mark.parametrize(
    ("flag", "number", "mode", "rule"),
    [
        ("always", 1, "parallel", 'parallel = "always"'),
        ("never", 5, "sequential", 'parallel = "never"'),
        ("every 5", 4, "sequential", 'parallel = "every 5", this is sprint 4'),
        ("every 5", 5, "parallel", 'parallel = "every 5", this is sprint 5'),
        ((2, 3), 3, "parallel", "parallel = [2, 3], this is sprint 3"),
        ((2, 3), 4, "sequential", "parallel = [2, 3], this is sprint 4"),
    ],
)
def test_the_parallel_setting_chooses_the_mode_and_names_its_rule(flag, number, mode, rule):
    """The rule may depend on the number of the sprint."""
    story = Story(parallel=flag)
    for _ in range(number - 1):
        story.start().tell("sprint.finished", outcome="converged")
    plan = story.plan(ASKED)
    assert (plan.sprint, plan.mode, plan.rule) == (number, mode, rule)


def test_sequential_only_overrides_parallel_and_a_requested_mode_overrides_both():
    """The more specific choice counts."""
    story = Story(parallel="always", sequential_only=(1,))
    assert (story.plan(ASKED).mode, story.plan(ASKED).rule) == ("sequential", "sequential_only names sprint 1")
    assert story.plan(StartRequest("asked for", "parallel")).mode == "parallel"


@pytest.mark.parametrize(("flag", "mode"), [("never", "sequential"), ("every 1", "parallel")])
def test_the_mode_cycle_leaves_the_choice_to_the_settings(flag, mode):
    """In the cycle of sprints the feature flag chooses, so what is put on record is the mode that it chose."""
    asked = Story(parallel=flag).plan(StartRequest("asked for", "cycle"))
    assert (asked.mode, asked.rule) == (mode, Story(parallel=flag).plan(ASKED).rule)


def test_an_open_sprint_keeps_its_mode():
    """Settings that change meanwhile do not change an open sprint."""
    assert Story(parallel="never").start("parallel").plan().mode == "parallel"


# -- one after the other


def test_sequential_mode_launches_one_persona_per_tick():
    """It takes as many ticks as there are personas, and one more to weave the last patch."""
    story, ticks = Story().start("sequential"), 0
    while not (plan := story.plan()).finish:
        assert len(plan.launches) == 1
        assert all("waits its turn" in why or "nothing unread" in why for why in skipped(plan).values())
        story.ran(plan.launches[0].persona).done()
        ticks += 1
    assert ticks == len(ROSTER)


def test_too_many_failures_in_a_batch_make_the_rest_of_the_sprint_sequential():
    """Half of a batch may fail; with one failure more, the sprint continues in sequence."""
    story = Story(fallback_above=0.5, retry_backoff=0).start()
    for name in ("ann", "bob"):
        story.ran(name, status="failed")
    for name in ("cyd", "dan"):
        story.ran(name)
    assert story.done().plan().mode == "parallel"
    story = Story(fallback_above=0.5, retry_backoff=0).start()
    for name in ("ann", "bob", "cyd"):
        story.ran(name, status="timeout")
    plan = story.ran("dan").done().plan()
    assert plan.mode == "sequential"
    assert "3 of 4 runs of tick 1 failed" in plan.rule
    assert len(plan.launches) == 1


# -- weaving, and going on


def test_patches_are_woven_after_their_run_has_ended():
    """A run that is still open may submit another patch."""
    story = Story().start().launch("ann").capture("ann")
    assert story.plan().weave == ()
    story.finish("ann").done()
    assert [patch.persona for patch in story.plan().weave] == ["ann"]
    assert story.landed("ann").plan().weave == ()


def test_patches_of_interrupted_runs_are_dropped():
    """This holds for runs that timed out, were stopped or got lost; an old log may have the patch of a failed run."""
    for status, woven in [("timeout", 0), ("stopped", 0), ("quota", 0), ("failed", 1), ("ok", 1)]:
        story = Story().start().launch("ann").finish("ann", status=status, patch=True).done()
        assert len(story.plan().weave) == woven, status


PARTIAL = {"patch": {"sha256": "b" * 64, "size": 7}, "files": ["x.py"], "insertions": 1, "deletions": 0}


def test_what_a_failed_run_left_goes_to_its_next_attempt_and_never_to_the_weaver():
    """It is handed on until a run ends well, also by attempts that left nothing themselves."""
    story = Story(retry_backoff=0).start(personas=("ann",)).launch("ann")
    story.tell("run.finished", run="1-ann-1", status="failed", exit=1, seconds=1.0, detail="exit 1", partial=PARTIAL)
    story.ran("ann", 2, "retry", status="failed", detail="exit 2").done()
    plan = story.plan()
    assert (launched(plan), plan.weave) == ([("ann", 3, "retry")], ())
    (launch,) = plan.launches
    assert launch.previous
    assert (launch.previous.run, launch.previous.sha256, launch.previous.why) == ("1-ann-1", "b" * 64, "exit 1")
    story.ran("ann", 3, "retry", patch=True).landed("ann", 3).done().mail("ann")
    assert Story(max_attempts=9).start().plan().finish is None
    assert story.state.patch("1-ann-1").status == "dropped"
    assert story.plan().aside != ()  # three attempts are spent; what was left over is no longer a loose end
    assert "attempts spent" in story.plan().aside[0].why


def test_what_a_lost_run_left_is_handed_on_too():
    """A scheduler that was told to end had the time to keep it."""
    story = Story().start(personas=("ann",)).launch("ann")
    story.tell("run.lost", run="1-ann-1", why="the scheduler was stopped", orderly=True, partial=PARTIAL)
    (launch,) = story.plan().launches
    assert launch.previous
    assert launch.previous.run == "1-ann-1"


@pytest.mark.parametrize("partial", ["x", {}, {"patch": {}}, {"patch": {"sha256": 1}, "files": 3}])
def test_a_partial_that_is_none_ends_the_run_all_the_same(partial):
    """A field of another form than ours changes nothing."""
    story = Story(retry_backoff=0).start(personas=("ann",)).launch("ann")
    story.tell("run.finished", run="1-ann-1", status="failed", exit=1, seconds=1.0, detail="exit 1", partial=partial)
    assert story.state.runs[0].status == "failed"
    assert story.plan().launches[0].previous is None


def test_a_sprint_whose_last_run_failed_has_not_converged():
    """Not even if its persona has left the roster meanwhile."""
    story = Story().start(personas=("ann",)).ran("ann", status="failed", detail="exit 1").done()
    roster = [member for member in ROSTER if member.id != "ann"]
    assert story.plan(roster=roster).finish == "spent"


def test_a_sprint_with_nothing_left_to_do_has_converged():
    """There is no unread mail, no pending patch and no open run."""
    story = Story().start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name, patch=True)
    assert story.done().plan().finish is None
    for name in ("ann", "bob", "cyd", "dan"):
        story.landed(name)
    plan = story.plan()
    assert (plan.finish, plan.launches) == ("converged", ())
    assert set(skipped(plan).values()) == {"nothing unread"}


def test_personas_with_unread_mail_run_again():
    """Only mail launches a persona again in the same sprint."""
    story = Story().start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name)
    plan = story.done().mail("bob").plan()
    assert launched(plan) == [("bob", 2, "mail")]
    assert [mail.sender for mail in plan.launches[0].mail] == ["weaver"]
    assert plan.finish is None


def test_an_open_run_is_not_launched_again():
    """An open run keeps the sprint open, whatever mail its persona has."""
    story = Story().start(personas=("ann",)).launch("ann").mail("ann")
    plan = story.plan()
    assert skipped(plan)["ann"] == "still running"
    assert plan.finish is None


# -- giving up


def test_a_persona_without_attempts_left_is_set_aside_for_the_human():
    """The number of launches in one sprint is limited; a sprint with a persona set aside ends as spent."""
    story = Story(max_attempts=2).start(personas=("ann",)).ran("ann").mail("ann").ran("ann", 2, "mail")
    plan = story.plan()
    assert launched(plan) == []
    assert [(skip.persona, skip.why) for skip in plan.aside] == [("ann", "2 attempts spent and mail still waits")]
    assert plan.finish == "spent"
    story.tell("persona.skipped", persona="ann", why="2 attempts spent")
    assert story.plan().aside == (), "the human is told once"
    assert story.plan().finish == "spent"


def test_the_same_conflict_twice_in_a_row_goes_to_the_human():
    """A third attempt would only repeat it. A different conflict counts as progress."""
    story = Story().start(personas=("ann",)).ran("ann", patch=True).conflicted("ann").mail("ann").done()
    assert launched(story.plan()) == [("ann", 2, "mail")]
    story.ran("ann", 2, "mail", patch=True).conflicted("ann", 2, "another")
    assert launched(story.plan()) == [("ann", 3, "mail")]
    story = Story().start(personas=("ann",)).ran("ann", patch=True).conflicted("ann").mail("ann").done()
    story.ran("ann", 2, "mail", patch=True).conflicted("ann", 2)
    assert [skip.why for skip in story.plan().aside] == ["no progress: the same conflict twice in a row"]


def test_a_patch_that_never_landed_goes_to_the_human_and_the_sprint_is_spent():
    """It conflicted, was refused, failed a gate or was interrupted, and no later patch replaced it."""
    for verb, why in (
        ("conflicted", "its patch conflicted and did not come again"),
        ("refused", "its patch was refused and did not come again"),
        ("rejected", "its patch made gate t red and did not come again"),
    ):
        story = Story().start(personas=("ann",)).ran("ann", patch=True)
        story.tell(f"patch.{verb}", ref="1-ann-1", tick=1, why="gate t").ran("ann", 2, "mail")
        assert [(skip.persona, skip.why) for skip in story.plan().aside] == [("ann", why)]
        assert story.plan().finish == "spent"
        story.tell("persona.skipped", persona="ann", why=why)
        assert (story.plan().aside, story.plan().finish) == ((), "spent")
    story = Story(retry_backoff=0).start(personas=("ann",)).ran("ann", status="timeout", detail="no end", patch=True)
    assert launched(story.plan()) == [("ann", 2, "retry")]
    story.ran("ann", 2, "retry")
    assert [skip.why for skip in story.plan().aside] == ["its work was cut off (no end) and not taken up again"]
    story = Story(deadline=60).start(personas=("ann",)).ran("ann", patch=True).conflicted("ann").later(seconds=60)
    assert (len(story.plan().aside), story.plan().finish) == (1, "deadline")


def test_runs_given_up_with_their_scheduler_cost_no_attempt():
    """They are launched again, however often the scheduler is interrupted."""
    story = Story(max_attempts=1).start(personas=("ann",))
    for attempt in range(1, 6):
        assert launched(story.plan())[0][1] == attempt
        story.launch("ann", attempt).tell("run.lost", run=f"1-ann-{attempt}", why="stopped", orderly=True)


def test_launches_by_mail_are_limited_in_each_sprint():
    """Personas that keep writing to each other stop here, however many attempts they have left."""
    story = Story(max_attempts=99, max_wakes=3).start(personas=("ann", "bob")).ran("ann").ran("bob")
    story.mail("ann").mail("bob").ran("ann", 2, "mail").ran("bob", 2, "mail")
    plan = story.plan()
    assert launched(plan) == [("ann", 3, "mail")]
    assert [(skip.persona, skip.why) for skip in plan.aside] == [
        ("bob", "loop guard: 3 launches by mail in one sprint")
    ]


def test_a_run_that_failed_without_a_patch_is_retried_with_exponential_backoff():
    """The pauses are 10 s, then 20 s; until then the tick waits, and the sprint stays open."""
    story = Story(retry_backoff=10).start(personas=("ann",)).ran("ann", status="failed", detail="exit 3").done()
    plan = story.plan()
    assert launched(plan) == []
    assert plan.wait_until == story.now - timedelta(seconds=1) + timedelta(seconds=10)
    assert "exit 3; next try at" in skipped(plan)["ann"]
    assert plan.finish is None
    assert launched(story.later(seconds=9).plan()) == [("ann", 2, "retry")]
    story.ran("ann", 2, "retry", status="failed").later(seconds=11)
    assert story.plan().wait_until
    assert launched(story.later(seconds=9).plan()) == [("ann", 3, "retry")]
    story.ran("ann", 3, "retry", status="failed", detail="exit 3")
    assert [skip.why for skip in story.plan().aside] == ["3 attempts spent and the last ended with exit 3"]
    assert story.plan().finish == "spent"


def test_a_sprint_ends_early_if_every_run_and_a_retry_failed():
    """It ends whatever attempts are left; a single success keeps it going."""
    story = Story(retry_backoff=0).start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name, status="failed", detail="exit 1: no key")
    assert launched(story.done().plan()) == [("ann", 2, "retry")], "one after the other, after such a batch"
    story.ran("ann", 2, "retry", status="failed")
    once = Story(retry_backoff=0).start("sequential").ran("ann", status="failed").ran("bob", status="failed")
    assert once.ran("ann", 2, "retry", status="failed").plan().finish is None, "not all have had their turn"
    assert (story.plan().finish, launched(story.plan()), story.plan().aside) == ("broken", [], ())
    story.ran("bob", 2, "retry")
    assert (story.plan().finish, launched(story.plan())) == (None, [("ann", 3, "retry")])


def test_a_sprint_is_broken_whoever_of_the_roster_has_no_part_in_it():
    """An agent that plays nobody of the batch need not have been tried."""
    story = Story(retry_backoff=0).start(personas=("ann", "bob"))
    for name in ("ann", "bob"):
        story.ran(name, status="failed", detail="exit 1: no key")
    story.ran("ann", 2, "retry", status="failed")
    assert story.plan(roster=(*ROSTER[:3], Member("dan", "other"))).finish == "broken"
    assert story.plan(roster=(ROSTER[0], Member("bob", "other"))).finish is None, "its file names another one by now"


def test_a_run_that_failed_with_a_patch_is_not_retried():
    """It delivered something, which the weaver and the gates judge."""
    story = Story().start(personas=("ann",)).ran("ann", status="failed", patch=True).landed("ann")
    assert launched(story.plan()) == []
    assert story.plan().finish == "converged"


def test_a_run_stopped_by_a_person_is_not_launched_again():
    """Not in this sprint, not even for mail."""
    story = Story().start(personas=("ann",)).ran("ann", status="stopped", detail="you").mail("ann")
    assert "stopped by hand" in skipped(story.plan())["ann"]
    assert story.plan().finish == "converged"


def test_a_stop_request_survives_the_death_of_the_scheduler():
    """The request is in the log, so the run is given up and not launched again."""
    story = Story().start(personas=("ann",)).launch("ann").tell("run.stopped", ref="1-ann-1", sender="you")
    story.tell("run.lost", run="1-ann-1", why="its scheduler is gone")
    assert launched(story.plan()) == []
    assert "stopped by hand" in skipped(story.plan())["ann"]
    failed = Story().start(personas=("ann",)).launch("ann").tell("run.stopped", ref="1-ann-1", sender="you")
    plan = failed.finish("ann", status="failed").plan()
    assert (launched(plan), plan.wait_until, plan.finish) == ([], None, "converged")


def test_a_sprint_ends_at_its_deadline_after_weaving_what_is_pending():
    """Nothing is launched after the deadline; pending patches still land."""
    story = Story(deadline=60).start(personas=("ann", "bob")).ran("ann", patch=True).later(seconds=60)
    plan = story.plan()
    assert (launched(plan), len(plan.weave), plan.finish) == ([], 1, None)
    assert story.landed("ann").plan().finish == "deadline"


def test_a_retry_due_after_the_deadline_ends_the_sprint_at_once():
    """A retry that is due before the deadline is waited for."""
    failed = {"status": "failed", "detail": "exit 3"}
    story = Story(deadline=60, retry_backoff=10).start(personas=("ann",)).ran("ann", **failed).done()
    assert (story.plan().finish, bool(story.plan().wait_until)) == (None, True)
    story = Story(deadline=60, retry_backoff=100).start(personas=("ann",)).ran("ann", **failed).done()
    plan = story.plan()
    assert (plan.finish, plan.wait_until, launched(plan)) == ("deadline", None, [])


# -- crashes


def test_a_run_whose_scheduler_died_is_given_up_and_launched_as_a_new_attempt():
    """The lost run costs no attempt, and events that it writes later change nothing."""
    story = Story(max_attempts=1).start(personas=("ann",)).launch("ann")
    story.dead = frozenset({"1-ann-1"})
    assert [run.id for run in story.plan().lost] == ["1-ann-1"]
    story.tell("run.lost", run="1-ann-1", why="its scheduler is gone")
    story.dead = frozenset()
    assert launched(story.plan()) == [("ann", 2, "retry")]
    story.finish("ann", patch=True)
    assert story.state.pending == ()
    assert [(run.status, run.late) for run in story.state.runs] == [("lost", True)]
    assert story.state.patches == (), "a patch that comes late is not woven"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_dead_run_costs_no_attempt_in_a_dry_run(attempts):
    """With the last attempt dead, the dry run plans a retry, as the tick does, and sets nobody aside."""
    story = Story(max_attempts=attempts, retry_backoff=0).start(personas=("ann",)).mail("ann")
    for attempt in range(1, attempts):
        story.ran("ann", attempt, "mail", status="failed")
    story.launch("ann", attempts, "mail").capture("ann", attempts)
    story.dead = frozenset({f"1-ann-{attempts}"})
    plan = story.plan()
    assert launched(plan) == [("ann", attempts + 1, "retry")]
    assert plan.aside == ()


RUNS = st.lists(
    st.tuples(
        st.sampled_from(["ok", "failed", "timeout", "stopped", "lost", "dead"]),
        st.booleans(),  # a patch was captured
        st.sampled_from(["batch", "mail", "retry"]),
        st.booleans(),  # a person asked for its end
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=examples(60), deadline=None)
@given(
    runs=st.dictionaries(st.sampled_from([member.id for member in ROSTER]), RUNS, min_size=1),
    waiting=st.sets(st.sampled_from([member.id for member in ROSTER])),
    mode=st.sampled_from(["parallel", "sequential"]),
    most=st.integers(1, 3),
)
def test_a_dry_run_plans_what_the_tick_does_after_giving_up_dead_runs(runs, waiting, mode, most):
    """Launches, skips and personas set aside are equal for any history."""
    story, dead = Story(max_attempts=most, retry_backoff=0, max_wakes=2).start(mode), []
    for persona, attempts in runs.items():
        for attempt, (status, patch, reason, stop) in enumerate(attempts, 1):
            run = f"1-{persona}-{attempt}"
            story.launch(persona, attempt, reason)
            if patch:
                story.capture(persona, attempt)
            if stop:
                story.tell("run.stopped", ref=run, sender="you")
            if status == "lost":
                story.tell("run.lost", run=run, why="its scheduler is gone")
            elif status == "dead":
                dead.append(run)
            else:
                story.finish(persona, attempt, status=status)
    for persona in sorted(waiting):
        story.mail(persona)
    story.dead = frozenset(dead)
    before = story.plan()

    for run in dead:
        story.tell("run.lost", run=run, why="its scheduler is gone")
    story.dead = frozenset()
    after = story.plan()

    assert [run.id for run in before.lost] == dead
    assert (before.launches, before.skips, before.mode, before.weave) == (
        after.launches, after.skips, after.mode, after.weave,
    )  # fmt: skip
    if after.finish is None:
        assert before.aside == after.aside


def test_a_persona_whose_runs_keep_getting_lost_is_set_aside():
    """An agent that kills its scheduler must not do so forever."""
    story = Story(max_attempts=9).start(personas=("ann",))
    for attempt in (1, 2, 3):
        story.launch("ann", attempt).tell("run.lost", run=f"1-ann-{attempt}", why="gone")
    assert [skip.why for skip in story.plan().aside] == ["3 runs were lost with their scheduler"]


def failed_setup(history, attempt):
    """A run of ann's whose set-up failed, which takes three seconds of the test's clock."""
    history.launch("ann", attempt, "batch" if attempt == 1 else "retry")
    return history.finish("ann", attempt, status="setup", detail="set-up failed: npm ci: exit 1")


def test_a_failed_setup_costs_no_attempt_and_is_retried_after_a_pause():
    """However few attempts the persona has."""
    history = Story(max_attempts=1, retry_backoff=60).start(personas=("ann",))
    failed_setup(history, 1)
    assert history.plan().wait_until
    history.now += timedelta(seconds=61)

    (launch,) = history.plan().launches
    assert (launch.persona, launch.attempt, launch.reason) == ("ann", 2, "retry")


def test_a_setup_that_keeps_failing_sets_the_persona_aside():
    """Three times in one sprint; the sprint has not converged."""
    history = Story(max_attempts=9, retry_backoff=0).start(personas=("ann",))
    for attempt in (1, 2, 3):
        failed_setup(history, attempt)

    plan = history.plan()
    assert plan.launches == ()
    (skip,) = plan.aside
    assert skip.why == "the set-up of its workspace failed 3 times; the last ended with set-up failed: npm ci: exit 1"
    assert plan.finish == "spent"


def test_failed_setups_do_not_shorten_the_pauses_of_an_agent():
    """Two of them and a failed run are not three attempts, so the run is tried again after a pause, not at once."""
    history = Story(max_attempts=3, retry_backoff=60).start(personas=("ann",))
    failed_setup(history, 1)
    failed_setup(history, 2)
    history.launch("ann", 3, "retry").finish("ann", 3, status="failed", detail="exit 1")

    assert history.plan().wait_until


def test_failed_setups_do_not_break_a_sprint():
    """A sprint is broken if its agents are, and these did not start."""
    history = Story(max_attempts=9, retry_backoff=0).start(personas=("ann", "bob"))
    for name, attempt in [("ann", 1), ("bob", 1), ("ann", 2), ("bob", 2)]:
        history.launch(name, attempt, "batch" if attempt == 1 else "retry")
        history.finish(name, attempt, status="setup", detail="set-up failed")

    assert (history.plan().finish, len(history.plan().launches)) == (None, 2)


def test_failed_setups_do_not_make_a_sprint_sequential():
    """They say nothing about runs at the same time."""
    history = Story(retry_backoff=0).start()
    for name in ("ann", "bob", "cyd", "dan"):
        history.launch(name)
    for name in ("ann", "bob", "cyd", "dan"):
        history.finish(name, status="setup", detail="set-up failed")

    assert history.plan().mode == "parallel"


def test_the_same_attempt_has_the_same_run_id():
    """The id is derived, so a launch repeated after a crash is the same run."""
    first, again = Story().plan(ASKED).launches[0], Story().plan(ASKED).launches[0]
    assert first.run == again.run
    assert len({launch.run for launch in Story().plan(ASKED).launches}) == len(ROSTER)
    assert replace(first, attempt=2).run != first.run


def test_malformed_events_change_nothing():
    """Anybody may append events; those that lack the form of their kind are ignored."""
    story = Story().start(personas=("ann",))
    before = story.state
    story.tell("run.started", run="x").tell("run.finished", run="?", status="ok").tell("patch.landed", ref="?")
    story.tell("sprint.started").tell("tick.done", sprint="?").tell("patch.captured", run="x", patch=3)
    assert story.state == before


# -- when nobody asks


def never(cron, after):
    raise AssertionError("no cron line was given")


def test_sprints_start_by_schedule_and_missed_times_become_one():
    """`every` counts from the start of the last sprint; a day without a scheduler gives one sprint, not ninety-six."""
    story = Story(every=900.0)
    assert due(story.state, story.policy, story.now, never).start == "the first sprint"
    story.start().tell("sprint.finished", outcome="converged")
    request = due(story.state, story.policy, story.now, never)
    assert request.start is None
    assert "due at" in request.otherwise
    assert due(story.state, story.policy, story.later(days=1).now, never).start == "every 900 s"
    story.start()
    assert due(story.state, story.policy, story.now, never).start is None, "one that is open is gone on with"


def test_a_clock_that_is_set_back_or_forward_starts_at_most_one_sprint():
    """Set forward, one sprint starts; so does one after a sprint that a clock dated into the future, then all go on."""
    story = Story(every=900.0).start().tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, story.now + timedelta(days=365), never).start
    assert due(story.state, story.policy, story.now - timedelta(minutes=30), never).start is None
    assert due(story.state, story.policy, story.now - timedelta(days=1), never).start == "every 900 s"
    story.later(days=-1).start().tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, story.now, never).start is None
    assert due(story.state, story.policy, story.later(minutes=15).now, never).start == "every 900 s"


def test_a_sprint_that_is_dated_into_the_future_leaves_out_no_time_of_cron():
    """A night that lies before it has its sprint, one that lies after it has only one."""
    daily = partial(following, zone=UTC)
    story = Story(cron="30 2 * * *").start().tell("sprint.finished", outcome="converged")
    night = story.now.replace(hour=2, minute=30) + timedelta(days=1)
    story.now = night + timedelta(days=400)
    story.start().tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, night - timedelta(minutes=1), daily).start is None
    assert due(story.state, story.policy, night, daily).start == 'cron = "30 2 * * *"'
    story.now = night
    story.start().tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, night + timedelta(minutes=1), daily).start is None
    assert due(story.state, story.policy, night + timedelta(days=1), daily).start == 'cron = "30 2 * * *"'


def test_new_mail_starts_a_sprint_for_its_recipients_and_old_mail_does_not():
    """Mail that a sprint left unread is up to the human and must not start one sprint after another."""
    story = Story().start().tell("sprint.finished", outcome="spent").mail("bob", "you")
    request = due(story.state, story.policy, story.now, never)
    assert (request.start, request.personas) == ("unread mail for bob", ("bob",))
    assert launched(story.plan(request)) == [("bob", 1, "batch")]
    story.unread = {"bob": tuple(mail._replace(seq=1) for mail in story.unread["bob"])}
    assert due(story.state, story.policy, story.now, never).start is None


@pytest.mark.parametrize("type", ["fyi", "status", "progress", "result", "approve"])
def test_mail_of_a_type_that_wakes_nobody_launches_nobody_and_holds_up_no_sprint(type):
    """It is told as the reason for the skip, and starts no sprint either."""
    story = Story().start(personas=["ann", "bob"]).ran("ann").ran("bob").done().mail("bob", "ann", type)
    plan = story.plan()
    assert (plan.launches, plan.finish) == ((), "converged")
    assert skipped(plan)["bob"] == f"1 unread ({type}), which waits for its next run"
    story.tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, story.now, never).start is None


def test_mail_that_waits_is_given_to_a_run_that_has_another_reason():
    """A first launch, a retry, and mail that wakes take it along."""
    story = Story().start(personas=["ann", "bob"]).ran("ann").ran("bob").done()
    story.mail("bob", "ann", "fyi").mail("bob", "ann", "question").mail("ann", "bob", "fyi")
    (launch,) = story.plan().launches
    assert (launch.persona, launch.reason, [mail.type for mail in launch.mail]) == ("bob", "mail", ["fyi", "question"])
    assert launch.why == "1 unread, last from ann"
    story.tell("sprint.finished", outcome="converged")
    assert [len(launch.mail) for launch in story.plan(ASKED).launches] == [1, 2, 0, 0]
    retried = (
        Story(retry_backoff=0.0).start(personas=["ann"]).ran("ann", status="failed").done().mail("ann", "bob", "fyi")
    )
    assert [(launch.reason, len(launch.mail)) for launch in retried.plan().launches] == [("retry", 1)]


@pytest.mark.parametrize("sender", ["weaver", "scheduler", "postmaster"])
@pytest.mark.parametrize("type", ["conflict", "feedback", "bounce"])
def test_mail_of_a_program_wakes_whatever_its_type_and_the_setting(sender, type):
    """A conflict is work; but a run that bears the name of a program is none, nor is what a program only lets know."""
    story = Story(wakes_not=("conflict", "feedback", "bounce", "fyi")).start(personas=["ann"]).ran("ann").done()
    assert launched(story.mail("ann", sender, type).plan()) == [("ann", 2, "mail")]
    for fields in ({"run": "run-1"}, {"type": "fyi"}):
        story.unread = {"ann": tuple(mail._replace(**fields) for mail in story.unread["ann"])}
        assert launched(story.plan()) == []


def test_a_type_that_is_not_listed_wakes():
    """Also one that nobody has documented, and mail without a type."""
    for name in ("note", "question", "thanks-a-lot", "task"):
        story = Story().start(personas=["ann"]).ran("ann").done().mail("ann", "bob", name)
        assert launched(story.plan()) == [("ann", 2, "mail")]


def test_sprints_started_by_mail_are_limited_per_hour():
    """After a dozen in an hour, only the schedule starts sprints, and people, who are no loop."""
    story = Story(every=90_000.0)
    for _ in range(12):
        story.start(reason="unread mail for bob").tell("sprint.finished", outcome="spent")
    story.mail("bob", "ann")
    (mail,) = story.unread["bob"]
    story.unread["bob"] = (mail._replace(run="a run of ann's"),)
    assert due(story.state, story.policy, story.now, never).start is None
    assert due(story.state, story.policy, story.now + timedelta(hours=1), never).start == "unread mail for bob"
    assert due(story.mail("bob", "you").state, story.policy, story.now, never).start == "unread mail for bob"


# -- budgets


def priced(usd, tokens=0):
    return {"usage": {"input": tokens, "output": 0, "usd": usd}}


def test_a_budget_that_is_spent_lets_nothing_more_start():
    """What waits is woven first; then the sprint ends, and says by which budget."""
    story = Story(retry_backoff=0).start()
    story.budgets = Budgets(sprint=amount("$5"))
    story.ran("ann", **priced(3.0)).ran("bob", status="failed", **priced(1.99)).done()
    assert [launch[0] for launch in launched(story.plan())] == ["bob", "cyd", "dan"]
    story.ran("cyd", patch=True, **priced(0.01)).done()

    plan = story.plan()
    assert (launched(plan), plan.finish, len(plan.weave)) == ([], None, 1)
    assert plan.overspent
    assert plan.overspent.text == "the budget of the sprint is spent: $5.00 of $5"
    story.landed("cyd").done()
    plan = story.plan()
    assert (launched(plan), plan.finish) == ([], "budget")
    story.budgets = Budgets(sprint=amount("$6"))
    assert [launch[0] for launch in launched(story.plan())] == ["bob", "dan"], "raised, it goes on"


def test_what_is_unknown_is_held_against_no_budget_but_one_of_runs():
    """Runs that tell nothing can only be counted."""
    story = Story(retry_backoff=0).start().ran("ann").ran("bob", status="failed").done()
    story.budgets = Budgets(sprint=amount("$0.01"))
    assert len(story.plan().launches) == 3
    story.budgets = Budgets(sprint=amount("3 runs"))
    plan = story.plan()
    assert launched(plan) == [("bob", 2, "retry")]
    assert skipped(plan)["cyd"] == skipped(plan)["dan"] == "the budget has no run left for it"
    story.budgets = Budgets(sprint=amount("2 runs"))
    assert story.plan().finish == "budget"


def test_a_persona_whose_budget_is_spent_is_set_aside_alone():
    """The others go on."""
    story = Story(retry_backoff=0).start()
    story.budgets = Budgets(persona=amount("2k tokens"))
    story.ran("ann", status="failed", **priced(1, 2000)).ran("bob", status="failed", **priced(9, 1999)).done()
    plan = story.plan()
    assert [skip.persona for skip in plan.aside] == ["ann"]
    assert plan.aside[0].why == "the budget of ann is spent: 2k of 2k tokens"
    assert "bob" in [launch[0] for launch in launched(plan)]


def test_a_run_that_its_own_budget_ended_is_not_tried_again():
    """Another try would end in the same way; the human is told which setting it was, and no agent is called broken."""
    story = Story(retry_backoff=0).start()
    why = "the budget of the run is spent: 2k of 1k tokens; raise [budget] run in team.toml"
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name, status="quota", detail=why, hopeless=True)
    plan = story.done().plan()
    assert (launched(plan), plan.finish) == ([], "spent")
    assert {skip.why for skip in plan.aside} == {why}


def test_no_tick_says_that_a_sprint_may_start_once_the_day_is_spent():
    """A dry run and a tick without a request say what `scheduler sprint` would."""
    story = Story()
    story.budgets = Budgets(day=amount("$2"))
    story.today = (("d-1", Used(Usage(usd=2.5))),)
    assert (story.plan().idle or "").startswith("the budget of the day is spent: $2.50 of $2")


def test_the_budget_of_a_day_counts_what_ran_outside_of_the_sprint():
    """Dispatches and earlier sprints of the day; no sprint starts before midnight then."""
    story = Story()
    story.budgets = Budgets(day=amount("$2"))
    story.today = (("d-1", Used(Usage(usd=1.5))),)
    assert story.plan(ASKED).opening
    story.start().ran("ann", **priced(0.5))
    assert story.plan().finish == "budget"
    story.tell("sprint.finished", sprint=1, outcome="budget")
    story.today = (("d-1", Used(Usage(usd=1.5))), ("1-ann-1", Used(Usage(usd=0.5))))
    plan = story.plan(ASKED)
    assert (plan.opening, plan.idle) == (
        None, "the budget of the day is spent: $2.00 of $2; it begins anew at midnight",
    )  # fmt: skip
    assert plan.idle_until
    assert timedelta(0) < plan.idle_until - story.now <= timedelta(hours=25)
    story.today = ()
    assert story.later(hours=30).plan(ASKED).opening


# -- quotas, and what cannot start


def test_who_is_refused_by_its_service_is_parked_and_spends_no_attempt():
    """With one attempt each: all of the agent wait until the time that the service named, and then go on."""
    story = Story(max_attempts=1).start()
    until = START + timedelta(hours=2)
    story.launch("ann").launch("bob")
    story.finish("ann", status="limited", detail="usage limit", until=rfc3339(until))
    story.finish("bob", status="limited", detail="usage limit", until=rfc3339(until)).done()
    plan = story.plan()
    assert (launched(plan), plan.wait_until, plan.finish) == ([], until, None)
    assert {skip.persona: skip.parked for skip in plan.skips} == dict.fromkeys(("ann", "bob", "cyd", "dan"), until)
    assert skipped(plan)["cyd"] == f"parked until {until:%H:%M:%S}Z by agent shell: usage limit"
    assert plan.document()["skips"][0]["parked"] == until.isoformat()
    story.later(hours=2)
    assert launched(story.plan()) == [
        ("ann", 2, "retry"), ("bob", 2, "retry"), ("cyd", 1, "batch"), ("dan", 1, "batch"),
    ]  # fmt: skip


def test_refusals_make_no_agent_broken_and_no_sprint_sequential():
    """They say nothing about agent or mode."""
    story = Story(max_attempts=1).start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.launch(name)
    for name in ("ann", "bob", "cyd", "dan"):
        story.finish(name, status="limited")
    story.done().later(minutes=2)
    plan = story.plan()
    assert (plan.mode, plan.finish, len(plan.launches)) == ("parallel", None, 4)


def test_a_window_that_ends_after_the_deadline_ends_the_sprint():
    """Nobody waits for what cannot be done in time."""
    story = Story(deadline=3600.0).start().launch("ann")
    story.finish("ann", status="limited", until=rfc3339(START + timedelta(hours=2)))
    assert story.plan().finish == "deadline"


def test_what_cannot_start_is_not_tried_again():
    """The same command and the same prompt fail in the same way; another persona is not concerned."""
    story = Story(retry_backoff=10.0).start()
    story.ran("ann", status="failed", detail="cannot start tool: No such file", hopeless=True)
    story.ran("bob", status="failed", detail="exit 1").done()
    plan = story.plan()
    assert [(skip.persona, skip.why) for skip in plan.aside] == [
        ("ann", "it cannot start: cannot start tool: No such file")
    ]
    assert "next try at" in skipped(plan)["bob"]
