"""The route by which a program sends commands as JSON, and gets the answer that `team command` prints."""

from __future__ import annotations

from pydantic import ConfigDict, JsonValue, RootModel

from ...common.console import Console
from ...common.route import Asked, Reply, Route, Scope


class Command(RootModel[JsonValue]):
    """A command with its fields, as docs/llm-api.md lists them."""

    model_config = ConfigDict(defer_build=True)


def command(console: Console, asked: Asked) -> Reply:
    """Carry out a command; a refusal is an answer, too, with its status."""
    from ....webhooks import answer  # the server does not wait for what it may be asked

    done = answer(console.own_context(), asked.given(Command).root, asked.sender, asked.key)
    return Reply(done.document(), status=done.status)


ROUTES = (
    Route("POST", "/api/commands", "Carry out a command, or a batch of them.", command, scope=Scope.COMMANDS,
          takes=Command),
)  # fmt: skip
