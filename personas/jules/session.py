"""What Jules tells of a session, read from its JSON: nothing it leaves out, or adds, makes the reader fail.

All of it is text from outside: it is escaped and cut here, so that nobody else need think of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from ...mail.text.escape import clean, line

MAX_TEXT = 20_000  # characters of one text
MAX_LINE = 300
NEW = "QUEUED"  # the state of a session whose state is left out
PLAN, QUESTION = "AWAITING_PLAN_APPROVAL", "AWAITING_USER_FEEDBACK"
FAILED, COMPLETED = "FAILED", "COMPLETED"
WAITING = frozenset({PLAN, QUESTION})  # for a person
OVER = frozenset({FAILED, COMPLETED})
_TEXTS = {  # the kinds of activity, each with the names of its texts
    "agentMessaged": ("agentMessage",),
    "userMessaged": ("userMessage",),
    "progressUpdated": ("title", "description"),
    "sessionFailed": ("reason",),
    "planGenerated": (),
    "planApproved": (),
    "sessionCompleted": (),
}


class ChangeSet(NamedTuple):
    """A change as a patch in git's form, the commit that it applies to, and what a commit of it should say."""

    patch: str
    base: str
    message: str


class Command(NamedTuple):
    """A command that Jules ran, what it printed, and its exit code."""

    command: str
    output: str
    exit: int


@dataclass(frozen=True)
class Activity:
    """One thing that happened in a session. `kind` is empty for one that this version does not know."""

    id: str
    kind: str
    text: str
    commands: tuple[Command, ...] = ()
    change: ChangeSet | None = None


@dataclass(frozen=True)
class Session:
    """A session as Jules tells it. `change` and `pull_request` (its address) are what it came to."""

    id: str
    state: str
    url: str
    title: str
    change: ChangeSet | None = None
    pull_request: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens in it by itself."""
        return self.state in OVER

    @property
    def shown(self) -> str:
        """One line for people: its id, state and address."""
        return f"session {self.id} is {self.state}{f': {self.url}' if self.url else ''}"

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "session": self.id, "state": self.state, "url": self.url, "title": self.title,
            "change_set": self.change is not None, "pull_request": self.pull_request or None,
        }  # fmt: skip


def read_session(raw: Mapping[str, Any]) -> Session:
    """Read a session; of several changes and pull requests, the last one counts."""
    outputs = [_dict(output) for output in reversed(_list(raw.get("outputs")))]
    changes = (_change(output.get("changeSet")) for output in outputs)
    requests = (_line(_dict(output.get("pullRequest")).get("url")) for output in outputs)
    state = _line(raw.get("state")) or NEW
    return Session(
        _id(raw), state, _line(raw.get("url")), _line(raw.get("title")),
        next(filter(None, changes), None), next(filter(None, requests), ""),
    )  # fmt: skip


def read_activity(raw: Mapping[str, Any]) -> Activity:
    """Read an activity."""
    kind = next((name for name in _TEXTS if isinstance(raw.get(name), dict)), "")
    inner = _dict(raw.get(kind))
    texts = [_text(inner.get(name)) for name in _TEXTS.get(kind, ())]
    text = _plan(inner) if kind == "planGenerated" else ": ".join(filter(None, texts))
    artifacts = [_dict(artifact) for artifact in _list(raw.get("artifacts"))]
    commands = [_command(_dict(each["bashOutput"])) for each in artifacts if each.get("bashOutput")]
    changes = [change for each in artifacts if (change := _change(each.get("changeSet")))]
    return Activity(_id(raw), kind, text, tuple(commands), changes[-1] if changes else None)


def last_change(session: Session, activities: Iterable[Activity]) -> ChangeSet | None:
    """Return the change set of a session: what it came to, or else the last one that it showed on the way."""
    shown = [activity.change for activity in activities if activity.change]
    return session.change or (shown[-1] if shown and not session.pull_request else None)


def _id(raw: Mapping[str, Any]) -> str:
    return _line(raw.get("id")) or _line(raw.get("name")).rpartition("/")[2]


def _change(value: Any) -> ChangeSet | None:
    """Read a change set; None for one without a change."""
    patch = _dict(_dict(value).get("gitPatch"))
    diff = patch.get("unidiffPatch")
    if not isinstance(diff, str) or not diff.strip():
        return None
    return ChangeSet(diff, _line(patch.get("baseCommitId")), _text(patch.get("suggestedCommitMessage")))


def _command(raw: Mapping[str, Any]) -> Command:
    code = raw.get("exitCode")
    return Command(_text(raw.get("command")), _text(raw.get("output")), code if isinstance(code, int) else 0)


def _plan(inner: Mapping[str, Any]) -> str:
    """Return the steps of a plan, one a line."""
    plan = _dict(inner.get("plan"))
    steps = [_dict(step) for step in _list(plan.get("steps"))]
    rows = [": ".join(filter(None, (_line(step.get("title")), _text(step.get("description"))))) for step in steps]
    return "\n".join(f"{number}. {row}" for number, row in enumerate(rows, 1))[:MAX_TEXT]


def _text(value: Any) -> str:
    return clean(value)[:MAX_TEXT] if isinstance(value, str) else ""


def _line(value: Any) -> str:
    return line(value)[:MAX_LINE] if isinstance(value, str) else ""


def _dict(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
