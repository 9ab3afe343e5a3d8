"""The words of the engine: its event kinds and every status, each spelled here and nowhere else.

A kind's `meaning` and `writer` are what the table in docs/sprint.md says of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from ..personas.kinds import OutcomeStatus


class _Described(str):
    """The name of an event kind, with the program or person who writes it and what it says."""

    __slots__ = ("meaning", "writer")
    writer: str
    meaning: str


def _kind(name: str, writer: str, meaning: str) -> _Described:
    described = _Described(name)
    described.writer, described.meaning = writer, meaning
    return described


class Kind(StrEnum):
    """A kind of event that the engine writes, with the program or person who writes it and what it says."""

    writer: str
    meaning: str

    def __new__(cls, described: _Described) -> Self:
        """Make a member whose value is the name alone."""
        member = str.__new__(cls, described)
        member._value_ = str(described)
        member.writer, member.meaning = described.writer, described.meaning
        return member

    SPRINT_STARTED = _kind(
        "sprint.started", "scheduler", "A sprint began: where it starts from, its mode, its first batch."
    )
    SPRINT_FINISHED = _kind("sprint.finished", "scheduler", "A sprint ended, and how.")
    TICK_DONE = _kind("tick.done", "scheduler", "A tick was carried out, or had nothing to do.")
    RUN_STARTED = _kind("run.started", "scheduler", "An attempt of a persona is about to start.")
    RUN_FINISHED = _kind("run.finished", "scheduler", "A run ended, and how.")
    RUN_LOST = _kind(
        "run.lost", "scheduler", "A run was given up because whoever supervised it is gone or was stopped."
    )
    RUN_STOPPED = _kind("run.stopped", "a person", "Somebody asked for the end of a run.")
    PATCH_CAPTURED = _kind("patch.captured", "scheduler", "What a run changed was captured.")
    PATCH_LANDED = _kind("patch.landed", "weaver", "A patch is on the branch.")
    PATCH_CONFLICTED = _kind("patch.conflicted", "weaver", "A patch conflicts with what landed before it.")
    PATCH_REFUSED = _kind("patch.refused", "weaver", "A patch does something that no patch may do.")
    PATCH_HELD = _kind("patch.held", "weaver", "A patch to sensitive files waits for a person's approval.")
    PATCH_APPROVED = _kind("patch.approved", "a person", "A held patch may land.")
    PATCH_REJECTED = _kind("patch.rejected", "weaver", "A gate fails with the patch and passes without it.")
    WEAVE_DONE = _kind("weave.done", "weaver", "A weave was carried out: the landing order and the conflicts.")
    GATE_STARTED = _kind("gate.started", "weaver", "A gate began to judge a commit.")
    GATE_JUDGED = _kind("gate.judged", "weaver", "A gate judged a tree.")
    PERSONA_SKIPPED = _kind("persona.skipped", "scheduler", "A persona was set aside for the rest of the sprint.")
    SCHEDULER_PAUSED = _kind("scheduler.paused", "a person", "Nothing more is started until it is resumed.")
    SCHEDULER_RESUMED = _kind("scheduler.resumed", "a person", "The scheduler starts runs again.")
    DISPATCH_STARTED = _kind("dispatch.started", "scheduler", "A dispatch began: its tasks and configuration.")
    DISPATCH_RESUMED = _kind("dispatch.resumed", "scheduler", "A dispatch that was cut off is continued.")
    DISPATCH_FINISHED = _kind("dispatch.finished", "scheduler", "A dispatch ended.")
    TASK_FINISHED = _kind("task.finished", "scheduler", "A task of a dispatch ended, and how.")


class Mode(StrEnum):
    """How a sprint runs: all personas of a tick at once, or one after the other."""

    PARALLEL = "parallel"
    SEQUENTIAL = "sequential"


class RunStatus(StrEnum):
    """The status of a run: open, lost with its supervisor, or as its agent ended."""

    OPEN = "open"
    LOST = "lost"
    OK = OutcomeStatus.OK.value
    FAILED = OutcomeStatus.FAILED.value
    TIMEOUT = OutcomeStatus.TIMEOUT.value
    QUOTA = OutcomeStatus.QUOTA.value
    STOPPED = OutcomeStatus.STOPPED.value


class PatchStatus(StrEnum):
    """The status of a patch; `dropped` is one whose run was cut off, so that nobody offers it to the weaver."""

    PENDING = "pending"
    LANDED = "landed"
    CONFLICTED = "conflicted"
    REFUSED = "refused"
    HELD = "held"
    REJECTED = "rejected"
    DROPPED = "dropped"


class TaskStatus(StrEnum):
    """How a task of a dispatch ended."""

    SUCCESS = "success"
    ERROR = "error"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"


class DispatchStatus(StrEnum):
    """How a dispatch ended: all tasks succeeded, some, or none."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"


class SprintOutcome(StrEnum):
    """How a sprint ended: nothing left to do, somebody given up, every run failed, or out of time."""

    CONVERGED = "converged"
    SPENT = "spent"
    BROKEN = "broken"
    DEADLINE = "deadline"


class LaunchReason(StrEnum):
    """Why a persona is launched: the sprint's first batch, unread mail, a retry, or a task of a dispatch."""

    BATCH = "batch"
    MAIL = "mail"
    RETRY = "retry"
    TASK = "task"
