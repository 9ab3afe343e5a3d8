"""A sprint: ticks until it converges or is spent."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from ...mail.errors import LogError, TeamMailError
from ...mail.log.blobs import BlobMissing
from ...mail.log.event import Draft, derived_id
from ...personas.errors import GitError
from ..context import Context
from ..errors import BranchMoved, NoProgress, Stopped
from ..foretell.looker import look_once
from ..kinds import Kind, RunStatus
from ..liveness import liveness
from ..progress import Progress
from ..runs.batch import OpenRuns
from ..runs.preparation import looked_at
from ..state.facts import Run
from ..state.sprints import State, dead_of
from ..state.summary import Summary, summary
from .decide import StartRequest
from .plan import TickPlan, waiting
from .tick import Done, Ticker

_MOST_STILL = 3  # steps in a row that may change nothing


def run_sprint(ticker: Ticker, request: StartRequest) -> Summary | None:
    """Continue the open sprint, or start one, until it ends; return None if there was nothing to start.

    A rolling sprint goes on with each run that ends; another one waits for all of a batch. `end` of the ticker's
    dispatcher ends the loop. Raises NotReady before anything is started, BranchMoved, LogError, and NoProgress if a
    tick changed nothing.
    """
    with _stuck_on_record(ticker.context), ticker, ticker.dispatcher.opened() as runs:
        number = _roll(ticker, request, runs)
    state = ticker.context.state(whole=False)
    sprint = next((sprint for sprint in state.sprints if sprint.number == number), None)
    return summary(state, sprint, ticker.context.clock.now()) if sprint else None


def run_tick(ticker: Ticker, request: StartRequest, state: State | None = None) -> Done:
    """Carry out one tick: a batch, which is waited for, or in a rolling sprint one step. Raises as `run_sprint` does.

    Such a step puts on record what has ended, weaves it, starts what is due, and tells the runs that go on whom they
    meet. The runs go on without this process, unless their agent is no process: those are waited for. `state` is that
    from which the request was made.
    """
    state = state or ticker.read()
    plan = ticker.plan(request, state)
    if not plan.acts:
        done = ticker.tick(request, state, plan)
        _look(ticker, done.state)
        return done
    steps = list[Done]()
    with _stuck_on_record(ticker.context):
        if ticker.is_rolling(state, request):
            return _run_step(ticker, request)
        with ticker.dispatcher.opened() as runs:
            _roll(ticker, request, runs, steps)
    return replace(next((step for step in steps if not step.plan.over), steps[-1]), state=steps[-1].state)


@contextmanager
def _stuck_on_record(context: Context) -> Generator[None]:
    """Put on record why the open sprint could not go on, so that the human learns of it, and how it can be given up."""
    try:
        yield
    except (GitError, BlobMissing, BranchMoved, NoProgress) as error:
        if sprint := context.state(whole=False).sprint:
            own = derived_id(Kind.SPRINT_STUCK, sprint.id, str(sprint.ticks), str(error))
            data = {"sprint": sprint.number, "why": str(error)}
            context.append([Draft(Kind.SPRINT_STUCK, "scheduler", data=data, id=own)])
            if (command := f"scheduler abandon {sprint.number}") not in str(error):
                error.add_note(f"if that cannot be mended, {command} ends the sprint and keeps its work")
        raise


def _run_step(ticker: Ticker, request: StartRequest) -> Done:
    ticker.passing = True
    with ticker.dispatcher.opened() as runs:
        state = ticker.read()
        ticker.take_over(ticker.plan(request, state), state)
        runs.finish()
        done = ticker.tick(request)
        _look(ticker, done.state)
        runs.settle()
        ticker.dispatcher.leave()
    runs.look()
    return done


def put_ends_on_record(ticker: Ticker) -> tuple[Run, ...]:
    """Put on record how the runs of the open sprint ended that have no process any more; start and weave nothing.

    Runs that go on are left alone. Whoever calls it leads the team. Raises LogError.
    """
    state = ticker.context.state(whole=False)
    over = tuple(run for part in dead_of(state) for run in part if not liveness(ticker.context.home, run).goes_on)
    if over:
        with ticker.dispatcher.opened() as runs:
            ticker.take_over(replace(ticker.plan(StartRequest(), state), lost=over, harvest=()), state)
            runs.finish()
    return over


def _look(ticker: Ticker, state: State) -> None:
    """Tell the runs of the open sprint that go on whom they meet."""
    if ticker.context.settings.sprint.foretell == "off" or state.sprint is None:
        return
    own = (run for run in state.runs if run.status == RunStatus.OPEN and run.sprint == state.number)
    if runs := [*looked_at(ticker.context, own)]:
        look_once(ticker.context, runs, ticker.dispatcher.stop)


def _roll(ticker: Ticker, request: StartRequest, runs: OpenRuns, steps: list[Done] | None = None) -> int | None:
    """Carry out steps, each when something has happened, while runs go on; return the number of the sprint.

    With `steps`, to which they are added, no further than to the end of a batch that was begun here.
    """
    number, still, done = None, 0, list[Done]() if steps is None else steps
    before: State | None = None
    while not ticker.dispatcher.stop.is_set():
        goes_on = False
        try:
            runs.look()
            goes_on = runs.busy  # before the state: what ends in between is news
            state = ticker.read()
            state, plan = ticker.supervise(request, state, ticker.plan(request, state))
            number = plan.sprint or number
            if not plan.acts and (goes_on or runs.busy or (plan.wait_until and steps is None)):
                _wait(ticker, plan, runs)
                continue
            done.append(ticker.tick(request, state, plan))
        except Stopped:
            break
        except LogError:
            raise
        except (TeamMailError, OSError) as error:
            if not (goes_on or runs.running):
                raise
            ticker.listener(Progress(f"{error}; what runs goes on"))
            runs.wait(None)  # what goes on is put on record first, and what ends tries again
            continue
        last, request = done[-1], replace(request, start=None)
        number = last.plan.sprint or number
        if last.plan.finish or not plan.acts or (steps is not None and plan.over and len(steps) > 1):
            break
        # What a weave beside the runs has done is there by the next step, and not by the end of the one that began it.
        still = still + 1 if _is_same(before or state, state) and _is_same(state, last.state) else 0
        before = last.state
        if still == _MOST_STILL and not ticker.dispatcher.stop.is_set():
            raise _no_progress(last.plan)
    return number


def _wait(ticker: Ticker, plan: TickPlan, runs: OpenRuns) -> None:
    """Wait for news, or for the time at which there is something to do."""
    if plan.wait_until is None:
        runs.wait(None)
        return
    if not runs.busy:
        ticker.listener(waiting(plan))
    runs.wait((plan.wait_until - ticker.context.clock.now()).total_seconds())


def _is_same(before: State, after: State) -> bool:
    """Tell whether a tick left the state as it was, apart from its own number."""
    return _without_ticks(before) == _without_ticks(after)


def _no_progress(plan: TickPlan) -> NoProgress:
    work = {
        "weave": [patch.persona for patch in plan.weave],
        "launch": [launch.persona for launch in plan.launches],
        "give up": [run.persona for run in plan.lost],
        "take over": [run.persona for run in plan.harvest],
        "set aside": [skip.persona for skip in plan.aside],
    }
    planned = "; ".join(f"{verb} {', '.join(names)}" for verb, names in work.items() if names) or "nothing"
    return NoProgress(
        f"tick {plan.tick} of sprint {plan.sprint} changed nothing, so the next would repeat it ({planned}): the log "
        "does not keep what a tick writes; check it with team-mail verify, then scheduler sprint continues the sprint"
    )


def _without_ticks(state: State) -> State:
    sprints = tuple(replace(sprint, ticks=0) for sprint in state.sprints)
    return replace(state, sprints=sprints, dead=frozenset(), taken=frozenset())
