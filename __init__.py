"""team-mail: sprints and mail for teams of AI coding agents. What is named here is the public API.

Names are loaded when they are first asked for (PEP 562), so that `import team_mail` costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":  # before a module fails at `import fcntl` with a traceback
    raise SystemExit("team-mail does not run on Windows, which has no flock; use it on Linux, or in WSL")

if TYPE_CHECKING:
    from .mail.clock import Clock, ManualClock, SystemClock
    from .mail.directory import Directory
    from .mail.errors import (
        AmbiguousMessage,
        InDoubt,
        InvalidEvent,
        LockTimeout,
        LogDamaged,
        LogError,
        LogUnavailable,
        NoIdentity,
        NoTeam,
        TeamMailError,
        UnknownMessage,
        UnknownRecipient,
        UsageError,
    )
    from .mail.letter import Letter
    from .mail.log.blobs import Blob, BlobMissing, Blobs, FileBlobs, MemoryBlobs
    from .mail.log.event import Draft, Event
    from .mail.log.log import EventLog, Log
    from .mail.log.memory import MemoryLog
    from .mail.mailbox import Mailbox, Receipt
    from .mail.message import Message
    from .mail.open import open_mailbox
    from .mail.query.memory import MemoryProjections
    from .mail.query.rows import FileProjections, Projections
    from .mail.simple import events, get_inbox, mark_read, send_message
    from .personas.agent import Agent, Assignment, Job, Outcome
    from .personas.agents.command import CommandAgent
    from .personas.agents.function import FunctionAgent
    from .personas.agents.replay import ReplayAgent
    from .personas.agents.scripted import ScriptedAgent
    from .personas.errors import (
        BadOutput,
        GitError,
        GitTooOld,
        NotARepository,
        PersonaError,
        WorkspaceLost,
        WorkspaceStuck,
    )
    from .personas.git import Git
    from .personas.persona import Persona
    from .personas.roster import Roster, read_roster
    from .scheduler.context import Context, Member
    from .scheduler.dispatch.output import DispatchOutput
    from .scheduler.errors import BranchMoved, InvalidTasks, NoSuchRun, NotLeader, NotReady, SettingsError, Stopped
    from .scheduler.runs.batch import BatchRunner
    from .scheduler.runs.launch import Launch
    from .scheduler.settings.settings import Settings, read_settings
    from .scheduler.sprint.decide import StartRequest, decide
    from .scheduler.sprint.loop import run_sprint
    from .scheduler.sprint.plan import TickPlan
    from .scheduler.sprint.tick import Ticker
    from .scheduler.state.sprints import State
    from .scheduler.state.summary import Summary
    from .scheduler.tasks.builder import TaskBuilder
    from .scheduler.tasks.graph import detect_circular_dependencies, validate_task_dependencies
    from .scheduler.tasks.references import MissingOutput
    from .scheduler.tasks.task import DispatchConfig, DispatchInput, Task
    from .scheduler.weaver.patch import PatchSubmission
    from .scheduler.weaver.result import Woven
    from .scheduler.weaver.weave import weave
    from .team.dispatcher import ParallelDispatcher
    from .team.open import open_team

_HOMES = {
    "mail.log.blobs": ("Blob", "BlobMissing", "Blobs", "FileBlobs", "MemoryBlobs"),
    "mail.open": ("open_mailbox",),
    "mail.query.memory": ("MemoryProjections",),
    "mail.query.rows": ("FileProjections", "Projections"),
    "mail.clock": ("Clock", "ManualClock", "SystemClock"),
    "mail.directory": ("Directory",),
    "mail.errors": (
        "AmbiguousMessage",
        "InDoubt",
        "InvalidEvent",
        "LockTimeout",
        "LogDamaged",
        "LogError",
        "LogUnavailable",
        "NoIdentity",
        "NoTeam",
        "TeamMailError",
        "UnknownMessage",
        "UnknownRecipient",
        "UsageError",
    ),
    "mail.log.event": ("Draft", "Event"),
    "mail.letter": ("Letter",),
    "mail.log.log": ("EventLog", "Log"),
    "mail.mailbox": ("Mailbox", "Receipt"),
    "mail.log.memory": ("MemoryLog",),
    "mail.message": ("Message",),
    "mail.simple": ("events", "get_inbox", "mark_read", "send_message"),
    "personas.agent": ("Agent", "Assignment", "Job", "Outcome"),
    "personas.agents.command": ("CommandAgent",),
    "personas.errors": (
        "BadOutput",
        "GitError",
        "GitTooOld",
        "NotARepository",
        "PersonaError",
        "WorkspaceLost",
        "WorkspaceStuck",
    ),
    "personas.agents.function": ("FunctionAgent",),
    "personas.git": ("Git",),
    "personas.persona": ("Persona",),
    "personas.agents.replay": ("ReplayAgent",),
    "personas.roster": ("Roster", "read_roster"),
    "personas.agents.scripted": ("ScriptedAgent",),
    "scheduler.sprint.decide": ("StartRequest", "decide"),
    "scheduler.dispatch.output": ("DispatchOutput",),
    "team.dispatcher": ("ParallelDispatcher",),
    "scheduler.errors": (
        "BranchMoved",
        "InvalidTasks",
        "NoSuchRun",
        "NotLeader",
        "NotReady",
        "SettingsError",
        "Stopped",
    ),
    "scheduler.runs.batch": ("BatchRunner",),
    "scheduler.weaver.patch": ("PatchSubmission",),
    "scheduler.runs.launch": ("Launch",),
    "scheduler.sprint.plan": ("TickPlan",),
    "scheduler.settings.settings": ("Settings", "read_settings"),
    "scheduler.sprint.loop": ("run_sprint",),
    "scheduler.state.sprints": ("State",),
    "scheduler.state.summary": ("Summary",),
    "scheduler.tasks.task": ("DispatchConfig", "DispatchInput", "Task"),
    "scheduler.tasks.builder": ("TaskBuilder",),
    "scheduler.tasks.references": ("MissingOutput",),
    "scheduler.tasks.graph": ("detect_circular_dependencies", "validate_task_dependencies"),
    "scheduler.sprint.tick": ("Ticker",),
    "scheduler.weaver.weave": ("weave",),
    "scheduler.context": ("Member", "Context"),
    "team.open": ("open_team",),
    "scheduler.weaver.result": ("Woven",),
}

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Agent",
    "AmbiguousMessage",
    "Assignment",
    "BadOutput",
    "BatchRunner",
    "Blob",
    "BlobMissing",
    "Blobs",
    "BranchMoved",
    "Clock",
    "CommandAgent",
    "Context",
    "Directory",
    "DispatchConfig",
    "DispatchInput",
    "DispatchOutput",
    "Draft",
    "Event",
    "EventLog",
    "FileBlobs",
    "FileProjections",
    "FunctionAgent",
    "Git",
    "GitError",
    "GitTooOld",
    "InDoubt",
    "InvalidEvent",
    "InvalidTasks",
    "Job",
    "Launch",
    "Letter",
    "LockTimeout",
    "Log",
    "LogDamaged",
    "LogError",
    "LogUnavailable",
    "Mailbox",
    "ManualClock",
    "Member",
    "MemoryBlobs",
    "MemoryLog",
    "MemoryProjections",
    "Message",
    "MissingOutput",
    "NoIdentity",
    "NoSuchRun",
    "NoTeam",
    "NotARepository",
    "NotLeader",
    "NotReady",
    "Outcome",
    "ParallelDispatcher",
    "PatchSubmission",
    "Persona",
    "PersonaError",
    "Projections",
    "Receipt",
    "ReplayAgent",
    "Roster",
    "ScriptedAgent",
    "Settings",
    "SettingsError",
    "StartRequest",
    "State",
    "Stopped",
    "Summary",
    "SystemClock",
    "Task",
    "TaskBuilder",
    "TeamMailError",
    "TickPlan",
    "Ticker",
    "UnknownMessage",
    "UnknownRecipient",
    "UsageError",
    "WorkspaceLost",
    "WorkspaceStuck",
    "Woven",
    "decide",
    "detect_circular_dependencies",
    "events",
    "get_inbox",
    "mark_read",
    "open_mailbox",
    "open_team",
    "read_roster",
    "read_settings",
    "run_sprint",
    "send_message",
    "validate_task_dependencies",
    "weave",
]


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
