"""Commands that a program sends as JSON, such as a model that calls a webhook: one function answers them all.

`answer` never raises for what a payload asks: a refusal is an answer, with a status as HTTP has it and a code.
A command with an idempotency key may be sent again, and is then answered with what it did before.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

from ..mail.errors import InvalidEvent, KeyReused, TeamMailError, UsageError
from ..mail.kinds import ExitCode
from ..mail.log.event import derived_id, strict_json
from ..mail.text.nearest import suggestion
from ..scheduler.claims.claims import Claims
from ..scheduler.context import Context
from ..scheduler.errors import NoSuchSession, NoSuchTask, NotAllowed, SessionError
from ..scheduler.kinds import SessionStatus
from .api import claims, sessions
from .api.outside import commands

MOST_COMMANDS = 100  # of a batch, and messages of a conversation
_TYPES: tuple[Literal["git", "shell"], ...] = ("git", "shell")
_KEY, _REUSED = "idempotency_key", "KEY_REUSED"
_OK, _REFUSED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _FAILED = 200, 400, 403, 404, 409, 500


@dataclass(frozen=True)
class WebhookAnswer:
    """What a command is answered: a status as HTTP has it, the JSON object, and the exit code of `team command`."""

    status: int
    body: Mapping[str, Any]
    exit_code: int = ExitCode.DONE

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        return dict(self.body)


@dataclass(frozen=True)
class Payload:
    """The fields of a command. Each is asked for by its name and its type; `key` makes it idempotent."""

    fields: Mapping[str, Any]
    key: str | None

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text; without a `default` it must be there. Raises UsageError."""
        value = self.fields.get(name, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise UsageError(f"{name!r} must be a text" + (" that is not empty" if default is None else ""))
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, empty if there is none. Raises UsageError."""
        return [each for each in self.items(name) if _is_text(name, each)]

    def items(self, name: str) -> list[Any]:
        """Return a list, empty if there is none. Raises UsageError."""
        value = self.fields.get(name, [])
        if not isinstance(value, list):
            raise UsageError(f"{name!r} must be a list")
        return cast("list[Any]", value)

    def key_of(self, number: int) -> str | None:
        """Return the key of one part of the command."""
        return f"{self.key}:{number}" if self.key else None


Answering = Callable[[Context, str, Payload], Mapping[str, Any]]


def answer(context: Context, given: Any, sender: str, key: str | None = None) -> WebhookAnswer:
    """Carry out a command and return its answer.

    Args:
        context: The team.
        given: The payload, an object with `command` and the fields of that command.
        sender: Who sends it: whoever has authenticated, never what the payload says.
        key: The idempotency key, by default the field `idempotency_key`.
    """
    name = ""
    try:
        table = _table(given, "a command")
        name = str(table.get("command", ""))
        act, known = _act(name)
        if unknown := [field for field in table if field not in {"command", _KEY, *known}]:
            raise UsageError(f"{name} has no field {unknown[0]!r}{suggestion(unknown[0], known)}")
        own = _key(table.get(_KEY) if key is None else key)
        return WebhookAnswer(_OK, {"ok": True, "command": name, "result": act(context, sender, Payload(table, own))})
    except TeamMailError as error:
        code = _REUSED if isinstance(error, KeyReused) else getattr(error, "code", "REFUSED")
        document = {"ok": False, "command": name, "error": {"code": code, "message": str(error)}}
        return WebhookAnswer(_status(error), document, error.exit_code)


def read_payload(text: bytes) -> Any:
    """Read a payload. Raises UsageError."""
    try:
        return strict_json(text.decode())
    except (InvalidEvent, UnicodeDecodeError) as error:
        raise UsageError(f"the payload is not JSON: {error}") from None


def _act(name: str) -> tuple[Answering, tuple[str, ...]]:
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}{suggestion(name, COMMANDS)}")
    return COMMANDS[name]


def _key(value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise UsageError("the idempotency key must be a text that is not empty")
    return value


def _status(error: TeamMailError) -> int:
    if isinstance(error, NoSuchSession | NoSuchTask):
        return _NOT_FOUND
    if isinstance(error, NotAllowed):
        return _FORBIDDEN
    if isinstance(error, UsageError):
        return _CONFLICT if isinstance(error, KeyReused) else _REFUSED
    return _CONFLICT if isinstance(error, SessionError) or hasattr(error, "code") else _FAILED


def _table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{what} must be a JSON object")
    return cast("dict[str, Any]", value)


def _is_text(name: str, value: Any) -> bool:
    if not isinstance(value, str):
        raise UsageError(f"{name!r} must be a list of texts")
    return True


def _create(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    title, people = given.text("title", ""), given.texts("participants")
    made = sessions.create(
        context, given.text("session"), sender, title=title, participants=people, key=given.key or ""
    )
    return made.document()


def _resume(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    again = given.fields.get("again", False) is True
    return sessions.resume(context, given.text("session"), sender, again=again, dispatches=False).change.document()


def _list(context: Context, _: str, given: Payload) -> Mapping[str, Any]:
    status = given.text("status", "") or None
    if status is not None and status not in {*SessionStatus}:
        raise UsageError(f"there is no status {status!r}{suggestion(status, SessionStatus)}")
    return sessions.list_sessions(context, status).document()


def _summary(context: Context, _: str, given: Payload) -> Mapping[str, Any]:
    return sessions.show(context, given.text("session")).document()


def _remember(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    memory = sessions.NewMemory(
        given.text("key"), given.text("value"), given.texts("tags"), given.texts("to"), given.key
    )
    return sessions.remember(context, given.text("session"), sender, memory).document()


def _attach(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    if ("content" in given.fields) == ("content_base64" in given.fields):
        raise UsageError("give the file as 'content', a text, or as 'content_base64'")
    if "content" in given.fields:
        data = given.text("content").encode(errors="replace")
    else:
        try:
            data = b64decode(given.text("content_base64"), validate=True)
        except ValueError:
            raise UsageError("'content_base64' is not base64") from None
    file = (given.text("name"), data)
    artifact = sessions.NewArtifact(file, given.text("description", ""), given.texts("to"), given.key)
    return sessions.attach(context, given.text("session"), sender, artifact).document()


def _converse(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    parts = [_table(each, "a message") for each in given.items("messages")]
    if not 0 < len(parts) <= MOST_COMMANDS:
        raise UsageError(f"'messages' must be a list of 1 to {MOST_COMMANDS} objects with 'role' and 'content'")
    turns = [Payload(part, given.key_of(number)) for number, part in enumerate(parts, 1)]
    said = [(each.text("role"), each.text("content"), each.key) for each in turns]
    to = [context.mailbox.directory.checked(name) for name in given.texts("to")]
    return sessions.converse(context, given.text("session"), sender, said, to).document()


@contextmanager
def _in_session(context: Context, given: Payload) -> Generator[None]:
    """Write in the name of the session that a payload names, which has to be active."""
    own, log = given.text("session", "") or None, context.mailbox.log
    if own is not None:
        sessions.show(context, own).session.check_active()
    before, log.session = log.session, own or log.session
    try:
        yield
    finally:
        log.session = before


def _run(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    kind = given.text("type")
    if kind not in _TYPES:
        raise UsageError(f"there is no type {kind!r}{suggestion(kind, _TYPES)}")
    request = commands.CommandRequest(kind, given.texts("words"), given.key)
    with _in_session(context, given):
        return commands.run_command(context, sender, request).document()


def _delegate(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    name = given.text("task", f"task-{derived_id('delegate', sender, given.key)[:8]}" if given.key else None)
    task = claims.NewTask(
        name, given.text("title", ""), given.text("to", ""), given.text("priority", "normal"), given.texts("after"),
        given.texts("paths"), given.fields.get("input"), given.key or "",
    )  # fmt: skip
    with _in_session(context, given):
        return claims.add_task(Claims(context.mailbox), task, sender).document()


def _batch(context: Context, sender: str, given: Payload) -> Mapping[str, Any]:
    """Carry out commands in order; what comes after one that is refused is not done."""
    commands = given.items("commands")
    if not 0 < len(commands) <= MOST_COMMANDS:
        raise UsageError(f"'commands' must be a list of 1 to {MOST_COMMANDS} commands")
    if any(_table(each, "a command").get("command") == "batch" for each in commands):
        raise UsageError("a batch has no batch in it")
    results: list[dict[str, Any]] = []
    for number, each in enumerate(commands, 1):
        results.append(answer(context, each, sender, given.key_of(number)).document())
        if not results[-1]["ok"]:
            break
    done = sum(result["ok"] for result in results)
    return {"results": results, "done": done, "not_done": len(commands) - done}


COMMANDS: Mapping[str, tuple[Answering, tuple[str, ...]]] = {
    "create_session": (_create, ("session", "title", "participants")),
    "resume_session": (_resume, ("session", "again")),
    "list_sessions": (_list, ("status",)),
    "get_session_summary": (_summary, ("session",)),
    "batch": (_batch, ("commands",)),
    "conversation_batch": (_converse, ("session", "messages", "to")),
    "store_memory": (_remember, ("session", "key", "value", "tags", "to")),
    "delegate_task": (_delegate, ("session", "task", "to", "title", "priority", "after", "paths", "input")),
    "task_command": (_run, ("type", "words", "session")),
    "add_artifact": (_attach, ("session", "name", "content", "content_base64", "description", "to")),
}
