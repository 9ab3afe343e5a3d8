"""The rules of a sprint, one by one, each over a list of events: what is launched next, what is not, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from team_mail.mail.clock import rfc3339
from team_mail.scheduler.context import Member
from team_mail.scheduler.settings.settings import SprintSettings
from team_mail.scheduler.sprint.decide import StartRequest, decide
from team_mail.scheduler.sprint.triggers import due
from team_mail.scheduler.state.facts import Fact, Mail
from team_mail.scheduler.state.sprints import State, fold

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
ASKED = StartRequest("asked for")
ROSTER = tuple(Member(name, "shell") for name in ("ann", "bob", "cyd", "dan"))


class Story:
    """A log told event by event; each comes a second after the one before, unless time is made to pass."""

    def __init__(self, **settings):
        self.facts: list[Fact] = []
        self.now = START
        self.unread: dict[str, tuple[Mail, ...]] = {}
        self.dead: frozenset[str] = frozenset()
        self.policy = SprintSettings(**settings)
        self.tick = 1
        self.sprint = 0

    def tell(self, kind, *, ref=None, run=None, sender="scheduler", **data):
        self.now += timedelta(seconds=1)
        seq = len(self.facts) + 1
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

    def finish(self, persona, attempt=1, status="ok", detail="", patch=False, seconds=2.0):
        if patch:
            self.capture(persona, attempt)
        run = f"{self.sprint}-{persona}-{attempt}"
        return self.tell("run.finished", run=run, status=status, exit=0, seconds=seconds, detail=detail)

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

    def mail(self, persona, sender="weaver"):
        seq = 1000 + len(self.facts)
        mail = Mail(persona, seq, f"m{seq}", rfc3339(self.now), sender, "Look", "note", "normal", None)
        self.unread[persona] = (*self.unread.get(persona, ()), mail)
        return self

    def later(self, **time):
        self.now += timedelta(**time)
        return self

    @property
    def state(self) -> State:
        return replace(fold(self.facts), unread=self.unread, dead=self.dead)

    def plan(self, request=StartRequest(), roster=ROSTER):  # noqa: B008
        return decide(self.state, roster, self.policy, self.now, request)


def launched(plan):
    return [(launch.persona, launch.attempt, launch.reason) for launch in plan.launches]


def skipped(plan):
    return {skip.persona: skip.why for skip in plan.skips}


# -- starting


def test_a_sprint_that_is_asked_for_launches_everybody_at_once():
    """The first tick of a sprint is its batch."""
    plan = Story().plan(ASKED)
    assert plan.opening
    assert (plan.opening.number, plan.opening.reason, plan.tick, plan.mode) == (1, "asked for", 1, "parallel")
    assert launched(plan) == [(name, 1, "batch") for name in ("ann", "bob", "cyd", "dan")]
    assert plan.finish is None


def test_without_a_wish_or_a_roster_a_tick_is_idle_and_says_why():
    """Nothing is started that nobody asked for, and an empty roster is named."""
    assert Story().plan().idle == "no sprint is open"
    assert "nobody on the roster is scheduled" in str(Story().plan(ASKED, roster=()).idle)
    assert Story().plan(ASKED, roster=()).opening is None


def test_a_pause_holds_everything_until_it_is_taken_back():
    """Pause and resume are events like any other; the last one holds."""
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
def test_the_feature_flag_chooses_the_mode_and_says_by_which_rule(flag, number, mode, rule):
    """By number of the sprint, as the settings have it."""
    story = Story(parallel=flag)
    for _ in range(number - 1):
        story.start().tell("sprint.finished", outcome="converged")
    plan = story.plan(ASKED)
    assert (plan.sprint, plan.mode, plan.rule) == (number, mode, rule)


def test_sequential_only_wins_over_the_flag_and_a_word_by_hand_over_both():
    """The nearer the word, the more it counts."""
    story = Story(parallel="always", sequential_only=(1,))
    assert (story.plan(ASKED).mode, story.plan(ASKED).rule) == ("sequential", "sequential_only names sprint 1")
    assert story.plan(StartRequest("asked for", "parallel")).mode == "parallel"


def test_a_sprint_keeps_the_mode_it_began_with():
    """Settings that change on the way do not change a sprint under way."""
    assert Story(parallel="never").start("parallel").plan().mode == "parallel"


# -- one after the other


def test_in_sequence_one_runs_at_a_time_and_the_others_wait_their_turn():
    """The same plan with width 1: as many ticks as personas, and one to weave the last."""
    story, ticks = Story().start("sequential"), 0
    while not (plan := story.plan()).finish:
        assert len(plan.launches) == 1
        assert all("waits its turn" in why or "nothing unread" in why for why in skipped(plan).values())
        story.ran(plan.launches[0].persona).done()
        ticks += 1
    assert ticks == len(ROSTER)


def test_a_batch_that_fails_for_more_than_its_share_makes_the_rest_sequential():
    """Half may fail; one more, and running at once is given up for this sprint."""
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


def test_patches_are_woven_once_their_run_has_ended():
    """A patch whose run is still open might not be its last word."""
    story = Story().start().launch("ann").capture("ann")
    assert story.plan().weave == ()
    story.finish("ann")
    assert [patch.persona for patch in story.plan().weave] == ["ann"]
    assert story.landed("ann").plan().weave == ()


def test_half_a_change_is_not_woven():
    """What a run left that was cut off, stopped or lost is dropped; what a failed one left is offered."""
    for status, woven in [("timeout", 0), ("stopped", 0), ("quota", 0), ("failed", 1), ("ok", 1)]:
        story = Story().start().launch("ann").finish("ann", status=status, patch=True)
        assert len(story.plan().weave) == woven, status


def test_a_sprint_in_which_nothing_is_left_to_do_has_converged():
    """Nobody has unread mail, no patch is pending, no run is open."""
    story = Story().start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name, patch=True)
    assert story.done().plan().finish is None
    for name in ("ann", "bob", "cyd", "dan"):
        story.landed(name)
    plan = story.plan()
    assert (plan.finish, plan.launches) == ("converged", ())
    assert set(skipped(plan).values()) == {"nothing unread"}


def test_whoever_has_unread_mail_runs_again():
    """Consolidation: mail is the only thing that brings a persona back."""
    story = Story().start()
    for name in ("ann", "bob", "cyd", "dan"):
        story.ran(name)
    plan = story.done().mail("bob").plan()
    assert launched(plan) == [("bob", 2, "mail")]
    assert [mail.sender for mail in plan.launches[0].mail] == ["weaver"]
    assert plan.finish is None


def test_a_run_that_goes_on_is_not_started_again():
    """An open run holds the sprint open, whatever mail its persona has."""
    story = Story().start(personas=("ann",)).launch("ann").mail("ann")
    plan = story.plan()
    assert skipped(plan)["ann"] == "still running"
    assert plan.finish is None


# -- giving up


def test_attempts_are_counted_and_then_the_human_is_told():
    """At most so many launches for a persona in one sprint; then it is set aside, and the sprint is spent."""
    story = Story(max_attempts=2).start(personas=("ann",)).ran("ann").mail("ann").ran("ann", 2, "mail")
    plan = story.plan()
    assert launched(plan) == []
    assert [(skip.persona, skip.why) for skip in plan.aside] == [("ann", "2 attempts spent and mail still waits")]
    assert plan.finish == "spent"
    story.tell("persona.skipped", persona="ann", why="2 attempts spent")
    assert story.plan().aside == (), "the human is told once"
    assert story.plan().finish == "spent"


def test_the_same_conflict_twice_running_goes_to_the_human_at_once():
    """No progress: a third try would only repeat it. Another conflict is progress."""
    story = Story().start(personas=("ann",)).ran("ann", patch=True).conflicted("ann").mail("ann").done()
    assert launched(story.plan()) == [("ann", 2, "mail")]
    story.ran("ann", 2, "mail", patch=True).conflicted("ann", 2, "another")
    assert launched(story.plan()) == [("ann", 3, "mail")]
    story = Story().start(personas=("ann",)).ran("ann", patch=True).conflicted("ann").mail("ann").done()
    story.ran("ann", 2, "mail", patch=True).conflicted("ann", 2)
    assert [skip.why for skip in story.plan().aside] == ["no progress: the same conflict twice running"]


def test_work_that_came_to_nothing_goes_to_the_human_and_the_sprint_is_spent():
    """A patch that conflicted, was refused, failed a gate or was cut off, and that nobody brought again."""
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


def test_a_scheduler_that_is_told_to_end_costs_no_attempts():
    """Ctrl-C as often as one likes: the runs that it gives up are launched again."""
    story = Story(max_attempts=1).start(personas=("ann",))
    for attempt in range(1, 6):
        assert launched(story.plan())[0][1] == attempt
        story.launch("ann", attempt).tell("run.lost", run=f"1-ann-{attempt}", why="stopped", orderly=True)


def test_the_loop_guard_caps_launches_by_mail():
    """Personas that keep writing to each other end here, whatever attempts they have left."""
    story = Story(max_attempts=99, max_wakes=3).start(personas=("ann", "bob")).ran("ann").ran("bob")
    story.mail("ann").mail("bob").ran("ann", 2, "mail").ran("bob", 2, "mail")
    plan = story.plan()
    assert launched(plan) == [("ann", 3, "mail")]
    assert [(skip.persona, skip.why) for skip in plan.aside] == [
        ("bob", "loop guard: 3 launches by mail in one sprint")
    ]


def test_a_run_that_failed_without_a_patch_is_tried_again_after_a_pause_that_doubles():
    """Back-off: 10 s, then 20 s; until then the tick waits, and the sprint does not end."""
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


def test_an_agent_that_fails_for_everybody_is_not_paid_for_to_the_end():
    """All failed, and a retry failed too: the sprint ends, whatever attempts are left. One success, and it goes on."""
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


def test_a_run_that_failed_with_a_patch_is_not_tried_again():
    """It has delivered; the weaver and the gates judge what."""
    story = Story().start(personas=("ann",)).ran("ann", status="failed", patch=True).landed("ann")
    assert launched(story.plan()) == []
    assert story.plan().finish == "converged"


def test_a_run_stopped_by_hand_stays_stopped():
    """Who was stopped is not started again in this sprint, mail or not."""
    story = Story().start(personas=("ann",)).ran("ann", status="stopped", detail="you").mail("ann")
    assert "stopped by hand" in skipped(story.plan())["ann"]
    assert story.plan().finish == "converged"


def test_a_word_to_stop_holds_though_the_scheduler_died_before_it_could_obey():
    """It is on record: the run that is given up then is not launched again."""
    story = Story().start(personas=("ann",)).launch("ann").tell("run.stopped", ref="1-ann-1", sender="you")
    story.tell("run.lost", run="1-ann-1", why="its scheduler is gone")
    assert launched(story.plan()) == []
    assert "stopped by hand" in skipped(story.plan())["ann"]
    failed = Story().start(personas=("ann",)).launch("ann").tell("run.stopped", ref="1-ann-1", sender="you")
    plan = failed.finish("ann", status="failed").plan()
    assert (launched(plan), plan.wait_until, plan.finish) == ([], None, "converged")


def test_a_deadline_ends_the_sprint_once_what_is_there_is_woven():
    """Nothing more is launched after it; patches that are there still land."""
    story = Story(deadline=60).start(personas=("ann", "bob")).ran("ann", patch=True).later(seconds=60)
    plan = story.plan()
    assert (launched(plan), len(plan.weave), plan.finish) == ([], 1, None)
    assert story.landed("ann").plan().finish == "deadline"


def test_a_retry_that_is_due_after_the_deadline_is_not_waited_for():
    """The sprint ends by its deadline at once; a retry that is due before it is still waited for."""
    failed = {"status": "failed", "detail": "exit 3"}
    story = Story(deadline=60, retry_backoff=10).start(personas=("ann",)).ran("ann", **failed).done()
    assert (story.plan().finish, bool(story.plan().wait_until)) == (None, True)
    story = Story(deadline=60, retry_backoff=100).start(personas=("ann",)).ran("ann", **failed).done()
    plan = story.plan()
    assert (plan.finish, plan.wait_until, launched(plan)) == ("deadline", None, [])


# -- crashes


def test_a_run_whose_scheduler_is_gone_is_given_up_and_started_again_as_another():
    """The lost one is no attempt of the persona's own; its late words are on record and change nothing."""
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
def test_a_dead_run_is_no_attempt_before_it_is_given_up_either(attempts):
    """With its last attempt dead, the dry run says `retry`, as the tick does, and does not set the persona aside."""
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


@settings(max_examples=200, deadline=None)
@given(
    runs=st.dictionaries(st.sampled_from([member.id for member in ROSTER]), RUNS, min_size=1),
    waiting=st.sets(st.sampled_from([member.id for member in ROSTER])),
    mode=st.sampled_from(["parallel", "sequential"]),
    most=st.integers(1, 3),
)
def test_the_plan_is_the_same_before_and_after_dead_runs_are_given_up(runs, waiting, mode, most):
    """Whatever happened before: launches, skips and personas set aside of the dry run are those of the tick."""
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


def test_runs_that_are_lost_again_and_again_are_given_up():
    """An agent that kills its scheduler must not do so for ever."""
    story = Story(max_attempts=9).start(personas=("ann",))
    for attempt in (1, 2, 3):
        story.launch("ann", attempt).tell("run.lost", run=f"1-ann-{attempt}", why="gone")
    assert [skip.why for skip in story.plan().aside] == ["3 runs were lost with their scheduler"]


def test_the_same_attempt_is_the_same_run():
    """The id is derived: a launch that is repeated after a crash is the one that was meant."""
    first, again = Story().plan(ASKED).launches[0], Story().plan(ASKED).launches[0]
    assert first.run == again.run
    assert len({launch.run for launch in Story().plan(ASKED).launches}) == len(ROSTER)
    assert replace(first, attempt=2).run != first.run


def test_events_that_only_look_like_ours_change_nothing():
    """Somebody may append anything; what lacks the form of its kind is passed over."""
    story = Story().start(personas=("ann",))
    before = story.state
    story.tell("run.started", run="x").tell("run.finished", run="?", status="ok").tell("patch.landed", ref="?")
    story.tell("sprint.started").tell("tick.done", sprint="?").tell("patch.captured", run="x", patch=3)
    assert story.state == before


# -- when nobody asks


def never(cron, after):
    raise AssertionError("no cron line was given")


def test_sprints_come_by_their_rhythm_and_missed_ones_become_one():
    """`every` counts from the start of the last sprint; a day without a scheduler is one sprint, not ninety-six."""
    story = Story(every=900.0)
    assert due(story.state, story.policy, story.now, never).start == "the first sprint"
    story.start().tell("sprint.finished", outcome="converged")
    request = due(story.state, story.policy, story.now, never)
    assert request.start is None
    assert "due at" in request.otherwise
    assert due(story.state, story.policy, story.later(days=1).now, never).start == "every 900 s"
    story.start()
    assert due(story.state, story.policy, story.now, never).start is None, "one that is open is gone on with"


def test_a_clock_that_jumps_back_neither_storms_nor_stalls():
    """Set back by a day, the next sprint waits for its time; set forward, one comes."""
    story = Story(every=900.0).start().tell("sprint.finished", outcome="converged")
    assert due(story.state, story.policy, story.now - timedelta(days=1), never).start is None
    assert due(story.state, story.policy, story.now + timedelta(days=365), never).start


def test_fresh_mail_starts_a_sprint_for_those_it_went_to_and_old_mail_does_not():
    """What a sprint left unread was left to the human, and must not start another and another."""
    story = Story().start().tell("sprint.finished", outcome="spent").mail("bob", "you")
    request = due(story.state, story.policy, story.now, never)
    assert (request.start, request.personas) == ("unread mail for bob", ("bob",))
    assert launched(story.plan(request)) == [("bob", 1, "batch")]
    story.unread = {"bob": tuple(mail._replace(seq=1) for mail in story.unread["bob"])}
    assert due(story.state, story.policy, story.now, never).start is None


def test_mail_cannot_start_sprints_without_end():
    """A dozen an hour, then the rhythm alone."""
    story = Story(every=90_000.0)
    for _ in range(12):
        story.start(reason="unread mail for bob").tell("sprint.finished", outcome="spent")
    story.mail("bob", "you")
    assert due(story.state, story.policy, story.now, never).start is None
    assert due(story.state, story.policy, story.later(hours=1).now, never).start == "unread mail for bob"
