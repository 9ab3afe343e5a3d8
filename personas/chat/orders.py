"""What the settings say of a chat model, and the names that its agent and its runs share."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...mail.errors import TeamMailError

CONTEXT = 32_768  # tokens, where neither the settings nor the server tell
TURNS = 100
RESULT = "chat.json"  # in `.team/run` of a run's workspace: whether the next run would fail in the same way
HOPELESS = "hopeless"  # in it
Tools = Literal["auto", "calls", "blocks"]
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True)
class Orders:
    """How a model is asked.

    `base_url` is the address that `/chat/completions` is appended to, and `key` the variable with its key, "" for none.
    `context` is how many tokens the model takes, 0 to ask the server. `tools` says whether it calls tools or answers in
    blocks. At most `turns` requests are made. Of the `commands`, globs of whole commands, one may be run. The server
    may be silent for `silence` seconds. `paths` are the globs of what may be changed, None for everything.
    """

    base_url: str
    model: str
    key: str = ""
    context: int = 0
    tools: Tools = "auto"
    turns: int = TURNS
    commands: tuple[str, ...] = ()
    silence: float = 300.0

    def packed(self) -> str:
        """Return it as one word of a command line, without braces that could be a placeholder's."""
        return pack(asdict(self))


class ChatError(TeamMailError):
    """A run cannot go on; the message says why, and what to do. `hopeless` tells that the next one could not either."""

    def __init__(self, message: str, *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hopeless = hopeless


def pack(value: Any) -> str:
    """Return a value as JSON without braces in its texts."""
    return _TEXT.sub(lambda text: text[0].replace("{", "\\u007b").replace("}", "\\u007d"), json.dumps(value))


def unpack(text: str) -> Orders:
    """Return what was packed."""
    value: dict[str, Any] = json.loads(text)
    value["commands"] = tuple(value["commands"])
    return Orders(**value)
