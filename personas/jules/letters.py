"""The mail of a session: what Jules asks goes to somebody of the team, and what they answer goes back.

A question is a file in the outbox of the run, which its mail process sends; its key makes it the same mail however
often it is written, so that a run that goes on with a session asks nothing twice. Answers are the replies in its
thread; they count as read once Jules has them.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

from ...mail.home import RUN_FOLDER
from ..running.folder import RunFolder
from ..value import masked

_ASKS, _FYI = "question", "fyi"  # types of mail
APPROVE = "approve"  # the type of mail that approves a plan, and a word that does
_YES = re.compile(r"\s*(approved?|yes|ok(ay)?|lgtm)\b[\s.!]*", re.IGNORECASE)
_MOST = 8_000  # characters of Jules's words in a mail
_SUBJECT = 120
_PATIENCE = 60.0  # seconds for one command of team-mail
_QUESTION = """\
{head} in its session {session}{url}:

{quoted}

It waits for an answer: reply to this mail, and the text goes to Jules. Or: team jules send {session} "…"
"""
_WORDS = """\
Jules says in its session {session}{url}:

{quoted}

It goes on meanwhile; a reply to this mail goes to it.
"""
_PLAN = """\
Jules has a plan in its session {session}{url}, and waits for your approval:

{quoted}

Approve it: reply with the one word "approve", or: team jules approve {session}
Any other reply goes to Jules, which then changes its plan.
"""


class Reply(NamedTuple):
    """A mail for Jules: its number, what goes to Jules, its type, and who sent it, as far as that is verified."""

    seq: int
    body: str
    type: str
    sender: str

    @property
    def approves(self) -> bool:
        """Whether it approves a plan and says nothing more."""
        return self.type == APPROVE or bool(_YES.fullmatch(self.body))


@dataclass
class Letters:
    """The mail of one session. `whom` approves plans, and is asked the rest as well unless `asks` names somebody.

    `secrets` are blotted in all that is sent.
    """

    workspace: Path
    persona: str
    whom: str
    session: str
    url: str = ""
    secrets: tuple[str, ...] = ()
    asks: str = ""
    _asked: list[str] = field(default_factory=list[str])

    def ask(self, activity: str, text: str) -> None:
        """Pass on a question of Jules; without a text, that it waits for feedback."""
        head = "Jules asks" if text else "Jules waits for feedback"
        self._send(activity, f"Jules asks: {_first(text)}" if text else head, _QUESTION, text, head)

    def tell(self, activity: str, text: str) -> None:
        """Pass on what Jules says without waiting for an answer; it wakes nobody."""
        self._send(activity, f"Jules says: {_first(text)}", _WORDS, text, type=_FYI)

    def show_plan(self, activity: str, text: str) -> None:
        """Ask for the approval of a plan."""
        self._send(activity, "Jules has a plan to be approved", _PLAN, text)

    def replies(self, heard: Container[str]) -> Iterator[Reply]:
        """Yield the mail that Jules has not heard, the oldest first: what the run was given, and replies since."""
        given = (reply for number in given_mail(self.workspace) if number not in heard for reply in self._given(number))
        since = (reply for number in self._numbers() for reply in self._since(number))
        found = {reply.seq: reply for reply in chain(given, since)}
        yield from (found[seq] for seq in sorted(found))

    def mark_read(self, reply: Reply) -> None:
        """Count a reply as read; it wakes nobody then."""
        self._team_mail("read", str(reply.seq))

    def _send(
        self, activity: str, subject: str, form: str, text: str, head: str = "", *, type: str = _ASKS
    ) -> None:  # fmt: skip
        key = f"jules/{self.session}/{activity}/{type}"
        name = f"jules-{hashlib.sha256(key.encode()).hexdigest()[:16]}.md"
        if name in self._asked:
            return
        quoted = "\n".join(f"| {row}".rstrip() for row in text[:_MOST].splitlines()) or "| (nothing)"
        url = f" ({self.url})" if self.url else ""
        body = form.format(head=head, session=self.session, url=url, quoted=quoted)
        front = {
            "to": self.whom if form == _PLAN else self.asks or self.whom, "subject": subject[:_SUBJECT], "type": type,
            "key": key,
        }  # fmt: skip
        rows = "\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items())
        data = str(masked(f"---\n{rows}\n---\n{body}", self.secrets)).encode()
        RunFolder(self.workspace).give("outbox", name, data)
        self._asked.append(name)

    def _numbers(self) -> Iterator[str]:
        """Yield the numbers of the questions that were sent."""
        for name in RunFolder(self.workspace).names("sent"):
            number, _, rest = name.partition("-")
            if rest in self._asked and number.isdecimal():
                yield number

    def _given(self, number: str) -> Iterator[Reply]:
        yield from map(self._reply, self._team_mail("read", number, "--peek", "--json"))

    def _since(self, number: str) -> Iterator[Reply]:
        for raw in self._team_mail("thread", number, "--json"):
            if raw.get("sender") != self.persona and not raw.get("read") and str(raw.get("seq")) != number:
                yield self._reply(raw)

    def _reply(self, raw: dict[str, Any]) -> Reply:
        """Read a mail: an answer of whoever is asked as it was written, any other with its sender and subject."""
        claimed = str(raw.get("sender"))
        sender, body = claimed if raw.get("verified") else "", str(raw.get("body") or "")
        if not raw.get("reply_to") or sender not in {self.whom, self.asks or self.whom}:
            body = f"Mail from {claimed}{'' if sender else ' (unverified)'}: {raw.get('subject')}\n\n{body}"
        return Reply(int(raw["seq"]), body, str(raw.get("type") or ""), sender)

    def _team_mail(self, *words: str) -> list[dict[str, Any]]:
        """Run a command of the run's own team-mail; return its JSON, nothing if it fails: it is asked again."""
        argv = [str(self.workspace / RUN_FOLDER / "team-mail"), *words]
        with suppress(OSError, ValueError, subprocess.TimeoutExpired):
            ended = subprocess.run(  # noqa: S603
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
            )
            if not ended.returncode and words[-1] == "--json":
                value: Any = json.loads(ended.stdout)
                return cast("list[dict[str, Any]]", value if isinstance(value, list) else [value])
        return []


def given_mail(workspace: Path) -> list[str]:
    """Return the numbers of the mail that a run was given, which stands in its prompt as well."""
    names = (name.removesuffix(".md") for name in RunFolder(workspace).names("inbox"))
    return sorted((name for name in names if name.isdecimal()), key=int)


def _first(text: str) -> str:
    """Return the first line of a text that says anything."""
    return next((row.strip() for row in text.splitlines() if row.strip()), "")
