"""What a person may do to the scheduler while it works: stop a run, pause, resume, let a held patch land."""

from __future__ import annotations

from pathlib import Path

from ...mail.errors import UsageError
from ...mail.home import find_run_folder
from ...mail.log.event import Draft, derived_id
from ...mail.process import within_run_of
from ...personas.running.sweep import ask_to_end
from ..approval import ApprovalKey
from ..context import Context
from ..errors import NoSuchRun
from ..kinds import Kind, PatchStatus, RunStatus
from ..liveness import is_led, liveness
from ..state.dispatches import under_way
from ..state.facts import Patch, Run

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


def approve_patch(context: Context, name: str, sender: str) -> Patch:
    """Let a held patch land; return the patch.

    `name` is the id of its run, the beginning of that id, or its persona; `sender` is who approves. Raises NoSuchRun.
    """
    held = context.state(whole=False).of(PatchStatus.HELD)
    matches = [patch for patch in held if _matches(patch.run, patch.persona, name)]
    if len(matches) != 1:
        known = ", ".join(f"{patch.persona} ({patch.run[:8]})" for patch in held) or "none"
        raise NoSuchRun(f"{name!r} names {len(matches)} held patches; held are: {known}")
    (patch,) = matches
    code = ApprovalKey(context.home).sign(patch.run, patch.sha256)
    own = derived_id(Kind.PATCH_APPROVED, patch.run, code)
    context.append([Draft(Kind.PATCH_APPROVED, sender, ref=patch.run, data={"code": code}, id=own)])
    return patch


def pause(context: Context, sender: str) -> None:
    """Let the scheduler start nothing more; runs that are open go on to their end."""
    context.append([Draft(Kind.SCHEDULER_PAUSED, sender)])


def resume(context: Context, sender: str) -> None:
    """Let the scheduler start runs again."""
    context.append([Draft(Kind.SCHEDULER_RESUMED, sender)])


def _matches(id: str, persona: str, name: str) -> bool:
    return name == persona or (len(name) >= _SHORTEST and id.startswith(name))
