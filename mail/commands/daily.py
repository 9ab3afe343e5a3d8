"""What agents ask for all day: `check`, `inbox` and `send`. Each takes the values of its options, whoever parsed them.

They return an exit code and raise TeamMailError. Typer is not imported: `entry` parses plain command lines without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NoTeam, UsageError
from ..kinds import ExitCode
from ..open import first_mail, open_mailbox, team_home
from ..process import identity
from ..team_file import read_log
from . import caller, output
from .quick import BUDGET

if TYPE_CHECKING:
    from ..message import Message

SHOWN = 50


def check(persona: str | None = None, budget: int = BUDGET, *, as_json: bool = False) -> int:
    """Print a summary of unread mail, if there is any."""
    from ..check.digest import digest

    try:
        listed = _unread(persona)
    except NoTeam:
        listed = []
    if as_json:
        from .. import render

        render.document(listed)
    elif listed:
        output.say(digest(listed, budget))
    return ExitCode.UNREAD if listed else ExitCode.DONE


def _unread(persona: str | None) -> list[dict[str, Any]]:
    """Return the listed objects of a persona's unread mail. Raises NoTeam."""
    from ..check.cursor import people_of
    from ..check.unread import Uncertain, unread

    own = identity(persona)
    home = team_home()
    if not home.exists():
        return []
    own, mailbox = caller.own_mailbox(own)
    if read_log(home):
        mailbox.log.head()  # brings the copy up to date
    try:
        return unread(str(home / "mail"), own, people_of(str(home), own), is_fresh=True)
    except Uncertain:
        return _rows(mailbox.inbox(own, unread=True))


def _rows(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as they stand in lists."""
    return [message.listed() for message in messages]


def inbox(
    persona: str | None = None,
    *,
    unread: bool = False,
    limit: int = SHOWN,
    archived: bool = False,
    trashed: bool = False,
    everything: bool = False,
    tag: str | None = None,
    kind: str | None = None,
    sender: str | None = None,
    as_of: str | None = None,
    channel: str | None = None,
    exit_code: bool = False,
    bodies: bool = False,
    as_json: bool = False,
) -> int:
    """List a persona's mail, or what was said in a channel, newest first."""
    from .. import render
    from ..clock import ALL, moment

    sender = sender and sender.removesuffix("@team")
    own, mailbox = caller.own_mailbox(persona, or_human=channel is not None)
    if channel is not None:
        flags = {"unread": unread, "archived": archived, "trashed": trashed, "tag": tag, "as-of": as_of}
        _refuse_filters(flags | {"exit-code": exit_code})
        listed = mailbox.channel(channel, own, type=kind, sender=sender, limit=limit + 1)
    else:
        seq, time = moment(as_of) if as_of else (ALL, None)
        state = "all" if everything else "trashed" if trashed else "archived" if archived else "inbox"
        where: dict[str, Any] = {"state": state, "tag": tag, "type": kind, "sender": sender}
        listed = mailbox.inbox(own, unread=unread, as_of_seq=seq, as_of=time, limit=limit + 1, **where)
    _cut(listed, limit)
    if as_json:
        render.document([each.whole() for each in mailbox.with_bodies(listed)] if bodies else _rows(listed))
    else:
        empty = f"no mail for {own}" if channel is None else "nothing was said in that channel yet"
        render.messages(listed, empty, reader=own if channel else "")
    return ExitCode.UNREAD if exit_code and any(not message.read for message in listed) else ExitCode.DONE


def _cut(listed: list[Message], limit: int) -> None:
    """Leave the newest messages of a list that is longer than was asked for, and say so."""
    if len(listed) > limit:
        output.say(f"team-mail: only the newest {limit} are shown; --limit shows more", err=True)
        del listed[limit:]


def _refuse_filters(flags: Mapping[str, object]) -> None:
    """Refuse the options of `inbox` that choose among a persona's own mail. Raises UsageError."""
    for name, value in flags.items():
        if value:
            raise UsageError(f"--channel lists all that was said there: leave out --{name}")


def send(
    to: Sequence[str],
    subject: str = "",
    body: str | None = None,
    sender: str | None = None,
    *,
    attach: Sequence[Path] = (),
    cc: Sequence[str] = (),
    body_file: Path | None = None,
    kind: str = "note",
    payload: str | None = None,
    priority: str = "normal",
    due: str | None = None,
    thread: str | None = None,
    key: str | None = None,
    session: str | None = None,
    as_json: bool = False,
) -> int:
    """Send a message."""
    text = caller.body(body, body_file)
    mailbox = open_mailbox(create=True, session=session)
    if session is not None:
        from .session import check_named_session  # no other send needs it

        check_named_session(mailbox.projections, session)
    own = caller.identity_or_human(sender, mailbox.directory)
    letter = caller.letter(
        mailbox, own, to, cc, subject=subject, body=text, attachments=attach, type=kind, payload=payload,
        priority=priority, due=due, thread=thread, key=key,
    )  # fmt: skip
    repeats: list[Any] = []
    with first_mail():
        event = mailbox.send(letter, repeats)
    acknowledge(event, text, repeated=bool(repeats), as_json=as_json)
    return ExitCode.DONE


def acknowledge(event: Any, body: str, *, repeated: bool, as_json: bool) -> None:
    """Print what became of a letter with this body."""
    if as_json:
        from .. import render
        from ..message import Message

        message = Message.of(event._asdict())._replace(body=body, body_blob=None)
        render.document(message.whole() | {"repeated": repeated})
    else:
        again = "; it was sent before with this key" if repeated else ""
        output.say(f"sent {event.seq} to {', '.join(event.recipients)}{again}")
