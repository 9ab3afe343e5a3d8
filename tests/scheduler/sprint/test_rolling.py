"""Sprints without barriers: nobody waits for the slowest, and what a crash leaves is taken up again."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from team_mail.mail.errors import LogError
from team_mail.mail.letter import Letter
from team_mail.personas.agent import Outcome
from team_mail.personas.errors import GitError
from team_mail.scheduler.runs.batch import BatchRunner
from team_mail.scheduler.runs.launch import Launch
from team_mail.scheduler.runs.local import LocalRunner
from team_mail.scheduler.sprint.decide import ASKED, StartRequest
from team_mail.scheduler.sprint.loop import run_sprint, run_tick
from team_mail.scheduler.sprint.plan import with_room
from team_mail.scheduler.sprint.status import status
from team_mail.scheduler.sprint.tick import Ticker
from team_mail.scheduler.state.facts import Run

from ...conftest import start_over

PATIENCE = 30.0
AT_ONCE = '[sprint]\ngather = "0s"\nretry_backoff = "0s"\n'


class Gate:
    """A persona that does its work once it is let through."""

    def __init__(self, work=lambda job: None):
        self.open, self.came, self.work = threading.Event(), threading.Event(), work

    def __call__(self, job):
        self.came.set()
        assert self.open.wait(PATIENCE)
        return self.work(job)


def sprinting(team, scripts, settings=AT_ONCE):
    """Run a sprint in a thread; return the ticker and the thread."""
    context = team.context(scripts, settings)
    ticker = Ticker(context, BatchRunner(context))
    thread = threading.Thread(target=run_sprint, args=(ticker, StartRequest(ASKED)), daemon=True)
    thread.start()
    return ticker, thread


def until(context, *kinds, ref=None, count=1, but=None):
    """Wait until so many events of these kinds are in the log, not counting those about a commit; return them."""
    stop, found = threading.Event(), []
    threading.Timer(PATIENCE, stop.set).start()
    for event in context.mailbox.log.follow(0, stop=stop):
        if event.kind in kinds and (ref is None or event.ref == ref) and event.data.get("commit", "") != but:
            found.append(event)
        if len(found) == count:
            stop.set()
            return found
    raise AssertionError(f"{count} of {kinds} never came")


def test_what_has_ended_lands_and_conflicts_are_settled_while_another_one_hangs(team):
    """The patch of the first, the conflict of the second, and its repair: all before the third has ended."""
    slow = Gate(team.replaced(7, "cyd"))
    first, second = team.replaced(3, "ann"), Gate(team.replaced(3, "bob"))

    def again(job):
        return team.replaced(4, "bob, too")(job) if job.attempt > 1 else second(job)

    ticker, thread = sprinting(team, {"ann": first, "bob": again, "cyd": slow})
    until(ticker.context, "patch.landed")
    second.open.set()
    until(ticker.context, "patch.conflicted")
    landed = until(ticker.context, "patch.landed", count=2)
    assert [event.data["persona"] for event in landed] == ["ann", "bob"]
    assert slow.came.is_set()
    assert thread.is_alive()
    slow.open.set()
    thread.join(PATIENCE)
    state = ticker.context.state()
    assert (state.sprints[-1].outcome, state.sprints[-1].rolling) == ("converged", True)
    assert "cyd" in team.text("team/sprint-1")


def test_mail_to_somebody_who_is_done_starts_them_at_once(team):
    """Although nothing has ended meanwhile."""
    slow, reads = Gate(), []

    def ann(job):
        reads.append(job.attempt)

    ticker, thread = sprinting(team, {"ann": ann, "bob": lambda job: None, "cyd": slow})
    assert slow.came.wait(PATIENCE)
    until(ticker.context, "run.finished", count=2)
    team.context().mailbox.send(Letter("you", ["ann"], "One more thing"))
    until(ticker.context, "run.finished", count=3)
    assert reads == [1, 2]
    slow.open.set()
    thread.join(PATIENCE)
    assert ticker.context.state().sprints[-1].outcome == "converged"


def gated(folder):
    """Return settings with a gate that passes what ann has changed once the file `open` is there."""
    waits = f"if grep -q ann poem.txt; then until [ -e {folder}/open ]; do sleep 0.02; done; fi"
    return f'{AT_ONCE}[gates.slow]\ncommand = ["sh", "-c", "{waits}"]\n'


def test_while_a_gate_judges_whoever_is_due_is_launched(team, tmp_path):
    """On what has landed until then; nobody whose own patch is being judged, and what comes meanwhile is woven next."""
    (team.home / "personas" / "cyd.md").unlink()

    def bob(job):
        return None if job.attempt == 1 else team.replaced(6, "bob")(job)

    ticker, thread = sprinting(team, {"ann": team.replaced(3, "ann"), "bob": bob}, gated(tmp_path))
    until(ticker.context, "gate.started", but=team.git("rev-parse", "main"))
    team.context().mailbox.send(Letter("you", ["ann", "bob"], "One more thing"))
    until(ticker.context, "run.finished", count=3)
    assert [run.persona for run in ticker.context.state().runs].count("bob") == 2
    assert ticker.context.state().patches[0].status == "pending"
    (tmp_path / "open").touch()
    thread.join(PATIENCE)

    runs = [(run.persona, run.attempt) for run in ticker.context.state().runs]
    assert sorted(runs) == [("ann", 1), ("ann", 2), ("bob", 1), ("bob", 2)]
    assert {"ann", "bob"} <= {*team.text("team/sprint-1")}
    woven = [event.data["order"] for event in ticker.context.mailbox.log.read() if event.kind == "weave.done"]
    assert [len(order) for order in woven[:2]] == [1, 1]


def test_what_no_gate_can_change_is_told_before_the_gates_judge(team, tmp_path):
    """A conflict with what had landed before: its author settles it while a gate tries the patch of another one."""
    wait = "until [ -e %s/%s ]; do sleep 0.02; done"
    gate = f"if grep -q cyd poem.txt; then {wait % (tmp_path, 'second')}; "
    gate += f"elif grep -q bob poem.txt; then {wait % (tmp_path, 'first')}; fi"
    late, slow = Gate(team.replaced(3, "ann")), Gate(team.replaced(23, "cyd"))

    def ann(job):
        late(job) if job.attempt == 1 else start_over(job)

    settings = f'{AT_ONCE}[gates.slow]\ncommand = ["sh", "-c", {json.dumps(gate)}]\n'
    ticker, thread = sprinting(team, {"ann": ann, "bob": team.replaced(3, "bob"), "cyd": slow}, settings)
    until(ticker.context, "gate.started", but=team.git("rev-parse", "main"))
    late.open.set()
    slow.open.set()
    until(ticker.context, "run.finished", count=3)  # both wait for the weaver now
    (tmp_path / "first").touch()
    until(ticker.context, "run.finished", count=4)
    now = status(ticker.context, ticker.context.clock.now())
    assert [gate for gate, _, _ in now.gates] == ["slow"]
    assert [event.data["persona"] for event in until(ticker.context, "patch.landed")] == ["bob"]
    assert until(ticker.context, "patch.conflicted")[0].data["tip"] == team.git("rev-parse", "team/sprint-1")
    (tmp_path / "second").touch()
    thread.join(PATIENCE)
    assert status(ticker.context, ticker.context.clock.now()).gates == ()
    assert {"bob", "cyd"} <= {*team.text("team/sprint-1")}


class SlowToPlan(Ticker):
    """A ticker that plans its next step only once the weave has ended that went on when it read the state."""

    let_gate_pass, late, ticking = staticmethod(lambda: None), False, False

    def tick(self, request, state=None, plan=None):
        self.ticking = True
        done = super().tick(request, state, plan)
        self.ticking = False
        return done

    def plan(self, request, state=None):
        if self.weaving and not self.ticking:
            self.late = True
            self.let_gate_pass()
            wait([self.dispatcher.open._beside[""]], PATIENCE)
        return super().plan(request, state)


def test_what_lands_while_the_next_step_is_decided_is_not_woven_again(team, tmp_path):
    """A weave that ends between the reading of the state and the plan has settled patches that wait in that state."""
    context = team.context({"ann": team.replaced(3, "ann")}, gated(tmp_path))
    ticker = SlowToPlan(context, BatchRunner(context))
    ticker.let_gate_pass = (tmp_path / "open").touch

    result = run_sprint(ticker, StartRequest(ASKED))

    assert ticker.late
    assert [event.data["how"] for event in context.mailbox.log.read() if event.kind == "patch.landed"] == ["apply"]
    assert result.landed == ("ann",)


def test_a_sprint_that_is_ended_while_a_gate_judges_goes_on_with_the_next_scheduler(team, tmp_path):
    """Nothing of it is on record, so it is woven again."""
    ticker, thread = sprinting(team, {"ann": team.replaced(3, "ann")}, gated(tmp_path))
    until(ticker.context, "gate.started", but=team.git("rev-parse", "main"))
    ticker.dispatcher.end()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "weave.done" not in {event.kind for event in ticker.context.mailbox.log.read()}

    (tmp_path / "open").touch()
    result = team.sprint({"ann": lambda job: None}, gated(tmp_path))
    assert (result.sprint, result.outcome, result.landed) == (1, "converged", ("ann",))


def test_a_weave_beside_the_runs_that_fails_ends_nothing_that_runs_and_is_tried_again(team, tmp_path):
    """Until nothing else goes on: then the error is the sprint's."""
    slow, errors = Gate(), []
    context = team.context({"ann": team.replaced(3, "ann"), "bob": slow}, gated(tmp_path))
    ticker = Ticker(context, BatchRunner(context))

    def sprint():
        try:
            run_sprint(ticker, StartRequest(ASKED))
        except GitError as error:
            errors.append(error)

    thread = threading.Thread(target=sprint, daemon=True)
    thread.start()
    until(context, "gate.started", but=team.git("rev-parse", "main"))
    (team.folder / ".git/refs/heads/team/sprint-1.lock").touch()  # as a git that was killed leaves it
    (tmp_path / "open").touch()
    until(context, "weave.done")
    slow.open.set()
    thread.join(PATIENCE)
    assert [run.status for run in context.state().runs] == ["ok"] * 3
    assert "sprint-1.lock" in str(errors)


def test_a_run_that_ends_after_the_state_was_read_ends_no_sprint(team):
    """The plan still says that it goes on, and nothing does any more: that is news, and no end."""
    slow = Gate(team.replaced(3, "ann"))

    class Late(Ticker):
        def plan(self, request, state=None):
            plan = super().plan(request, state)
            if plan.idle and "still running" in plan.idle:
                slow.open.set()
                while self.dispatcher.running:
                    self.dispatcher.open.wait(PATIENCE)
            return plan

    context = team.context({"ann": slow}, AT_ONCE)
    result = run_sprint(Late(context, BatchRunner(context)), StartRequest(ASKED))
    assert (result.outcome, result.landed) == ("converged", ("ann",))


def test_patches_that_come_within_the_gathering_are_woven_together(team):
    """Unless nobody else runs, the weaver waits for others."""
    slow = Gate()
    quick = {"ann": team.replaced(3, "ann"), "bob": team.replaced(7, "bob"), "cyd": slow}
    ticker, thread = sprinting(team, quick, AT_ONCE.replace('"0s"', '"2s"', 1))
    (woven,) = until(ticker.context, "weave.done")
    assert len(woven.data["order"]) == 2
    slow.open.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_sprint_that_is_ended_leaves_nothing_running_and_is_taken_up_again(team):
    """The next one goes on where it was."""
    slow = Gate(team.replaced(7, "cyd"))
    scripts = {"ann": team.replaced(3, "ann"), "bob": lambda job: None, "cyd": slow}
    ticker, thread = sprinting(team, scripts)
    until(ticker.context, "patch.landed")
    ticker.dispatcher.end()
    slow.open.set()
    thread.join(PATIENCE)
    assert ticker.context.state().sprint
    result = team.sprint(scripts, AT_ONCE)
    assert result.converged
    assert sorted(result.landed) == ["ann", "cyd"]


def test_a_step_starts_what_has_room_and_waits_only_for_agents_that_are_no_processes(team):
    """Each goes on with what the last one left."""
    scripts = {"ann": team.replaced(3, "ann"), "bob": team.replaced(3, "bob"), "cyd": lambda job: None}
    context = team.context(scripts, AT_ONCE + "max_parallel = 2\n")
    plans = []
    for _ in range(12):
        done = run_tick(Ticker(context, BatchRunner(context)), StartRequest(ASKED))
        plans.append([launch.persona for launch in done.plan.starts])
        if done.plan.finish:
            break
    assert done.plan.finish
    assert plans[0] == ["ann", "bob"]
    assert "cyd" in plans[1]
    assert context.state().sprints[-1].outcome == "converged"


def test_with_the_flag_off_a_batch_is_waited_for(team):
    """As it was: one weave for both."""
    result = team.sprint(
        {"ann": team.replaced(3, "ann"), "bob": team.replaced(7, "bob")}, '[sprint]\nrolling = "never"\n'
    )
    assert (result.converged, result.ticks) == (True, 2)
    assert team.kinds("weave") == ["weave.done"]
    assert not team.context().state().sprints[-1].rolling


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        pytest.param("always", [True] * 2, marks=pytest.mark.storm),
        pytest.param("never", [False] * 2, marks=pytest.mark.storm),
        ("every 2", [False, True] * 2),
    ],
)
def test_the_flag_says_which_sprints_roll(team, flag, expected):
    """By their number, as the flag of parallel sprints."""
    for _ in expected:
        team.sprint({}, f'[sprint]\nrolling = "{flag}"\n')
    assert [sprint.rolling for sprint in team.context().state().sprints] == expected


def test_those_start_first_that_took_longest_in_earlier_sprints(team):
    """One at a time, so that the order shows; a new one may take longest of all."""
    took = {"ann": 1.0, "bob": 50.0, "cyd": 10.0}
    scripts = {name: (lambda job: Outcome("ok", 0, took.get(job.persona, 1.0), "done")) for name in (*took, "dan")}
    assert team.sprint(scripts, AT_ONCE).converged
    team.roster("dan")
    assert team.sprint(scripts, AT_ONCE + "max_parallel = 1\n").converged
    runs = sorted((run for run in team.context().state().runs if run.sprint == 2), key=lambda run: run.started)
    assert [run.persona for run in runs] == ["dan", "bob", "cyd", "ann"]


LENGTHS = st.lists(st.one_of(st.none(), st.floats(1, 1e4)), max_size=9)


@given(
    LENGTHS,
    st.lists(st.sampled_from(["claude", "codex"]), min_size=9, max_size=9),
    st.integers(0, 4),
    st.integers(1, 6),
)
def test_as_many_start_as_there_is_room_for_those_first_that_take_longest(lengths, agents, alive, most):
    """None is passed over for one that is expected to take less, unless its agent has no room."""
    runs = [Run(f"r{n}", f"old{n}", 1, 1, 1, "b", "claude", "batch", "2026-01-01T00:00:00Z") for n in range(alive)]
    launches = [
        Launch(f"p{n}", agent, 1, 1, "batch", "", estimate=length)
        for n, (length, agent) in enumerate(zip(lengths, agents, strict=False))
    ]
    limits = {"claude": 3}
    starts = with_room(launches, runs, most, limits)
    assert len(starts) <= max(0, most - alive)
    assert sum(each.agent == "claude" for each in starts) <= max(0, 3 - alive)
    left = [launch for launch in launches if launch not in starts]
    full = len(starts) == max(0, most - alive)
    claudes = alive + sum(each.agent == "claude" for each in starts)
    for launch in left:
        assert full or (launch.agent == "claude" and claudes >= min(3, most))
        same = [each for each in starts if each.agent == launch.agent]
        assert [each for each in same if (each.estimate or 1e9) < (launch.estimate or 1e9)] == []


def test_an_agent_that_cannot_start_any_more_is_told_once_what_goes_on_has_ended(team):
    """The work of the others is on record, and the sprint stays open."""
    slow = Gate(team.replaced(7, "cyd"))
    context = team.context({"ann": team.replaced(3, "ann"), "cyd": slow}, AT_ONCE)
    ticker, raised = Ticker(context, BatchRunner(context)), []

    def run():
        try:
            run_sprint(ticker, StartRequest(ASKED))
        except Exception as error:  # noqa: BLE001 - whatever it is
            raised.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(context, "patch.landed")
    agent = context.agents.pop("shell")
    team.context().mailbox.send(Letter("you", ["ann"], "One more thing"))
    slow.open.set()
    thread.join(PATIENCE)
    context.agents["shell"] = agent
    assert raised
    assert "no agent 'shell'" in raised[0]
    assert {run.status for run in replace(context.state()).runs} == {"ok"}


def test_a_run_that_ends_while_the_state_is_read_is_not_taken_for_a_dead_one(team):
    """It ended well, and its scheduler is here."""
    gate = Gate(team.replaced(3, "ann"))

    class Threads(ThreadPoolExecutor):
        """Threads whose work ends just when somebody asks whether it has."""

        def submit(self, *words):
            future = super().submit(*words)
            done = future.done

            def ends():
                gate.open.set()
                wait([future])
                return done()

            future.done = ends
            return future

    context = team.context({"ann": gate}, AT_ONCE)
    ticker = Ticker(context, BatchRunner(context, executor=Threads))
    with ticker.dispatcher.opened():
        done = run_tick(ticker, StartRequest(ASKED))
    assert gate.came.is_set()
    assert done.state.dead == frozenset()


def test_a_weave_that_fails_ends_nothing_that_runs_and_is_tried_again(team):
    """Another process of git may hold a lock for a moment."""
    slow, told = Gate(team.replaced(7, "cyd")), threading.Event()
    first = Gate(team.replaced(3, "ann"))
    context = team.context({"ann": first, "cyd": slow}, AT_ONCE)
    ticker = Ticker(context, BatchRunner(context), listener=lambda report: "cannot lock" in report.text and told.set())
    thread = threading.Thread(target=run_sprint, args=(ticker, StartRequest(ASKED)), daemon=True)
    thread.start()
    assert first.came.wait(PATIENCE)
    assert slow.came.wait(PATIENCE)
    lock = team.folder / ".git/refs/heads/team/sprint-1.lock"
    lock.touch()
    first.open.set()
    assert told.wait(PATIENCE)
    lock.unlink()
    slow.open.set()
    thread.join(PATIENCE)
    state = context.state()
    assert state.sprints[-1].outcome == "converged"
    assert {run.status for run in state.runs} == {"ok"}


def test_an_error_ends_the_runs_that_go_on_but_not_the_scheduler(team):
    """The one that leads a team tries again later."""
    slow = threading.Event()

    class Broken(LocalRunner):
        def run(self, launch, batch):
            if launch.persona == "cyd":
                assert slow.wait(PATIENCE)
                raise LogError("the disk is full")
            return super().run(launch, batch)

    def ann(job):
        slow.set()
        job.stop.wait(PATIENCE if job.attempt == 1 else 0)

    context = team.context({"ann": ann}, AT_ONCE)
    ticker = Ticker(context, BatchRunner(context, runner=Broken))
    with pytest.raises(LogError):
        run_sprint(ticker, StartRequest(ASKED))
    ticker.dispatcher.runner = LocalRunner
    assert run_sprint(ticker, StartRequest(ASKED)).converged
    assert not ticker.dispatcher.stop.is_set()


def test_a_step_looks_now_and_then_whether_its_runs_go_on_without_it(team):
    """Also after there was news: a set-up may take minutes."""
    looks, enough = [], threading.Event()

    class Threads(ThreadPoolExecutor):
        def submit(self, *words):
            future = super().submit(*words)
            done = future.done

            def counted():
                looks.append(time.monotonic())
                if len(looks) > 30:
                    enough.set()
                return done()

            future.done = counted
            return future

    context = team.context({}, AT_ONCE)
    ticker = Ticker(context, BatchRunner(context, executor=Threads))

    def ann(job):
        ticker.dispatcher.open.wake()
        assert enough.wait(PATIENCE)

    context.agents["shell"].scripts["ann"] = ann
    run_tick(ticker, StartRequest(ASKED))
    assert looks[30] - looks[10] > 20 * 0.01


PARALLEL = AT_ONCE + "fallback_above = 1.0\n"


def test_who_failed_is_tried_again_while_another_one_goes_on(team):
    """Although nobody has ended well so far: the other one may take hours."""
    slow = Gate()

    def again(job):
        assert job.attempt > 1

    ticker, thread = sprinting(team, {"ann": again, "bob": again, "cyd": slow}, PARALLEL)
    until(ticker.context, "run.finished", count=4)
    slow.open.set()
    thread.join(PATIENCE)
    state = ticker.context.state()
    assert sorted(run.status for run in state.runs) == ["failed", "failed", "ok", "ok", "ok"]
    assert state.sprints[-1].outcome == "converged"


def test_while_nobody_has_ended_well_one_at_a_time_is_tried_again(team):
    """So that an agent that does not work costs little."""
    slow = Gate()
    team.roster("dan", "eve")
    ticker, thread = sprinting(
        team, {"cyd": slow} | dict.fromkeys(("ann", "bob", "dan", "eve"), lambda job: 1 / 0), PARALLEL
    )
    until(ticker.context, "run.finished", count=6)
    slow.open.set()
    thread.join(PATIENCE)
    end = next(run.finished for run in ticker.context.state().runs if run.persona == "cyd")
    again = [run for run in ticker.context.state().runs if run.attempt > 1 and run.started < end]
    again.sort(key=lambda run: run.started)
    assert len(again) >= 2
    assert all(first.finished <= second.started for first, second in pairwise(again))
