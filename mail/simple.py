"""Mail in one line each, for scripts and notebooks. The team is the nearest `.team`, or `TEAM_HOME`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .letter import Letter
from .open import first_mail, open_log, open_mailbox
from .process import run_id


def send_message(
    from_persona: str, to_persona: str, subject: str, body: str, attachments: Sequence[str | Path] = ()
) -> str:
    """Send a message and return its id once it is durable. The first one creates the team's folder.

    `to_persona` is an address: a persona, `@all` or `@group`. Raises UnknownRecipient, UsageError, LogError.
    """
    files = [Path(file) for file in attachments]
    letter = Letter(from_persona, [to_persona], subject, body, attachments=files, run=run_id())
    with first_mail():
        return open_mailbox(create=True).send(letter).id


def get_inbox(persona_id: str, unread_only: bool = False) -> list[dict[str, Any]]:
    """List a persona's mail, newest first, as the objects of `team-mail read --json`, bodies included.

    Nothing is marked read.
    """
    mailbox = open_mailbox()
    listed = mailbox.inbox(persona_id, unread=unread_only)
    return [message.whole() for message in mailbox.with_bodies(listed, persona_id)]


def mark_read(persona_id: str, message_id: str) -> None:
    """Mark a message read for a persona. Raises UnknownMessage, and UsageError if the persona did not receive it."""
    open_mailbox().mark(persona_id, "read", [message_id], run_id())


def events() -> Any:
    """Return the team's log, as of now, as an Ibis table on DuckDB."""
    from .query.projections import bound_events

    return bound_events(open_log())
