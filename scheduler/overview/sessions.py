"""What is gathered under a session: mail, dispatches, sprints, tasks, memories and files, and what of it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from ...mail.kinds import MailKind
from ...mail.message import Message
from ...personas.spending.usage import UNKNOWN
from ..claims.reading import ClaimReader
from ..context import Context
from ..kinds import Kind, PatchStatus, RunStatus
from ..liveness import is_led
from ..sessions.session import Session
from ..state.dispatches import DispatchState, folded
from ..state.facts import Fact, Patch, Run
from ..state.fold import Fold, fact_of

MEMORY, ARTIFACT = "memory", "artifact"  # types of mail


@dataclass(frozen=True)
class Memory:
    """Something to remember in a session: the text, by a key of which the newest one counts, with tags."""

    key: str
    text: str
    tags: tuple[str, ...]
    message: Message

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        message = self.message
        return {
            "key": self.key, "text": self.text, "tags": [*self.tags], "by": message.sender, "at": message.ts,
            "message": message.seq,
        }  # fmt: skip


@dataclass(frozen=True)
class Gathered:
    """All that is on record of a session. `messages` are whole, the oldest first; `tasks` are those to be claimed.

    `unread` are the ids of the messages that somebody has not read who received them. `usd` is None if nobody knows.
    """

    session: Session
    messages: tuple[Message, ...]
    unread: frozenset[str]
    dispatches: tuple[DispatchState, ...]
    sprints: tuple[int, ...]
    tasks: tuple[str, ...]
    runs: tuple[Run, ...]
    patches: tuple[Patch, ...]
    usd: float | None

    @property
    def open_runs(self) -> tuple[Run, ...]:
        """The runs that have not ended on record."""
        return tuple(run for run in self.runs if run.status == RunStatus.OPEN)

    @property
    def landed(self) -> tuple[Patch, ...]:
        """The patches that landed."""
        return tuple(patch for patch in self.patches if patch.status == PatchStatus.LANDED)

    @property
    def held(self) -> tuple[Patch, ...]:
        """The patches that wait for a person."""
        return tuple(patch for patch in self.patches if patch.status == PatchStatus.HELD)

    @cached_property
    def cut_off(self) -> tuple[DispatchState, ...]:
        """The dispatches without an end that nobody carries out any more."""
        return tuple(each for each in self.dispatches if not each.finished and not is_led(each.supervisor))

    @cached_property
    def under_way(self) -> tuple[DispatchState, ...]:
        """The dispatches that a process carries out."""
        return tuple(each for each in self.dispatches if not each.finished and is_led(each.supervisor))

    @property
    def memories(self) -> tuple[Memory, ...]:
        """What is to be remembered, by key."""
        newest = {memory.key: memory for memory in map(_memory, self.messages) if memory}
        return tuple(newest[key] for key in sorted(newest))

    @property
    def artifacts(self) -> tuple[Message, ...]:
        """The messages that bring files to keep, the oldest first."""
        return tuple(message for message in self.messages if message.type == ARTIFACT and message.attachments)

    def task_of(self, run: Run) -> str:
        """Return the task of a run of a dispatch; "" for a run of a sprint."""
        own = (
            name for each in self.dispatches for name, tries in each.attempts.items() for a in tries if a.run == run.id
        )
        return next(own, "")

    def document(self) -> dict[str, Any]:
        """Return the figures of it as a JSON object."""
        session = self.session
        return session_document(session) | {
            "dispatches": [_dispatch_document(each) for each in self.dispatches],
            "sprints": [*self.sprints], "tasks": [*self.tasks],
            "messages": len(self.messages), "unread": len(self.unread),
            "patches_landed": len(self.landed), "patches_held": [patch.run for patch in self.held],
            "runs": len(self.runs),
            "open_runs": [{"run": run.id, "persona": run.persona, "task": self.task_of(run)} for run in self.open_runs],
            "usd": self.usd, "memories": [memory.document() for memory in self.memories],
            "artifacts": [_artifact_document(message) for message in self.artifacts],
        }  # fmt: skip

    def export(self) -> dict[str, Any]:
        """Return all of it as a JSON object, the mail with its texts."""
        return self.document() | {
            "messages": [{**message.listed(), "body": message.body, "payload": message.payload,
                          "attachments": [*message.attachments]} for message in self.messages],
            "runs": [
                {"run": run.id, "persona": run.persona, "agent": run.agent, "task": self.task_of(run),
                 "started": run.started, "status": str(run.status), "seconds": run.seconds} for run in self.runs
            ],
            "patches": [
                {"run": patch.run, "persona": patch.persona, "files": [*patch.files], "status": str(patch.status),
                 "commit": patch.commit} for patch in self.patches
            ],
        }  # fmt: skip


def session_document(session: Session) -> dict[str, Any]:
    """Return a session as a JSON object, without what is gathered under it."""
    return {
        "session": session.id, "title": session.title, "status": str(session.status),
        "participants": [*session.participants], "created": session.created, "created_by": session.creator,
        "since": session.at, "by": session.by,
    }  # fmt: skip


def gather(context: Context, session: Session) -> Gathered:
    """Read what is on record of a session."""
    projections = context.mailbox.projections
    rows = projections.rows("scheduler.state.gathered", session=session.id, written=f'"{session.id}"')
    facts, state = [fact_of(row) for row in rows], Fold()
    for fact in facts:
        state.add(fact)
    messages = [context.mailbox.whole(Message.of(row)) for row in rows if row["kind"] == MailKind.SENT]
    reached = {
        (row["ref"], row["persona"]): row
        for row in projections.rows("states", ids=[message.id for message in messages])
    }
    unread = frozenset(
        message.id for message in messages for name in message.recipients
        if not reached.get((message.id, name), {}).get("read")
    )  # fmt: skip
    sprints = dict.fromkeys(fact.data["sprint"] for fact in facts if fact.kind == Kind.SPRINT_STARTED)
    tasks = ClaimReader(context.mailbox.log, projections).read().tasks.values()
    runs = tuple(state.runs.values())
    return Gathered(
        session, tuple(messages), unread, tuple(_dispatches(facts)), tuple(sprints),
        tuple(task.name for task in tasks if task.session == session.id), runs, tuple(state.patches.values()),
        _usd(context, runs),
    )  # fmt: skip


def seconds_of(run: Run, now: datetime) -> float:
    """Return for how long a run is open."""
    return (now - datetime.fromisoformat(run.started)).total_seconds()


def _dispatches(facts: Sequence[Fact]) -> list[DispatchState]:
    of: dict[str, list[Fact]] = {}
    for fact in facts:
        if isinstance(name := fact.data.get("dispatch"), str):
            of.setdefault(name, []).append(fact)
    return [state for state in map(folded, of.values()) if state.id]


def _usd(context: Context, runs: Sequence[Run]) -> float | None:
    known = [context.estimated(run.usage, run.agent).usd for run in runs if run.usage != UNKNOWN]
    amounts = [usd for usd in known if usd is not None]
    return round(sum(amounts), 6) if amounts else None


def _memory(message: Message) -> Memory | None:
    payload = cast("dict[str, Any]", message.payload) if isinstance(message.payload, dict) else {}
    if message.type != MEMORY or not isinstance(key := payload.get("key"), str):
        return None
    tags = payload.get("tags")
    names = tuple(map(str, cast("list[Any]", tags))) if isinstance(tags, list) else ()
    return Memory(key, message.body, names, message)


def _artifact_document(message: Message) -> dict[str, Any]:
    (first, *_) = message.attachments
    return {
        "name": first["name"], "sha256": first["sha256"], "size": first["size"], "text": message.body,
        "by": message.sender, "at": message.ts, "message": message.seq,
    }  # fmt: skip


def _dispatch_document(state: DispatchState) -> dict[str, Any]:
    is_over = bool(state.finished)
    return {
        "dispatch": state.id, "started": state.started, "finished": is_over,
        "cut_off": not is_over and not is_led(state.supervisor), "branch": state.branch or None,
    }  # fmt: skip
