"""Notices: send what is due, and try an endpoint. For people: called from an agent's run, they raise UsageError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....mail.errors import UsageError
from ....mail.text.nearest import suggestion
from ....scheduler.context import Context
from ....scheduler.notify.channel import Answer
from ....scheduler.notify.endpoint import send_test
from ....scheduler.notify.notifier import Notifier, Sent
from ....scheduler.notify.notifier import send_due as send
from ....scheduler.sprint.control import by_people_only

__all__ = ["Delivered", "Notifier", "Tested", "send_due", "try_endpoint"]


@dataclass(frozen=True)
class Delivered:
    """What each endpoint was sent."""

    endpoints: tuple[Sent, ...]

    @property
    def arrived(self) -> bool:
        """Whether no attempt failed."""
        return not any(sent.failed for sent in self.endpoints)

    def document(self) -> list[dict[str, Any]]:
        """Return the JSON array of `team notify --json`."""
        return [sent._asdict() | {"failed": [*sent.failed]} for sent in self.endpoints]


@dataclass(frozen=True)
class Tested:
    """What came of a test of one endpoint."""

    name: str
    answer: Answer

    @property
    def arrived(self) -> bool:
        """Whether the endpoint took it."""
        return not self.answer.why

    def document(self) -> dict[str, Any]:
        """Return the JSON object of `team notify test --json`."""
        return {"name": self.name, "arrived": self.arrived, "why": self.answer.why}


def send_due(context: Context) -> Delivered:
    """Send the notices that are due, or will be within five seconds.

    Raises NotLeader while `scheduler run` or another process sends them, SettingsError, LogError.
    """
    by_people_only("team notify", context.home)
    return Delivered(tuple(send(context)))


def try_endpoint(context: Context, name: str) -> Tested:
    """Send a notice that says that it is a test. Raises UsageError for an unknown name, SettingsError, LogError."""
    by_people_only("team notify test", context.home)
    if name not in context.settings.notify:
        known = suggestion(name, context.settings.notify) or "; write one into team.toml"
        raise UsageError(f"no [notify.{name}]{known}")
    return Tested(name, send_test(context, name))
