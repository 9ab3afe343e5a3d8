"""What a person may do: stop a run, pause, resume, let a held patch land or refuse it, give a sprint up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ...mail.directory import SCHEDULER, WEAVER
from ...mail.errors import UsageError
from ...mail.home import find_run_folder
from ...mail.letter import Letter
from ...mail.log.event import Draft, derived_id
from ...mail.process import within_run_of
from ...personas.errors import GitError
from ...personas.running.process import is_going
from ...personas.running.sweep import ask_to_end
from ..approval import ApprovalKey
from ..context import Context
from ..errors import NoSuchRun, NotReady
from ..hosts.choice import runner_for
from ..kinds import GateStatus, Kind, PatchStatus, RunStatus, SprintOutcome
from ..landing.branch import keep, kept_as
from ..landing.gate import Gate
from ..landing.judging import Judging, gates_of
from ..leader import Leader
from ..liveness import is_led, liveness
from ..moments.history import state_at
from ..progress import Listener
from ..runs.batch import BatchRunner
from ..state.dispatches import under_way
from ..state.facts import Judged, Patch, Run, Sprint
from ..state.reading import read_going
from ..state.sprints import State, sprint_numbered
from ..state.summary import summary
from .escalation import landing
from .loop import put_ends_on_record
from .tick import Ticker

_RUNS = "*-*-*-*-*"  # folders of runs, whose ids are UUIDs, and not those of deployments
_SHORTEST = 4  # characters of a run's id


def by_people_only(command: str, home: Path) -> None:
    """Raise UsageError if a run of the team in `home` uses a command for people, even one that hides what it is.

    So does one of a team in a workspace: what it started would be counted by nobody.
    """
    why = within_run_of(home)
    if not why and (folder := find_run_folder(home.resolve().parent)):
        why = f"{folder} makes this the workspace of a run: remove it if it is none"
    if why:
        raise UsageError(f"`{command}` can only be used by a person, not from an agent's run; ask by mail ({why})")


def stop_run(context: Context, name: str, sender: str) -> Run:
    """Ask for the end of an open run of the sprint or of a dispatch; return the run.

    `name` is its id, the beginning of its id, or its persona; `sender` is who asks. Raises NoSuchRun.
    """
    own = [run for run in context.state(whole=False).runs if run.status == RunStatus.OPEN]
    runs = [run for run in (*own, *under_way(context.mailbox.projections)) if liveness(context.home, run).goes_on]
    matches = [run for run in runs if _matches(run.id, run.persona, name)]
    matches = matches or [run for run in own if _matches(run.id, run.persona, name)]  # lost: it is not tried again
    if len(matches) != 1:
        known = ", ".join(f"{run.persona} ({run.id[:8]})" for run in runs) or "none"
        raise NoSuchRun(f"{name!r} names {len(matches)} open runs; open are: {known}")
    (run,) = matches
    context.append([Draft(Kind.RUN_STOPPED, sender, ref=run.id, id=derived_id(Kind.RUN_STOPPED, run.id))])
    if not is_led(run.supervisor):  # its scheduler would end it; without one it goes on until somebody does
        ask_to_end(run.id, context.home)
    return run


def end_left_runs(context: Context) -> None:
    """End the runs that go on in this team's folder though their end is on record.

    Another host has given them up, and begun their work anew.
    """
    going = [folder.name for folder in (context.home / "runs").glob(_RUNS) if is_going(folder)]
    open_ = {run.id for run in read_going(context.mailbox.projections, None)} if going else set[str]()
    for run in going:
        if run not in open_:
            ask_to_end(run, context.home)


class HeldPatch(NamedTuple):
    """A patch that was held, and the seq of the event by which a person decided about it."""

    patch: Patch
    seq: int


def approve_patch(context: Context, name: str, sender: str) -> HeldPatch:
    """Let a held patch land.

    `name` is the id of its run, the beginning of that id, or its persona; `sender` is who approves. Raises NoSuchRun.
    """
    patch = _held(context, name)
    code = ApprovalKey(context.home).sign(patch.run, patch.sha256)
    own = derived_id(Kind.PATCH_APPROVED, patch.run, code)
    (event,) = context.append([Draft(Kind.PATCH_APPROVED, sender, ref=patch.run, data={"code": code}, id=own)])
    return HeldPatch(patch, event.seq)


def refuse_patch(context: Context, name: str, sender: str, why: str) -> HeldPatch:
    """Refuse a held patch for a person, as the weaver refuses one that no patch may do; its author has mail.

    `name` is as for `approve_patch`, and `sender` who refuses it. Raises NoSuchRun.
    """
    patch = _held(context, name)
    reason = f"{sender} refused it" + (f": {why.strip()}" if why.strip() else "")
    data = {"persona": patch.persona, "tick": patch.tick, "why": reason, "by": sender}
    own = derived_id(Kind.PATCH_REFUSED, patch.run, patch.sha256, sender)
    drafts = [Draft(Kind.PATCH_REFUSED, WEAVER, ref=patch.run, data=data, id=own)]
    if context.roster.get(patch.persona):
        drafts.insert(0, _told(context, patch, sender, why.strip()))
    return HeldPatch(patch, context.append(drafts)[-1].seq)


def _told(context: Context, patch: Patch, sender: str, why: str) -> Draft:
    """Write to the author of a patch that a person refused it; an answer goes to that person."""
    body = (
        f"Your patch (run {patch.run}) to {', '.join(patch.files)} was refused"
        f"{f': {why}' if why else ', without a reason given'}\n\n"
        "Nothing of it is on the branch; it is attached. Make your change again without what was refused, in your next "
        "workspace; what is there when your run ends is taken as your next patch.\n"
    )
    data = context.mailbox.blobs.read(patch.sha256)
    letter = Letter(
        sender, [patch.persona], f"Refused: {why.splitlines()[0] if why else 'your patch'}"[:200], body,
        type="feedback", payload={"run": patch.run, "reason": why}, priority="high",
        attachments=[(f"{patch.persona}.patch", data)], key=f"refused {patch.run}",
    )  # fmt: skip
    return letter.draft(context.mailbox.directory, context.mailbox.blobs)


def _held(context: Context, name: str) -> Patch:
    """Return the held patch that a name means. Raises NoSuchRun."""
    held = context.state(whole=False).of(PatchStatus.HELD)
    matches = [patch for patch in held if _matches(patch.run, patch.persona, name)]
    if len(matches) != 1:
        known = ", ".join(f"{patch.persona} ({patch.run[:8]})" for patch in held) or "none"
        raise NoSuchRun(f"{name!r} names {len(matches)} held patches; held are: {known}")
    return matches[0]


class AbandonedSprint(NamedTuple):
    """A sprint that was given up: where what it landed is kept, None if nothing landed or git has lost it.

    `patches` are those that are in no commit: what was not decided yet, or also what git has lost.
    """

    sprint: Sprint
    kept: str | None
    patches: tuple[Patch, ...]


def abandon_sprint(context: Context, number: int, sender: str, why: str) -> AbandonedSprint:
    """End the open sprint, whatever keeps it from going on, and keep its work; return where that is.

    Raises NoSuchRun if that sprint is not open, NotReady while runs of it go on, and NotLeader while a scheduler leads.
    """
    with Leader(context.home / "work"):
        sprint = _open_sprint(context, number)
        going = [run for run in context.state(whole=False).runs if _goes_on(context, run, number)]
        if going:
            names = ", ".join(f"{run.persona} ({run.id[:8]})" for run in going)
            raise NotReady(f"runs of sprint {number} go on: {names}; end them first, each with scheduler stop")
        with suppress(GitError, OSError):  # what cannot be captured stays in its clone
            put_ends_on_record(Ticker(context, BatchRunner(context, runner=runner_for)))
        kept = _keep(context, sprint)
        undecided, landed = {PatchStatus.PENDING, PatchStatus.HELD}, {PatchStatus.LANDED, PatchStatus.PRESENT}
        lost = landed if sprint.commits and not kept else set[PatchStatus]()
        state = context.state(whole=False)
        patches = tuple(patch for patch in state.of(*undecided, *lost) if patch.sprint == number)
        data = {"sprint": number, "why": why, "tip": sprint.tip, "patches": [patch.run for patch in patches]}
        end = {"sprint": number, "outcome": SprintOutcome.ABANDONED}
        context.append([
            Draft(Kind.SPRINT_ABANDONED, sender, data=data, id=derived_id(Kind.SPRINT_ABANDONED, sprint.id)),
            Draft(Kind.SPRINT_FINISHED, SCHEDULER, data=end, id=derived_id(Kind.SPRINT_FINISHED, str(number))),
        ])  # fmt: skip
    return AbandonedSprint(sprint, kept, patches)


def _open_sprint(context: Context, number: int) -> Sprint:
    state = context.state(whole=False)
    if state.sprint is None or state.sprint.number != number:
        what = f"sprint {state.sprint.number} is" if state.sprint else "no sprint is"
        raise NoSuchRun(f"sprint {number} is not open; {what}, scheduler history lists them")
    return state.sprint


def _goes_on(context: Context, run: Run, number: int) -> bool:
    return run.sprint == number and run.status == RunStatus.OPEN and liveness(context.home, run).goes_on


def _keep(context: Context, sprint: Sprint) -> str | None:
    """Keep what a sprint has landed, and return under which ref."""
    if not sprint.commits:
        return None
    try:
        keep(context, sprint.branch, sprint.base, sprint.tip)
    except GitError:
        return None
    return kept_as(sprint.branch)


def pause(context: Context, sender: str) -> None:
    """Let the scheduler start nothing more; runs that are open go on to their end."""
    context.append([Draft(Kind.SCHEDULER_PAUSED, sender)])


def resume(context: Context, sender: str) -> None:
    """Let the scheduler start runs again."""
    context.append([Draft(Kind.SCHEDULER_RESUMED, sender)])


class GateStanding(NamedTuple):
    """What a gate says of a commit that a sprint starts from (`on_base`) or ends with; `status` is a `GateStatus`."""

    gate: str
    commit: str
    on_base: bool
    status: str


class GatesOfSprint(NamedTuple):
    """What the gates say of a sprint, and what became of its landing, in lines for people."""

    sprint: int
    gates: tuple[GateStanding, ...]
    landing: tuple[str, ...] = ()


def gates_of_sprint(context: Context, number: int | None = None) -> GatesOfSprint:
    """Return what the gates of the settings say of a sprint, the last one by default: of its base and its result.

    Raises NoSuchRun, NotReady if git has a commit of it no more.
    """
    sprint, state = _judged_sprint(context, number)
    rows = [(gate, commit, _standing(context, state, gate, commit)) for gate, commit in _to_judge(context, sprint)]
    standings = [GateStanding(gate.name, commit, commit == sprint.base, status) for gate, commit, status in rows]
    return GatesOfSprint(sprint.number, tuple(standings))


def judge_again(context: Context, number: int | None, listener: Listener, stop: threading.Event) -> GatesOfSprint:
    """Run the gates again that have not passed on a sprint's result, or are red on its base, on the same trees.

    A run that fails is repeated once, and each is on record. If all have passed on the result of a sprint that is over,
    and `auto_land` is set, the base branch moves to it, unless a supervisor decided otherwise. Raises as
    `gates_of_sprint`, and Stopped.
    """
    sprint, state = _judged_sprint(context, number)
    for gate, commit in _to_judge(context, sprint):
        status = _standing(context, state, gate, commit)
        if status == GateStatus.FAILED or (status == GateStatus.UNJUDGED and commit == sprint.tip):
            judging = Judging(context, sprint, sprint.ticks, listener, on_base=commit == sprint.base)
            if not judging(gate, commit, stop).passed:
                judging(gate, commit, stop)
    sprint, state = _judged_sprint(context, number)
    lines = list[str]()
    if sprint.outcome and context.settings.team.auto_land:
        as_open = replace(state, sprints=(*state.sprints[:-1], replace(sprint, outcome=None)))  # as at its end
        lines = [*landing(context, as_open, summary(state, sprint, context.clock.now()))]
    return gates_of_sprint(context, number)._replace(landing=tuple(lines))


def _judged_sprint(context: Context, number: int | None) -> tuple[Sprint, State]:
    """Return a sprint and its state, with what gates have judged until now. Raises NoSuchRun."""
    state = state_at(context, number)
    sprint = sprint_numbered(state, number)
    return sprint, replace(state, judged={**state.judged, **context.state(whole=False).judged})


def _to_judge(context: Context, sprint: Sprint) -> Iterator[tuple[Gate, str]]:
    """Yield each gate with the commits that it judges of a sprint, the base first, if git has them."""
    for commit in dict.fromkeys((sprint.base, sprint.tip)):
        if not context.git.has_commit(commit):
            raise NotReady(f"commit {commit[:12]} of sprint {sprint.number} is gone, so nothing can judge it")
        for gate in gates_of(context):
            yield gate, commit


def _standing(context: Context, state: State, gate: Gate, commit: str) -> GateStatus:
    tree = context.git.line("rev-parse", "--verify", f"{commit}^{{tree}}")
    judged = state.judged.get((gate.mark, tree), Judged())
    failed = judged.failed + judged.earlier
    return GateStatus.PASSED if judged.passed else GateStatus.FAILED if failed else GateStatus.UNJUDGED


def _matches(id: str, persona: str, name: str) -> bool:
    return name == persona or (len(name) >= _SHORTEST and id.startswith(name))
