"""Mail of a model: it asks the run's keeper, as the `team-mail` of the run does, and never opens the log."""

from __future__ import annotations

from binascii import a2b_base64
from dataclasses import dataclass
from pathlib import Path

from ...mail.home import RUN_FOLDER
from ...mail.text.escape import clean
from ..running.launcher import Refused as NotAsked
from ..running.launcher import Request, ask
from .place import Refused


@dataclass(frozen=True)
class Letters:
    """The mail of one run."""

    workspace: Path

    def send(self, to: str, subject: str, body: str, reply_to: int = 0) -> str:
        """Send a mail, or answer the one with a number. Raises Refused."""
        if reply_to:
            return self._ask("reply", str(reply_to), f"--body={body}")
        return self._ask("send", f"--to={to}", f"--subject={subject}", f"--body={body}")

    def read(self, number: int = 0) -> str:
        """Return a mail by its number, or the list of those that are unread. Raises Refused."""
        return self._ask("read", str(number)) if number else self._ask("inbox")

    def _ask(self, *words: str) -> str:
        if any("\0" in word for word in words):
            raise Refused("a mail has no NUL")
        try:
            answer = ask(str(self.workspace / RUN_FOLDER), Request([*words]).document())
        except (NotAsked, OSError, ValueError) as error:
            raise Refused(f"no mail was sent or read: {error}") from None
        out, err = (a2b_base64(str(answer[name])).decode(errors="replace") for name in ("stdout", "stderr"))
        text = clean(f"{out}{err}".strip())
        if answer["exit"]:
            raise Refused(text)
        return text or "done"
