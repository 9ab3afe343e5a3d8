"""What a run's client is told: which session it asks its agent for, and what the persona may do in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from ..running.rules import Rules

# What the tokens that an answer to `session/prompt` names are those of: its own turn, all turns of the session so far,
# or only the last of its answers, which is no sum of anything.
Counts = Literal["turn", "session", "last"]
STARTUP = 30.0


@dataclass(frozen=True)
class Orders:
    """The orders of one run.

    `name` is the agent's, for messages. `mode` and `model` are asked for where they are not empty, and `resume` is the
    session to go on with. `login` maps what the agent calls its ways of logging in to the variable that each needs, and
    `how` tells a person how to log in. `mail` are the words of a server of mail tools. `variables` are set for the
    agent where they are not set. `tells` says that a turn whose model answered tells tokens, and `error` how a message
    begins by which the agent says that its model did not. Each step before the first prompt may take `startup` seconds.
    """

    name: str
    mode: str = ""
    model: str = ""
    resume: str = ""
    login: Mapping[str, str] = field(default_factory=dict[str, str])
    how: str = ""
    mail: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    counts: Counts = "session"
    tells: bool = False
    error: str = ""
    startup: float = STARTUP
    rules: Rules = field(default_factory=Rules)

    def text(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Orders:
        """Read what `text` wrote."""
        raw: dict[str, Any] = json.loads(text)
        rules = cast("dict[str, list[str] | None]", raw.pop("rules"))
        mail = cast("list[str]", raw.pop("mail"))
        return cls(mail=tuple(mail), rules=Rules(_items(rules["paths"]), _items(rules["commands"])), **raw)


def _items(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
