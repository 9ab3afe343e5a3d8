"""team-mail: sprints and mail for teams of AI coding agents. What is named here is the public API.

Names are loaded when they are first asked for (PEP 562), so that `import team_mail` costs nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":  # before a module fails at `import fcntl` with a traceback
    raise SystemExit("team-mail does not run on Windows, which has no flock; use it on Linux, or in WSL")

if TYPE_CHECKING:
    from .mail.blobs import Blob, BlobMissing, Blobs
    from .mail.caller import open_mailbox
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
    from .mail.event import Draft, Event
    from .mail.letter import Letter
    from .mail.log import EventLog, Log
    from .mail.mailbox import Mailbox, Receipt
    from .mail.memory import MemoryLog
    from .mail.message import Message
    from .mail.simple import events, get_inbox, mark_read, send_message
    from .personas.agent import Agent, Assignment, Job, Outcome
    from .personas.command import CommandAgent
    from .personas.errors import (
        BadOutput,
        GitError,
        GitTooOld,
        NotARepository,
        PersonaError,
        WorkspaceLost,
        WorkspaceStuck,
    )
    from .personas.function import FunctionAgent
    from .personas.git import Git
    from .personas.persona import Persona
    from .personas.replay import ReplayAgent
    from .personas.roster import Roster, read_roster
    from .personas.scripted import ScriptedAgent
    from .scheduler.decide import Member, Wish, decide
    from .scheduler.dispatch_output import DispatchOutput
    from .scheduler.dispatcher import ParallelDispatcher
    from .scheduler.errors import BranchMoved, InvalidTasks, NoSuchRun, NotLeader, NotReady, SettingsError, Stopped
    from .scheduler.launch import Dispatcher
    from .scheduler.plan import Launch, Plan
    from .scheduler.settings import Settings, read_settings
    from .scheduler.sprint import run_sprint
    from .scheduler.state import State
    from .scheduler.summary import Summary
    from .scheduler.task import DispatchConfig, DispatchInput, Task
    from .scheduler.task_builder import TaskBuilder
    from .scheduler.task_graph import detect_circular_dependencies, validate_task_dependencies
    from .scheduler.task_reference import MissingOutput
    from .scheduler.tick import Ticker
    from .scheduler.weaver.patch import Offer
    from .scheduler.weaver.weave import weave
    from .scheduler.weaver.woven import Woven
    from .scheduler.workshop import Workshop, open_workshop

_HOMES = {
    "mail.blobs": ("Blob", "BlobMissing", "Blobs"),
    "mail.caller": ("open_mailbox",),
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
    "mail.event": ("Draft", "Event"),
    "mail.letter": ("Letter",),
    "mail.log": ("EventLog", "Log"),
    "mail.mailbox": ("Mailbox", "Receipt"),
    "mail.memory": ("MemoryLog",),
    "mail.message": ("Message",),
    "mail.simple": ("events", "get_inbox", "mark_read", "send_message"),
    "personas.agent": ("Agent", "Assignment", "Job", "Outcome"),
    "personas.command": ("CommandAgent",),
    "personas.errors": (
        "BadOutput",
        "GitError",
        "GitTooOld",
        "NotARepository",
        "PersonaError",
        "WorkspaceLost",
        "WorkspaceStuck",
    ),
    "personas.function": ("FunctionAgent",),
    "personas.git": ("Git",),
    "personas.persona": ("Persona",),
    "personas.replay": ("ReplayAgent",),
    "personas.roster": ("Roster", "read_roster"),
    "personas.scripted": ("ScriptedAgent",),
    "scheduler.decide": ("Member", "Wish", "decide"),
    "scheduler.dispatch_output": ("DispatchOutput",),
    "scheduler.dispatcher": ("ParallelDispatcher",),
    "scheduler.errors": (
        "BranchMoved",
        "InvalidTasks",
        "NoSuchRun",
        "NotLeader",
        "NotReady",
        "SettingsError",
        "Stopped",
    ),
    "scheduler.launch": ("Dispatcher",),
    "scheduler.weaver.patch": ("Offer",),
    "scheduler.plan": ("Launch", "Plan"),
    "scheduler.settings": ("Settings", "read_settings"),
    "scheduler.sprint": ("run_sprint",),
    "scheduler.state": ("State",),
    "scheduler.summary": ("Summary",),
    "scheduler.task": ("DispatchConfig", "DispatchInput", "Task"),
    "scheduler.task_builder": ("TaskBuilder",),
    "scheduler.task_reference": ("MissingOutput",),
    "scheduler.task_graph": ("detect_circular_dependencies", "validate_task_dependencies"),
    "scheduler.tick": ("Ticker",),
    "scheduler.weaver.weave": ("weave",),
    "scheduler.workshop": ("Workshop", "open_workshop"),
    "scheduler.weaver.woven": ("Woven",),
}

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "Agent",
    "AmbiguousMessage",
    "Assignment",
    "BadOutput",
    "Blob",
    "BlobMissing",
    "Blobs",
    "BranchMoved",
    "Clock",
    "CommandAgent",
    "Directory",
    "DispatchConfig",
    "DispatchInput",
    "DispatchOutput",
    "Dispatcher",
    "Draft",
    "Event",
    "EventLog",
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
    "MemoryLog",
    "Message",
    "MissingOutput",
    "NoIdentity",
    "NoSuchRun",
    "NoTeam",
    "NotARepository",
    "NotLeader",
    "NotReady",
    "Offer",
    "Outcome",
    "ParallelDispatcher",
    "Persona",
    "PersonaError",
    "Plan",
    "Receipt",
    "ReplayAgent",
    "Roster",
    "ScriptedAgent",
    "Settings",
    "SettingsError",
    "State",
    "Stopped",
    "Summary",
    "SystemClock",
    "Task",
    "TaskBuilder",
    "TeamMailError",
    "Ticker",
    "UnknownMessage",
    "UnknownRecipient",
    "UsageError",
    "Wish",
    "Workshop",
    "WorkspaceLost",
    "WorkspaceStuck",
    "Woven",
    "decide",
    "detect_circular_dependencies",
    "events",
    "get_inbox",
    "mark_read",
    "open_mailbox",
    "open_workshop",
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
