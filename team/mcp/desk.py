"""Where the tools do their work: on the team's mail, or through the keeper of the run that this process belongs to.

Both answer in the words of `team-mail`, as plain text. Within a run nothing is opened here: a request goes the way of
the run's own `team-mail`, so that who sends, and what is marked as read, is decided where it always is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ...mail.errors import UsageError
from ...personas.running.folder import RunFolder

_LARGEST = 8 << 20  # bytes of an attachment
MOST = 40_000  # characters of an answer
SHOWN = 20  # messages of a list


class Filter(NamedTuple):
    """Which mail is listed. A `channel` lists all that was said there; the others but `limit` are "" for any."""

    unread: bool = True
    channel: str = ""
    sender: str = ""
    type: str = ""
    tag: str = ""
    limit: int = SHOWN


class Reading(NamedTuple):
    """What is read of a message, and how it is marked then.

    With `thread`, all messages of its thread. `attachment` is the name or number of one. `tag` is added, or removed if
    it begins with "-".
    """

    message: str
    thread: bool = False
    attachment: str = ""
    peek: bool = False
    ack: bool = False
    tag: str = ""


class Writing(NamedTuple):
    """A message to send. `reply_to` is one that it answers, and with `everybody` all who got that one get it, too.

    `attach` are paths of files from the top of the work tree.
    """

    to: Sequence[str] = ()
    subject: str = ""
    body: str = ""
    reply_to: str = ""
    everybody: bool = False
    type: str = "note"
    priority: str = "normal"
    attach: Sequence[str] = ()
    key: str = ""


class Desk(Protocol):
    """What a tool does for one persona. Everything raises TeamMailError with what to do."""

    def inbox(self, which: Filter) -> str:
        """List mail, newest first, a line for each."""
        ...

    def read(self, what: Reading) -> str:
        """Return a message, its thread or an attachment, and mark it."""
        ...

    def send(self, letter: Writing) -> str:
        """Send a message or an answer; return its number and who gets it."""
        ...

    def search(self, words: str, limit: int) -> str:
        """List messages by their words, best match first."""
        ...


def bounded(text: str, how: str) -> str:
    """Return a text, cut if it is too long for a model; `how` says how the rest is read."""
    return text if len(text) <= MOST else f"{text[:MOST]}\n[{len(text) - MOST} more characters: {how}]\n"


def attached(top: Path, path: str) -> tuple[str, bytes]:
    """Return the name and bytes of a file below a folder, with no link on the way. Raises UsageError.

    Nothing else of this machine is sent by a tool: this process may have more rights than the agent.
    """
    try:
        return Path(path).name, RunFolder(top).read_work(path, _LARGEST)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        hint = "name a file by its path from the top of the work tree"
        raise UsageError(f"cannot attach {path}: {why}; {hint}") from None
